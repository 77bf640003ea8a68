import { PROBATION_MS } from '../connections/early-ends.js';
import { lastWordsOf } from '../connections/session.js';
import { ServerUnavailableError } from '../errors.js';
import { outcomeOfTest } from './connection-check.js';
import type { PooledConnection } from './pooled-connection.js';

/**
 * True for a connection that ends soon after its login without having served a caller, which counts as a failed login.
 */
export function isEarlyEnd(pooled: PooledConnection): boolean {
  if (pooled.checkouts > (pooled.state === 'borrowed' ? 1 : 0)) return false;
  const { expiry } = pooled.live;
  return expiry.now() - expiry.openedAt < PROBATION_MS && outcomeOfTest(pooled) !== 'caller-left';
}

/** The error that callers and `health()` get. `ageMs`: time since its login. */
export function whyEndedEarly(pooled: PooledConnection, ageMs: number): ServerUnavailableError {
  const failedTest = outcomeOfTest(pooled);
  if (failedTest instanceof Error) {
    return new ServerUnavailableError('A new connection failed its test.', {
      cause: failedTest,
      hint: 'The login succeeded, but pool.validate or validateConnection: true rejected the connection; see the cause.',
    });
  }
  const words = lastWordsOf(pooled.live);
  return new ServerUnavailableError(
    `The session ended ${Math.max(0, Math.round(ageMs))} ms after its login, before it had served a caller${words === undefined ? '.' : `: ${words}`}`,
    { hint: 'Look for what ends sessions that have just logged in: a login trigger, a proxy, a limit or a failover.' },
  );
}

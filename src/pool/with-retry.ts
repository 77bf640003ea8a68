import type { Connection } from 'tedious';
import type { ServerMessage } from '../connections/login-failure.js';
import { ConfigurationError } from '../errors.js';
import type { KnownOptions } from '../known-options.js';
import { requireOptions } from './call-options.js';
import { type Checkout, missingCheckout, usedAfterReturn } from './checkout.js';
import { isConnectionSource, isPoolOfMssql } from './connection-source.js';
import { checkoutVerdict, type RetryVerdict, retryVerdict, retryWaitMs, waitForRetry } from './retry-verdict.js';
import type { TokenPool } from './token-pool.js';

/** Settings of the retries. */
export interface RetryOptions {
  /** Maximum number of tries, including the first. Default 5. */
  maxTries?: number | undefined;
  /** Wait before the second try, ms; doubled each time, up to 60 s, plus up to 10 %. Default 5,000, Azure SQL's guidance. */
  firstWaitMs?: number | undefined;
  /** Ends the wait for a connection or for the next try. It does not stop a running `fn`. */
  signal?: AbortSignal | undefined;
}

const OPTIONS: KnownOptions<RetryOptions> = { maxTries: true, firstWaitMs: true, signal: true };

/**
 * Runs work that may be repeated: on a transient error of Azure SQL, a deadlock or snapshot conflict, a lost connection, or a
 * session whose token the server no longer accepts (37396), `fn` runs again with another connection. Only for work that is
 * idempotent: the first try may have done all of it before the connection broke. {@link transaction} is for the rest.
 *
 * A session whose token was refused is replaced at once, a deadlock victim waits for a moment; everything else waits 5 s and
 * more (Azure SQL: troubleshoot common connection errors).
 *
 * A `ConnectionPool` of mssql is refused: {@link transaction} takes one, and `pool.tokenPool` of the drop-in is a pool.
 *
 * @throws the error of the last try; AbortedError if the signal is aborted during a wait; ConfigurationError
 * @example
 * const rows = await withRetry(pool, (connection) => readPrices(connection));
 */
export async function withRetry<T>(
  pool: TokenPool,
  fn: (connection: Connection) => T | Promise<T>,
  options: RetryOptions = {},
): Promise<T> {
  // The limit of `transaction` has another name.
  requireOptions('withRetry()', options, OPTIONS);
  if (isPoolOfMssql(pool)) {
    throw new ConfigurationError('withRetry() takes a pool of this package, not a ConnectionPool of mssql.', {
      hint: 'Use transaction(pool, fn), which takes both; with mssql-token-pool/mssql, pass pool.tokenPool.',
    });
  }
  if (!isConnectionSource(pool) || typeof pool.use !== 'function' || typeof fn !== 'function') {
    throw new ConfigurationError('withRetry() takes a pool and a function.');
  }
  const maxTries = options.maxTries ?? 5;
  const firstWaitMs = options.firstWaitMs ?? 5_000;
  const signal = options.signal ?? undefined;
  if (!(maxTries >= 1)) throw new ConfigurationError('maxTries must be 1 or more.');
  if (!(firstWaitMs >= 0)) throw new ConfigurationError('firstWaitMs must be 0 or more, in ms.');
  for (let tries = 1; ; tries += 1) {
    const outcome = await tryOnce(pool, fn, signal);
    if ('value' in outcome) return outcome.value;
    if (outcome.verdict === 'final' || tries >= maxTries) throw outcome.error;
    await waitForRetry(retryWaitMs(outcome.verdict, tries, firstWaitMs), signal);
  }
}

type Outcome<T> = { value: T } | { error: unknown; verdict: RetryVerdict };

async function tryOnce<T>(
  pool: TokenPool,
  fn: (connection: Connection) => T | Promise<T>,
  signal: AbortSignal | undefined,
): Promise<Outcome<T>> {
  let checkout: Checkout | undefined;
  const onCheckout = (begun: Checkout): void => {
    checkout = begun;
  };
  try {
    return await pool.use((connection) => runOn(connection, fn, checkout ?? missingCheckout('withRetry()')), {
      signal,
      onCheckout,
    });
  } catch (error) {
    return { error, verdict: checkout === undefined ? checkoutVerdict(error) : 'final' };
  }
}

async function runOn<T>(
  connection: Connection,
  fn: (connection: Connection) => T | Promise<T>,
  checkout: Checkout,
): Promise<Outcome<T>> {
  // Whether a session's own error is one of these is known only from its messages: tedious keeps the number, but knex and
  // others wrap its errors.
  const messages: ServerMessage[] = [];
  const onMessage = (message: ServerMessage): void => {
    if (!checkout.isOver) messages.push(message);
  };
  connection.on('errorMessage', onMessage);
  try {
    return { value: await fn(connection) };
  } catch (error) {
    const misuse = usedAfterReturn(error, checkout, 'withRetry');
    if (misuse !== undefined) return { error: misuse, verdict: 'final' };
    const verdict = await retryVerdict(error, messages, checkout.isOver ? undefined : connection);
    // Azure SQL: after a failed query, open a fresh connection. The session of a deadlock victim is still good.
    if (verdict === 'at-once' || verdict === 'later') checkout.destroy();
    return { error, verdict };
  } finally {
    connection.off('errorMessage', onMessage);
  }
}

import type { Connection } from 'tedious';
import type { EvictionReason } from '../channels.js';
import type { TediousModule } from '../connections/dial.js';
import { assess, assessPatiently, evictionReason, type OutlookSource } from '../connections/expiry-policy.js';
import { tediousOf } from '../connections/load-tedious.js';
import { isBusy, isInTransaction, isLoggedIn, isOpen, isReady } from '../connections/session.js';
import type { Settings } from '../connections/settings.js';
import type { PooledConnection } from './pooled-connection.js';
import type { Waiter } from './wait-queue.js';

/**
 * Decides whether a connection may be handed out, and whether it may be kept when it is returned. Usually the clocks
 * and the socket are enough; otherwise the check waits for a token or asks the server.
 */
export class ConnectionCheck {
  readonly #settings: Settings;
  readonly #tokens: OutlookSource;
  /** Every checkout asks the server or the user's own `validate`. */
  readonly testsAlways: boolean;

  constructor(settings: Settings, tokens: OutlookSource) {
    this.#settings = settings;
    this.#tokens = tokens;
    this.testsAlways = settings.validateConnection === true || settings.pool.validate !== undefined;
  }

  /** Neither a closer check nor a wait is needed. */
  isFit({ live: { connection, expiry } }: PooledConnection, wall: number, monotonic: number): boolean {
    return (
      expiry.now(wall, monotonic) < expiry.checkAt &&
      expiry.unusable === undefined &&
      isLoggedIn(connection) &&
      !this.testsAlways
    );
  }

  /** Why a connection that is returned cannot be handed out again. `isFull`: no successor can be opened in addition. */
  reasonToClose(pooled: PooledConnection, isFull: boolean): EvictionReason | undefined {
    const { connection, expiry } = pooled.live;
    if (expiry.unusable !== undefined) return expiry.unusable;
    if (!isLoggedIn(connection)) return isOpen(connection) && isBusy(connection) ? 'misused' : 'broken';
    if (isInTransaction(connection)) return 'misused';
    if (!pooled.dueOnReturn) return undefined;
    const now = expiry.now();
    const verdict = assess(expiry, this.#tokens.outlook(), now, { strictExpiry: false });
    pooled.dueOnReturn = verdict === 'renew';
    return verdict === 'replace' || (verdict === 'renew' && isFull) ? evictionReason(expiry, now) : undefined;
  }

  /** The closer check. Never rejects, and ends when the caller has left. */
  async run(pooled: PooledConnection, waiter: Waiter): Promise<'fit' | 'replace' | 'expired' | 'broken'> {
    const { connection } = pooled.live;
    const verdict = await this.#assess(pooled, waiter);
    if (verdict !== 'fit' || !this.testsAlways || waiter.settled || !isReady(connection)) return verdict;
    // A test that takes longer than its caller waits has failed: nothing may hold a connection forever.
    pooled.isTested = true;
    const { reset } = pooled.live;
    if (reset !== undefined) reset.inUse = true;
    const outcome = await pooled.live.ask(() =>
      Promise.race([this.#test(connection), waiter.done.then(() => lateness(waiter))]),
    );
    if (reset !== undefined) reset.inUse = false;
    pooled.isTested = false;
    if (outcome !== 'passed') {
      outcomes.set(pooled, outcome);
      return 'broken';
    }
    // The test may have taken the connection into its eviction margin (P2).
    return this.#assess(pooled, waiter);
  }

  async #assess(pooled: PooledConnection, waiter: Waiter): Promise<'fit' | 'replace' | 'expired' | 'broken'> {
    const { expiry, reset } = pooled.live;
    const { strictExpiry } = this.#settings;
    const now = (): number => expiry.now();
    // The server or the pool may have closed it during the test.
    if (expiry.unusable !== undefined) return 'broken';
    if (now() < expiry.checkAt) return 'fit';
    const timeoutMs = waiter.deadline - performance.now();
    const assessed = assessPatiently(expiry, this.#tokens, now, { strictExpiry, resets: reset?.isDue, timeoutMs });
    const verdict = await Promise.race([assessed, waiter.done]);
    if (verdict === 'unusable') return 'broken';
    return verdict === 'replace' || verdict === 'expired' ? verdict : 'fit';
  }

  async #test(connection: Connection): Promise<'passed' | Error> {
    const { validateConnection, pool } = this.#settings;
    try {
      if (pool.validate !== undefined && !(await pool.validate(connection))) {
        return new Error('pool.validate did not return true.');
      }
      if (validateConnection !== true) return 'passed';
      return (await failureOfSelectOne(await tediousOf(this.#settings), connection)) ?? 'passed';
    } catch (error) {
      return error instanceof Error ? error : new Error('pool.validate threw something that is not an Error.');
    }
  }
}

/** The results of failed tests; not a field, because most connections have none. */
const outcomes = new WeakMap<PooledConnection, Error | 'caller-left'>();

/** Undefined for a connection that has not failed a test. */
export function outcomeOfTest(pooled: PooledConnection): Error | 'caller-left' | undefined {
  return outcomes.get(pooled);
}

/** If a caller gives up before its time, that says nothing about the connection. */
function lateness({ deadline }: Waiter): Error | 'caller-left' {
  // A timer may fire a fraction of a millisecond before its time.
  if (performance.now() + 1 < deadline) return 'caller-left';
  return new Error('The test (pool.validate or validateConnection: true) had no result within acquireTimeoutMillis.');
}

/** Asks the server whether the session works, as mssql does with `validateConnection: true`. Never rejects. */
export async function selectOne(tedious: TediousModule, connection: Connection): Promise<boolean> {
  return (await failureOfSelectOne(tedious, connection)) === undefined;
}

function failureOfSelectOne({ Request }: TediousModule, connection: Connection): Promise<Error | undefined> {
  return new Promise((resolve) => {
    connection.execSqlBatch(new Request('SELECT 1', (error) => resolve(error ?? undefined)));
  });
}

/** A connection that is closed for such a reason may be replaced by one that is open already. */
export function isPastLimits(reason: EvictionReason | undefined): boolean {
  return reason === 'token-expiry' || reason === 'max-age' || reason === 'credential-replaced';
}

import type { Connection } from 'tedious';
import { publish } from '../channels.js';
import { AbortedError, AcquireTimeoutError, LoginRefusedError, ServerUnavailableError } from '../errors.js';
import { backOffMs, onAbort } from '../time.js';
import { refusalOf, requireWork } from './call-options.js';
import { withCheckout } from './checkout.js';
import { SharedLimit } from './connection-limit.js';
import type { AcquireOptions, ConnectionSource, SourceStats, TokenPoolStats } from './connection-source.js';
import { degradedBy, type PoolHealth } from './health.js';

/** For how long callers go straight to the primary after the replica could not be used. */
const FIRST_DETOUR_MS = 5_000;
const LONGEST_DETOUR_MS = 60_000;
/** When to look again for an idle connection that can make way for a caller of the other pool. */
const LOOK_AGAIN_MS = 100;

/** The part of a pool that is used here; its own `TokenPool`s. */
interface BackingPool extends ConnectionSource {
  readonly name: string;
  readonly stats: TokenPoolStats;
  health(): PoolHealth;
  ready(): Promise<void>;
  isBorrowed(connection: Connection): boolean;
  checkoutOf(connection: Connection): unknown;
  closeIdle(): boolean;
}

export interface ReadOnlyOptions {
  /** `pool.acquireTimeoutMillis`. */
  acquireTimeoutMs: number;
  /** The primary serves callers while the replica cannot. */
  fallback: boolean;
}

/**
 * The connections of a read-only replica, next to the pool of the primary: the same credential and token, and one limit for
 * both. To ORMs and mssql's `ConnectionPool` it is a pool like any other.
 */
export class ReadOnlyPool implements ConnectionSource {
  readonly #primary: BackingPool;
  readonly #replica: BackingPool;
  readonly #options: ReadOnlyOptions;
  #failures = 0;
  #latestFailure: Error | undefined;
  #detourUntil = Number.NEGATIVE_INFINITY;

  constructor(primary: BackingPool, replica: BackingPool, options: ReadOnlyOptions) {
    this.#primary = primary;
    this.#replica = replica;
    this.#options = options;
  }

  /**
   * A connection to the replica; with `fallback`, one to the primary while the replica cannot be used. The replica then has
   * half of `acquireTimeoutMillis`. A caller that waits only because all connections are borrowed stays in the queue.
   *
   * @throws as `TokenPool.acquire`
   */
  async acquire(options: AcquireOptions = {}): Promise<Connection> {
    const refusal = refusalOf(options);
    if (refusal !== undefined) throw refusal;
    if (!this.#options.fallback) return this.#replica.acquire(options);
    if (performance.now() < this.#detourUntil) return this.#primary.acquire(options);
    const startedAt = options.startedAt ?? performance.now();
    const { signal } = options;
    const end = new AbortController();
    // Not `AbortSignal.any`, which ignores the signals of polyfills, and leaves memory of each call in a long-lived
    // signal.
    const stopListening = signal && onAbort(signal, () => end.abort(signal.reason));
    const halfTime = setTimeout(() => {
      if (cannotConnect(this.#replica)) end.abort();
    }, this.#options.acquireTimeoutMs / 2).unref();
    try {
      const connection = await this.#replica.acquire({ ...options, startedAt, signal: end.signal });
      this.#failures = 0;
      return connection;
    } catch (error) {
      const isTooSlow = end.signal.aborted;
      if (signal?.aborted || !(isTooSlow || isReplicasFault(error))) throw error;
      this.#makeDetour(isTooSlow ? this.#tooSlow(error) : (error as Error));
    } finally {
      clearTimeout(halfTime);
      stopListening?.();
    }
    return this.#primary.acquire({ ...options, startedAt });
  }

  /** The replica has used up its half of the time; the caller has not given up. */
  #tooSlow(error: unknown): Error {
    if (!(error instanceof AbortedError)) return error as Error;
    const { acquireTimeoutMs } = this.#options;
    return new ServerUnavailableError(`The replica opened no connection within ${acquireTimeoutMs / 2} ms.`, {
      hint: 'That is half of pool.acquireTimeoutMillis. Check whether the replica answers.',
    });
  }

  #makeDetour(error: Error): void {
    this.#latestFailure = error;
    this.#failures += 1;
    const detourMs = backOffMs(this.#failures, { firstMs: FIRST_DETOUR_MS, longestMs: LONGEST_DETOUR_MS });
    this.#detourUntil = performance.now() + detourMs;
    publish('pool:fallback', () => ({ pool: this.#replica.name, primary: this.#primary.name, error, detourMs }));
  }

  /** Returns a connection. @throws NotBorrowedError */
  release(connection: Connection): void {
    this.#ownerOf(connection).release(connection);
  }

  /** Closes a borrowed connection instead of returning it. @throws NotBorrowedError */
  destroy(connection: Connection): void {
    this.#ownerOf(connection).destroy(connection);
  }

  /** Runs `fn` with a connection and returns it afterwards, whatever happens. */
  async use<T>(fn: (connection: Connection) => T | Promise<T>, options?: AcquireOptions): Promise<T> {
    requireWork('use()', fn);
    const connection = await this.acquire(options);
    return withCheckout(this.#ownerOf(connection), connection, fn, options?.onCheckout);
  }

  /** Closes the connections to the replica; closing the primary's pool does so too. */
  close(options?: { timeoutMs?: number | undefined }): Promise<void> {
    return this.#replica.close(options);
  }

  /** Resolves when a connection to the replica is open. @throws the error of a failed login */
  ready(): Promise<void> {
    return this.#replica.ready();
  }

  /**
   * The health of the connections to the replica, without a query. That of the primary is separate. It is at least `degraded`
   * while callers go to the primary.
   */
  health(): PoolHealth {
    const health = this.#replica.health();
    if (health.status !== 'ok' || performance.now() >= this.#detourUntil) return health;
    return degradedBy(this.#latestFailure);
  }

  /** Numbers of the connections to the replica. */
  get stats(): SourceStats {
    return this.#replica.stats;
  }

  #ownerOf(connection: Connection): BackingPool {
    return this.#replica.isBorrowed(connection) ? this.#replica : this.#primary;
  }
}

/** False for failures that the primary would have too: a token that cannot be obtained, a closed pool. */
function isReplicasFault(error: unknown): boolean {
  // The replica's pool also rejects at once if its next attempt would come too late for the caller.
  if (error instanceof AcquireTimeoutError) return isReplicasFault(error.cause);
  return error instanceof ServerUnavailableError || error instanceof LoginRefusedError;
}

/** False if callers wait because connections are borrowed, or because the pool is suspended. */
function cannotConnect(pool: BackingPool): boolean {
  if (pool.stats.isSuspended) return false;
  return pool.stats.opening > 0 || pool.health().reasons.some(({ code }) => code === 'cannot-connect');
}

/** One limit for two pools: an idle connection of either makes way for a caller of the other. */
export function limitForBoth(max: number, pools: () => readonly BackingPool[]): SharedLimit {
  let isLooking = false;
  const lookIn = (ms: number): void => {
    isLooking = true;
    setTimeout(makeWay, ms).unref();
  };
  const makeWay = (): void => {
    isLooking = false;
    if (limit.waiting === 0) return;
    pools().some((pool) => pool.closeIdle());
    lookIn(LOOK_AGAIN_MS);
  };
  // Not at once: the pool that waits is not notified of its wait until this returns.
  const limit = new SharedLimit(max, () => {
    if (!isLooking) lookIn(0);
  });
  return limit;
}

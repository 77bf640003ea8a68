import type { Connection } from 'tedious';
import { publish } from '../channels.js';
import { AbortedError, AcquireTimeoutError, LoginRefusedError, ServerUnavailableError } from '../errors.js';
import { backOffMs } from '../time.js';
import { SharedLimit } from './connection-limit.js';
import type { AcquireOptions, ConnectionSource, SourceStats } from './connection-source.js';

/** How long callers go to the primary at once after the replica could not be used. */
const FIRST_DETOUR_MS = 5_000;
const LONGEST_DETOUR_MS = 60_000;
/** How soon to look again for an idle connection that can make way for a caller of the other pool. */
const LOOK_AGAIN_MS = 100;

/** What it needs of a pool: its own `TokenPool`s. */
interface BackingPool extends ConnectionSource {
  readonly name: string;
  isBorrowed(connection: Connection): boolean;
  closeIdle(): boolean;
}

export interface ReadOnlyOptions {
  /** `pool.acquireTimeoutMillis`. */
  acquireTimeoutMs: number;
  /** The primary serves callers while the replica cannot. */
  fallback: boolean;
}

/**
 * The connections of a read-only replica, beside a pool of the primary: the same credential and token, and one limit for
 * both. A pool like any other to ORMs and to mssql's `ConnectionPool`.
 */
export class ReadOnlyPool implements ConnectionSource {
  readonly #primary: BackingPool;
  readonly #replica: BackingPool;
  readonly #options: ReadOnlyOptions;
  #failures = 0;
  #detourUntil = Number.NEGATIVE_INFINITY;

  constructor(primary: BackingPool, replica: BackingPool, options: ReadOnlyOptions) {
    this.#primary = primary;
    this.#replica = replica;
    this.#options = options;
  }

  /**
   * A connection to the replica; with `fallback`, one to the primary where the replica cannot be used. The replica then has
   * half of `acquireTimeoutMillis`.
   *
   * @throws as `TokenPool.acquire`
   */
  async acquire(options: AcquireOptions = {}): Promise<Connection> {
    if (!this.#options.fallback) return this.#replica.acquire(options);
    const startedAt = options.startedAt ?? performance.now();
    if (performance.now() < this.#detourUntil) return this.#primary.acquire({ ...options, startedAt });
    const limit = AbortSignal.timeout(this.#options.acquireTimeoutMs / 2);
    const signal = options.signal === undefined ? limit : AbortSignal.any([options.signal, limit]);
    try {
      const connection = await this.#replica.acquire({ signal, startedAt });
      this.#failures = 0;
      return connection;
    } catch (error) {
      if (options.signal?.aborted || !isReplicasFault(error)) throw error;
      this.#failures += 1;
      const detourMs = backOffMs(this.#failures, { firstMs: FIRST_DETOUR_MS, longestMs: LONGEST_DETOUR_MS });
      this.#detourUntil = performance.now() + detourMs;
      publish('pool:fallback', () => ({ pool: this.#replica.name, primary: this.#primary.name, error, detourMs }));
      return this.#primary.acquire({ ...options, startedAt });
    }
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
    const connection = await this.acquire(options);
    const owner = this.#ownerOf(connection);
    try {
      return await fn(connection);
    } finally {
      if (owner.isBorrowed(connection)) owner.release(connection);
    }
  }

  /** Closes the connections to the replica; closing the primary's pool does so too. */
  close(options?: { timeoutMs?: number | undefined }): Promise<void> {
    return this.#replica.close(options);
  }

  /** Numbers of the connections to the replica. */
  get stats(): SourceStats {
    return this.#replica.stats;
  }

  #ownerOf(connection: Connection): BackingPool {
    return this.#replica.isBorrowed(connection) ? this.#replica : this.#primary;
  }
}

/** False for what the primary would refuse too: a token that cannot be obtained, a pool that is closed. */
function isReplicasFault(error: unknown): error is Error {
  return [ServerUnavailableError, LoginRefusedError, AcquireTimeoutError, AbortedError].some(
    (Kind) => error instanceof Kind,
  );
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
  // Not at once: the pool that waits learns of its wait only when this returns.
  const limit = new SharedLimit(max, () => {
    if (!isLooking) lookIn(0);
  });
  return limit;
}

import type { ConnectionSource } from '../pool/connection-source.js';
import { type CloseOptions, ConnectionPool, type ConnectionPoolConfig } from './connection-pool.js';
import { requireMssql } from './stock.js';

const mssql = requireMssql();

type PoolSource = ConnectionPoolConfig | ConnectionSource | string;

// biome-ignore lint/suspicious/noExplicitAny: an event listener takes what its event carries, as in node:events.
export type Listener = (...args: any[]) => void;

/**
 * The pool behind `sql.connect()`, `sql.query()` and `new sql.Request()`: at most one, opened by the first `connect`.
 * When it is closed or fails to connect, the next `connect` opens a new one. It belongs to the drop-in module and is
 * separate from the global pool of stock mssql in the same process.
 */
export class GlobalPool {
  #current: ConnectionPool | null = null;
  readonly #listeners: { event: string; listener: Listener }[] = [];

  /** The global pool, or null while there is none. */
  get current(): ConnectionPool | null {
    return this.#current;
  }

  /**
   * Opens the global pool. If there is one already, it is returned and `config` is ignored, as in mssql. With a
   * callback, it returns the pool, otherwise a promise of it.
   */
  connect(config: PoolSource): Promise<ConnectionPool>;
  connect(config: PoolSource, callback: (error?: Error | null, pool?: ConnectionPool) => void): ConnectionPool;
  connect(
    config: PoolSource,
    callback?: (error?: Error | null, pool?: ConnectionPool) => void,
  ): ConnectionPool | Promise<ConnectionPool> {
    this.#current ??= this.#create(config);
    const pool = this.#current;
    if (typeof callback === 'function') {
      return pool.connect((error, connected) => {
        if (error) this.#forget(pool);
        callback(error, connected);
      });
    }
    return pool.connect().catch((error) => {
      this.#forget(pool);
      throw error;
    });
  }

  /** Closes the global pool; one that is connecting is closed afterwards. Succeeds when there is none. */
  close(options?: CloseOptions): Promise<void>;
  close(callback: (error?: Error | null) => void): ConnectionPool | null;
  close(given?: CloseOptions | ((error?: Error | null) => void)): ConnectionPool | null | Promise<void> {
    const pool = this.#current;
    const [options, callback] = typeof given === 'function' ? [undefined, given] : [given, undefined];
    const closed = pool === null ? Promise.resolve() : this.#closeWhenConnected(pool, options);
    if (callback === undefined) {
      return new mssql.Promise((resolve: () => void, reject: (error: unknown) => void) => {
        closed.then(resolve, reject);
      });
    }
    // Called outside the promise chain, so that what the callback throws reaches the process.
    closed.then(
      () => setImmediate(callback, null),
      (error) => setImmediate(callback, error),
    );
    return pool;
  }

  async #closeWhenConnected(pool: ConnectionPool, options: CloseOptions | undefined): Promise<void> {
    this.#forget(pool);
    // mssql refuses to close a pool that is connecting, and its module would leave the connection open.
    if (pool.connecting) await pool.connect().catch(() => undefined);
    await pool.close(options);
  }

  /** Adds a listener to the current global pool and to every later one. */
  on(event: string, listener: Listener): ConnectionPool | null {
    this.#listeners.push({ event, listener });
    this.#current?.on(event, listener);
    return this.#current;
  }

  removeListener(event: string, listener: Listener): ConnectionPool | null {
    const index = this.#listeners.findIndex((added) => added.event === event && added.listener === listener);
    if (index >= 0) {
      this.#listeners.splice(index, 1);
      this.#current?.removeListener(event, listener);
    }
    return this.#current;
  }

  #create(config: PoolSource): ConnectionPool {
    const pool = new ClosablePool(config, () => this.#forget(pool));
    for (const { event, listener } of this.#listeners) pool.on(event, listener);
    return pool;
  }

  #forget(pool: ConnectionPool): void {
    if (this.#current === pool) this.#current = null;
  }
}

/** Notifies its owner when it is closed, because users may close the pool that `connect()` returned. */
class ClosablePool extends ConnectionPool {
  readonly #onClose: () => void;

  constructor(config: PoolSource, onClose: () => void) {
    super(config);
    this.#onClose = onClose;
  }

  override close(options?: CloseOptions): Promise<void>;
  override close(callback: (error?: Error | null) => void): this;
  override close(given?: CloseOptions | ((error?: Error | null) => void)): this | Promise<void> {
    // A pool that is connecting refuses to close, and is still the global one.
    if (!this.connecting) this.#onClose();
    return typeof given === 'function' ? super.close(given) : super.close(given);
  }
}

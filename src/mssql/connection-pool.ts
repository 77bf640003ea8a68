import type { config as StockConfig, ConnectionPool as StockPool } from 'mssql';
import type { Connection } from 'tedious';
import type { TokenPoolConfig } from '../connections/config.js';
import { configFromConnectionString } from '../connections/connection-string-config.js';
import { withInherited } from '../connections/inherited-settings.js';
import { namesPort, parseServerAddress } from '../connections/server-address.js';
import { type ConnectionSource, isConnectionSource } from '../pool/connection-source.js';
import { createTokenPool } from '../pool/create-token-pool.js';
import { type PendingAcquire, type TarnFacade, tarnFacade } from '../pool/tarn-facade.js';
import { TokenPool } from '../pool/token-pool.js';
import { followCheckouts, withCheckoutStacks } from './checkout-stacks.js';
import { toConnectionError } from './connection-error.js';
import { numberConnection, publishClosed, publishCreated, publishDestroyed, traceConnect } from './mssql-channels.js';
import { requireMssql, requireTediousOfMssql } from './stock.js';
import { withoutTokenRefresh } from './with-token-refresh.js';

/** A config of mssql, in which `authentication` may also be any credential of this library. */
export type ConnectionPoolConfig = TokenPoolConfig | StockConfig;

/** mssql's switch for tedious's `debug` events, missing from its types. */
type StockOnly = { debug?: unknown };

/** How long `close` waits for borrowed connections, ms. */
export interface CloseOptions {
  timeoutMs?: number | undefined;
}

type Done<T> = (error?: Error | null, result?: T) => void;

const mssql = requireMssql();

/**
 * The methods that are overridden below; the rest of mssql's class (`request()`, `query()`, `acquire()`, ...) works on
 * `this.pool`.
 */
type Overridden =
  | 'connected'
  | 'connecting'
  | 'healthy'
  | 'size'
  | 'available'
  | 'pending'
  | 'borrowed'
  | 'connect'
  | 'close';

const StockConnectionPool = withCheckoutStacks(mssql.ConnectionPool) as unknown as new (
  config: TokenPoolConfig,
) => Omit<StockPool, Overridden>;

/**
 * mssql's `ConnectionPool` with a `TokenPool` inside: every connection logs in with a fresh token and is replaced
 * before its token expires. Use it in place of mssql's `ConnectionPool`; requests, transactions, prepared statements
 * and bulk loads are mssql's own.
 *
 * Differences: `connect()` keeps the connection it opens instead of throwing a probe away, connections opened in the
 * background are renewed there, and errors are `ConnectionError`s of mssql whose `originalError` is a `TokenPoolError`.
 */
export class ConnectionPool extends StockConnectionPool {
  /** The pool as mssql's own code sees it. */
  declare pool: StockPool['pool'];
  /** The configuration in use; mssql fills in its defaults. */
  declare config: TokenPoolConfig;
  /** Collation of the database, from the first login on. */
  declare collation: Connection['databaseCollation'];

  #state: 'closed' | 'connecting' | 'connected' | 'closing' = 'closed';
  #healthy = false;
  #opening: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #connections: TarnFacade | undefined;
  /** The pool of another owner that this one works on. */
  readonly #shared: ConnectionSource | undefined;
  #tokenPool: TokenPool | undefined;
  #readOnly: ConnectionPool | undefined;
  /** Whether `connect()` proves that a login works. */
  #provesLogin = true;

  /**
   * A pool of mssql on the connections of another pool, for many identities: `ConnectionPool.over(pools.current)` runs each
   * request as the current identity. `connect()` opens nothing, `close()` leaves the connections to their owner.
   */
  static over(source: ConnectionSource): ConnectionPool {
    const pool = poolOn(source);
    // There is no identity yet that could log in.
    pool.#provesLogin = false;
    return pool;
  }

  /** An ADO.NET connection string as a config. @throws ConfigurationError that names the key */
  static parseConnectionString(connectionString: string): TokenPoolConfig {
    return configFromConnectionString(connectionString);
  }

  /**
   * With a callback, it connects at once, and the callback also gets the error of an invalid connection string.
   *
   * A `TokenPool` instead of a config is shared with its other users: `size`, `available`, `pending` and
   * `borrowed` are those of all of them, and `close()` leaves its connections to its owner.
   *
   * ```ts
   * const pool = createTokenPool(config);
   * const db = await new ConnectionPool(pool).connect();
   * ```
   *
   * @throws ConfigurationError for an invalid connection string, if there is no callback
   */
  constructor(config: ConnectionPoolConfig | ConnectionSource | string, callback?: Done<ConnectionPool>) {
    const shared = isConnectionSource(config) ? config : undefined;
    const { readable, failure } = read(isConnectionSource(config) ? { server: 'of a shared pool' } : config);
    if (failure !== undefined && typeof callback !== 'function') throw failure;
    const checkIsChosen = 'validateConnection' in readable;
    super(copyForMssql(readable));
    // Printing a pool must not print the secrets in it (P10).
    hideConfig(this);
    this.#shared = shared;
    // mssql's own default queries the server at every checkout; a closed socket is noticed without that.
    if (!checkIsChosen) this.config.validateConnection = 'socket';
    if (failure !== undefined) setImmediate(callback as Done<ConnectionPool>, failure);
    else if (typeof callback === 'function') this.connect(callback);
  }

  get connected(): boolean {
    return this.#state === 'connected';
  }

  get connecting(): boolean {
    return this.#state === 'connecting';
  }

  /** False while the pool has no connection and the last attempt to open one failed. */
  get healthy(): boolean {
    return this.#healthy;
  }

  /** Connections open or opening. */
  get size(): number {
    return this.borrowed + this.available + (this.#connections?.numPendingCreates() ?? 0);
  }

  /** Idle connections. */
  get available(): number {
    return this.#connections?.numFree() ?? 0;
  }

  /** Callers waiting for a connection. */
  get pending(): number {
    return this.#connections?.numPendingAcquires() ?? 0;
  }

  /** Borrowed connections. */
  get borrowed(): number {
    return this.#connections?.numUsed() ?? 0;
  }

  /**
   * Opens the pool with one connection, which proves that the configuration works. With a callback, it returns the
   * pool.
   *
   * @throws ConnectionError (of mssql) with the driver's code; `originalError` has the details.
   */
  connect(): Promise<this>;
  connect(callback: Done<this>): this;
  connect(callback?: Done<this>): this | Promise<this> {
    return this.#settle(
      () =>
        traceConnect(
          this,
          () => this.#description(),
          () => this.#open(),
        ),
      callback,
    );
  }

  /**
   * Closes the pool: waits for borrowed connections, then closes all. With a callback, it returns the pool.
   *
   * @param options `timeoutMs`: how long to wait for borrowed connections before they are closed while in use, including that of a
   *   prepared statement that is never unprepared. Default 10,000
   * @throws ConnectionError (of mssql) while the pool is connecting
   */
  close(options?: CloseOptions): Promise<void>;
  close(callback: Done<void>): this;
  close(given?: CloseOptions | Done<void>): this | Promise<void> {
    const [options, callback] = typeof given === 'function' ? [undefined, given] : [given, undefined];
    return this.#settle(() => this.#shut(options), callback) as this | Promise<void>;
  }

  /**
   * The `TokenPool` with the connections: `pool.tokenPool.health()`, `.stats`, `.evictAll()`, `.suspend()`, `.resume()` and
   * `.replaceCredential()`. Undefined while the pool is not connected, and for a pool over `pools.current`.
   */
  get tokenPool(): TokenPool | undefined {
    return this.#state === 'connected' ? this.#tokenPool : undefined;
  }

  /**
   * A separate pool for the read-only replica that the config's `readOnly` names, for use while this pool is connected:
   *
   * ```ts
   * const pool = await new ConnectionPool({ ...config, readOnly: true }).connect();
   * const replica = await pool.readOnly.connect();
   * ```
   *
   * Closing this pool closes its connections.
   *
   * @throws ConfigurationError if the config names none; ConnectionError (of mssql) before `connect()`
   */
  get readOnly(): ConnectionPool {
    if (this.#tokenPool === undefined || this.#connections === undefined) {
      throw new mssql.ConnectionError('Connection is closed.', 'ECONNCLOSED');
    }
    this.#readOnly ??= ConnectionPool.over(this.#tokenPool.readOnly);
    return this.#readOnly;
  }

  #open(): Promise<void> {
    if (this.#state === 'connected') return Promise.resolve();
    this.#opening ??= this.#openOnce().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #openOnce(): Promise<void> {
    const closing = this.#closing;
    this.#state = 'connecting';
    let connections: TarnFacade | undefined;
    try {
      await closing?.catch(() => {});
      connections = this.#createConnections();
      const provesLogin = this.#provesLogin && this.#shared?.isForNoIdentity !== true;
      if (provesLogin) connections.release(await connections.acquire().promise);
      this.#healthy = true;
      this.#connections = connections;
      followCheckouts(this, connections);
      this.pool = connections as unknown as StockPool['pool'];
      this.#state = 'connected';
    } catch (error) {
      this.#state = 'closed';
      await connections?.destroy();
      throw toConnectionError(mssql, error);
    }
  }

  async #shut(options: CloseOptions | undefined): Promise<void> {
    if (this.#state === 'connecting') throw new mssql.ConnectionError('Cannot close a pool while it is connecting');
    if (this.#connections === undefined) return;
    this.#closing ??= this.#shutOnce(this.#connections, options).finally(() => {
      this.#closing = undefined;
    });
    return this.#closing;
  }

  async #shutOnce(connections: TarnFacade, options: CloseOptions | undefined): Promise<void> {
    this.#state = 'closing';
    this.#healthy = false;
    try {
      await connections.destroy(options);
      publishClosed(this);
    } catch (error) {
      publishClosed(this, error);
      throw toConnectionError(mssql, error);
    } finally {
      // Unless connect() has been called in the meantime, which waits for this.
      if (this.#state === 'closing') this.#state = 'closed';
      this.#connections = undefined;
      this.#readOnly = undefined;
      (this as { pool: unknown }).pool = null;
    }
  }

  #createConnections(): TarnFacade {
    const mapError = (error: unknown) => toConnectionError(mssql, error);
    this.#tokenPool = this.#shared instanceof TokenPool ? this.#shared : undefined;
    if (this.#shared !== undefined) return this.#borrowing(tarnFacade(this.#shared, { mapError, shared: true }));
    const pool = createTokenPool({
      ...withoutTokenRefresh(this.config),
      beforeConnect: (connection) => this.#adopt(connection),
      tedious: requireTediousOfMssql(),
    });
    this.#tokenPool = pool;
    return tarnFacade(pool, { mapError });
  }

  /** Prepares a new physical connection as mssql does: a number, its events, the user's own hook. */
  #adopt(connection: Connection): void {
    numberConnection(connection);
    connection.once('connect', (error?: Error) => {
      if (error) {
        this.#healthy &&= this.borrowed + this.available > 0;
        return;
      }
      this.#healthy = true;
      this.collation = connection.databaseCollation;
      publishCreated(this, connection, this.config.server, this.config.database);
      connection.once('end', () => publishDestroyed(this, connection));
    });
    connection.on('error', (error: Error & { code?: string }) => {
      if (error.code !== 'ESOCKET' && this.listenerCount('error') > 0) this.emit('error', error);
    });
    if ((this.config as StockOnly).debug) connection.on('debug', (message) => this.emit('debug', connection, message));
    withoutTokenRefresh(this.config).beforeConnect?.(connection);
  }

  /** The connections of a shared pool are not set up for mssql, and mssql does not know their server. */
  #borrowing(connections: TarnFacade): TarnFacade {
    const adopt = (connection: Connection): Connection => {
      numberConnection(connection);
      this.collation = connection.databaseCollation;
      return connection;
    };
    const acquire = (): PendingAcquire => {
      const { promise, abort } = connections.acquire();
      return { promise: promise.then(adopt), abort };
    };
    return Object.create(connections, { acquire: { value: acquire } }) as TarnFacade;
  }

  #description(): object {
    const { server, port, database, pool } = this.config;
    return { server, port, database, poolConfig: { min: pool?.min || 0, max: pool?.max || 10 } };
  }

  /** mssql's two forms: a promise (of the library the user chose with `sql.Promise`), or a callback and the pool. */
  #settle(act: () => Promise<void>, callback: Done<this> | Done<void> | undefined): this | Promise<this> {
    if (typeof callback !== 'function') {
      return new mssql.Promise((resolve: (pool: this) => void, reject: (error: unknown) => void) => {
        act().then(() => resolve(this), reject);
      });
    }
    // Called outside the promise chain, so that what the callback throws reaches the process.
    act().then(
      () => setImmediate(callback as Done<this>, null, this),
      (error) => setImmediate(callback, error),
    );
    return this;
  }
}

/**
 * A copy that mssql may fill in, with `server` as mssql understands it: it splits `host\\instance` itself, but reads
 * `host,port` as a name. `connect()` reports an invalid server name, as mssql does.
 */
function copyForMssql(config: TokenPoolConfig): TokenPoolConfig {
  const copy = { ...config };
  if (config.options) copy.options = { ...config.options };
  if (config.pool) copy.pool = { ...config.pool };
  if (!namesPort(config.server) || config.port !== undefined) return copy;
  try {
    const { host, port } = parseServerAddress(config.server);
    if (port !== undefined) Object.assign(copy, { server: host, port });
  } catch {}
  return copy;
}

/** Behind an accessor, which `inspect` does not read, not even with `showHidden`. */
function hideConfig(pool: { config: TokenPoolConfig }): void {
  let { config } = pool;
  Object.defineProperty(pool, 'config', {
    enumerable: false,
    configurable: true,
    get: () => config,
    set: (next: TokenPoolConfig) => {
      config = next;
    },
  });
}

/** Set outside the class: otherwise bundlers would rename it, and users of mssql print the name. */
function poolOn(source: ConnectionSource): ConnectionPool {
  return new ConnectionPool(source);
}

function read(config: ConnectionPoolConfig | string): { readable: TokenPoolConfig; failure?: Error } {
  try {
    if (typeof config !== 'string') return { readable: withInherited(config as TokenPoolConfig) };
    return { readable: configFromConnectionString(config) };
  } catch (failure) {
    return { readable: { server: '' }, failure: failure as Error };
  }
}

import type { Connection, ConnectionConfiguration } from 'tedious';
import type { CredentialInput } from '../credentials/create-credential.js';
import type { EncryptedTokenStore } from '../tokens/encrypted-token-store.js';
import type { TediousModule } from './dial.js';

/**
 * An `mssql` config: same keys, same defaults. `authentication` may also be any form `createCredential` takes, a
 * `TokenCredential`, or a function that returns a token.
 */
export interface TokenPoolConfig {
  /** Host name, `host\instance`, or `host,port`. */
  server: string;
  /** Default 1433. */
  port?: number | undefined;
  database?: string | undefined;
  user?: string | undefined;
  password?: string | undefined;
  /** Windows domain: NTLM login. */
  domain?: string | undefined;
  /** How to log in; default is `user` and `password`. */
  authentication?: Authentication | undefined;
  /** Same as `options.encrypt`, default true. */
  encrypt?: boolean | 'strict' | undefined;
  /** Same as `options.trustServerCertificate`, default false. */
  trustServerCertificate?: boolean | undefined;
  /** Time for one login, ms, not including the token request. Default 15,000. */
  connectionTimeout?: number | undefined;
  /** Time for one request, ms. Default 15,000; 0 means no limit. */
  requestTimeout?: number | undefined;
  /** Default of both timeouts, ms. */
  timeout?: number | undefined;
  /** tedious's options. */
  options?: ConnectionConfiguration['options'] | undefined;
  pool?: PoolConfig | undefined;
  /**
   * Connections to a read-only replica, as `pool.readOnly`: `true` for `ApplicationIntent=ReadOnly` on the same server, or an
   * object that names another.
   */
  readOnly?: boolean | ReadOnlyConfig | undefined;
  /**
   * How a connection is checked at checkout: `'socket'` (default) checks the socket, `true` runs `SELECT 1` each time
   * (mssql's default), `false` only checks the token and whether the connection is closed.
   */
  validateConnection?: boolean | 'socket' | undefined;
  /**
   * What a checkout does when a connection's token has expired and no later one is available: false (default) hands the
   * connection out, because SQL Server does not end a session when its token expires; true rejects.
   */
  strictExpiry?: boolean | undefined;
  /**
   * Where the processes of a fleet share their tokens: `redisTokenStore(client, { keys })` of `mssql-token-pool/redis`, or
   * your own `encryptedTokenStore(...)`. Default: each process gets its own tokens.
   */
  tokenStore?: EncryptedTokenStore | undefined;
  /** Scope of the token; the default follows from the server's name. */
  scope?: string | undefined;
  /** mssql's hook: called with each tedious connection before anything is sent. */
  beforeConnect?: ((connection: Connection) => void) | undefined;
  /** The tedious module to use; the default is the one that this package finds. */
  tedious?: TediousModule | undefined;
  /** Set by mssql's `parseConnectionString` from `Authentication=`; same as `authentication.type`. */
  authentication_type?: string | undefined;
  clientId?: string | undefined;
  clientSecret?: string | undefined;
  tenantId?: string | undefined;
  token?: string | undefined;
  msiEndpoint?: string | undefined;
  msiSecret?: string | undefined;
  /** Read by mssql, not by the pool. */
  stream?: boolean | undefined;
  /** Read by mssql, not by the pool. */
  parseJSON?: boolean | undefined;
  /** Read by mssql, not by the pool. */
  arrayRowMode?: boolean | undefined;
}

/** tedious's own form, or any form of a credential; an unknown option does not compile. */
export type Authentication = CredentialInput;

/** Where read-only connections go. */
export interface ReadOnlyConfig {
  /** A named replica, or the server of a geo-secondary. Default: the same server. */
  server?: string | undefined;
  /** Default: the same database. */
  database?: string | undefined;
  /** Whether read-only callers get connections to the primary while the replica cannot be used. Default false. */
  fallback?: boolean | undefined;
}

/** Pool settings; those of mssql (tarn) keep their meaning. */
export interface PoolConfig {
  /** Maximum number of connections. Default 10. */
  max?: number | undefined;
  /** Minimum number of connections: opened at startup, restored after an outage. Default 0. */
  min?: number | undefined;
  /** A connection beyond `min` that has been idle for this long is closed, ms. Default 30,000. */
  idleTimeoutMillis?: number | undefined;
  /** Longest wait for a connection, ms. Default 30,000. */
  acquireTimeoutMillis?: number | undefined;
  /**
   * Longest time to open one connection, including all attempts, ms. Default 30,000, or `acquireTimeoutMillis` if that
   * is longer.
   */
  createTimeoutMillis?: number | undefined;
  /** Longest time to close one connection, ms. Default 5,000. */
  destroyTimeoutMillis?: number | undefined;
  /**
   * Extra connections beyond `max`, so that a successor is open before its predecessor is closed. Default 1; with 0 the
   * old connection is closed first.
   */
  overlap?: number | undefined;
  /** Maximum number of renewals at the same time. Default 2. */
  maxRenewals?: number | undefined;
  /**
   * A connection older than this is replaced, ms. Default 34,200,000 (9.5 h, less up to 10 %): Azure SQL validates a
   * session's token again at a reset after about 10 h (dotnet/SqlClient #635, #767). 0 means no limit.
   */
  maxAgeMillis?: number | undefined;
  /** Maximum number of concurrent logins. Default 0: no limit other than `max`. */
  maxOpening?: number | undefined;
  /**
   * A connection that is borrowed for longer is reported once, with the stack of its checkout, ms. Default 0: off. While
   * it is on, a stack is captured at each checkout, up to 500 per second.
   */
  leakDetectionMillis?: number | undefined;
  /**
   * `'always'`: a session is reset before its next borrower uses it, so that nothing remains of the last one: database, SET
   * options, isolation level, session context, temporary tables. The reset is part of the next request. `'never'`
   * (default; `'always'` in `createTokenPools`): the next borrower finds what the last one left behind.
   */
  resetSession?: 'never' | 'always' | undefined;
  /**
   * The pool sends `SELECT 1` on a connection that is idle for longer than this, ms, less up to 20 %, so that no server or firewall
   * closes it. Default 0: off. Azure closes idle sessions after about 30 minutes.
   */
  keepaliveMillis?: number | undefined;
  /** Further check at checkout; false or a rejection closes the connection. */
  validate?: ((connection: Connection) => boolean | Promise<boolean>) | undefined;
}

import type { IssuerTrust, TokenClaims, TokenRefusal } from '../entra/verification.js';
import type { QueryHandler } from '../tsql/query-handler.js';
import type { TransactionHandler } from '../tsql/session.js';
import type { SqlErrorInfo } from './server-error.js';
import type { UpstreamConfig } from './upstream.js';

/** As much of a token credential as tedious asks for. */
export interface ServerCredential {
  getToken(scopes: string | string[]): Promise<{ token: string; expiresOnTimestamp: number }>;
}

/** Whoever can say whether a token is good: the Entra emulator, or your own check. */
export interface TokenAuthority {
  /** Base URL of the identity provider; clients are told to get their token there. */
  readonly url?: string | undefined;
  readonly tenantId?: string | undefined;
  verify(token: string, options: { audience: readonly string[]; now: number }): TokenClaims | TokenRefusal;
  /** A credential for `server.config()`. */
  credential?(): ServerCredential;
}

/**
 * How the server deals with encryption.
 *
 * - `on`: encrypts for clients that can, as a stock SQL Server does; takes TDS 8 as well.
 * - `required`: insists, as Azure SQL does; takes TDS 8 as well.
 * - `strict`: TDS 8 only.
 * - `off`, `not-supported`: says so whatever the client asks for. That is what an attacker in the middle does; a client
 *   that goes on and sends its token is broken, and `receivedInClear` proves it.
 */
export type EncryptionMode = 'on' | 'required' | 'strict' | 'off' | 'not-supported';

export interface SqlEmulatorOptions {
  /** Trusts tokens of this Entra emulator (or of anything that verifies tokens, or an issuer's published keys). */
  entra?: TokenAuthority | IssuerTrust | undefined;
  /**
   * When an expired token is noticed: at login only (as Azure SQL mostly does, the default), also when a connection is
   * reset (18456), or also at the next query (37396).
   */
  enforceExpiry?: 'login' | 'reset' | 'query' | undefined;
  /** SQL logins, password by user name. Default: `sa` with a random password, which `server.config()` knows. */
  users?: Readonly<Record<string, string>> | undefined;
  /**
   * What happens to principals (client id or user name of the token) and SQL logins: refuse `no-database-user` (accepted
   * token, no user in the database), or with an error of your own.
   */
  principals?: Readonly<Record<string, 'no-database-user' | SqlErrorInfo>> | undefined;
  /** Databases that exist; a login or USE of another gets 4060 or 911. Default: any name will do. */
  databases?: readonly string[] | undefined;
  /** Accepted token audiences. Default: `https://database.windows.net`. */
  audience?: string | readonly string[] | undefined;
  encrypt?: EncryptionMode | undefined;
  /**
   * Makes the emulator a gateway in front of a real SQL Server: it checks the token, logs in there with a SQL login and
   * passes everything on. SQL logins are passed on as they are, unless `users` says which to accept.
   */
  upstream?: UpstreamConfig | undefined;
  /** Answers SQL that the emulator does not understand. Not together with `upstream`. */
  onQuery?: QueryHandler | undefined;
  /** Is told of every transaction, for an `onQuery` that keeps data. */
  onTransaction?: TransactionHandler | undefined;
  /** Sends every client on to another server after its login. */
  redirectTo?: { server: string; port: number } | undefined;
  /** Time every login takes, ms. Default 0. */
  loginDelayMs?: number | undefined;
  /** A connection that has not logged in after this many ms is closed. Default 15,000. */
  loginTimeoutMs?: number | undefined;
  /** Largest message after login, bytes. Default 64 MiB. */
  maxMessageBytes?: number | undefined;
  /** Called once for each login when it is decided. */
  onLogin?: ((login: LoginRecord) => void) | undefined;
  /** Called when the server upstream could not be reached or did not answer a login. */
  onUpstreamError?: ((error: Error) => void) | undefined;
  /** Address to listen on. Default `127.0.0.1`. */
  host?: string | undefined;
  /** Port to listen on. Default: any free one. */
  port?: number | undefined;
  /** PEM certificate and key. Default: made for the occasion, for `localhost`. */
  certificate?: { cert: string; key: string } | undefined;
  /** `@@SERVERNAME`. Default `emulator`. */
  serverName?: string | undefined;
  /** The clock that token expiry is checked against, epoch ms. Default `Date.now`. */
  now?: (() => number) | undefined;
}

/** One LOGIN7, successful or not. */
export interface LoginRecord {
  /** When the proof of identity (password or token) arrived, epoch ms. */
  time: number;
  authentication: 'sql' | 'security-token' | 'adal' | 'integrated';
  /** Client id or user name of the token, or the SQL login; undefined if it never became known. */
  principal: string | undefined;
  /** End of the token, epoch ms. */
  tokenExpiry: number | undefined;
  encrypted: boolean;
  /** TDS 8. */
  strict: boolean;
  accepted: boolean;
  /** What the client was told; `dropped` if the connection was closed without a word. */
  error: { number: number; state: number; class: number; message: string } | 'dropped' | undefined;
  database: string;
  appName: string;
  hostName: string;
  library: string;
  clientAddress: string;
  clientPort: number;
  /** Session id, once logged in. */
  spid: number | undefined;
  /** When its connection ended, epoch ms; undefined while it is open. */
  closed: number | undefined;
}

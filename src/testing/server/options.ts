import type { IssuerTrust, TokenClaims, TokenRefusal } from '../entra/verification.js';
import type { SqlErrorInfo } from '../tds/server-error.js';

/** As much of a token credential as tedious needs. */
export interface ServerCredential {
  getToken(scopes: string | string[]): Promise<{ token: string; expiresOnTimestamp: number }>;
}

/** Anything that can verify a token: the Entra emulator, or a check of your own. */
export interface TokenAuthority {
  /** Base URL of the identity provider; the server refers clients to it for their token. */
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
 * - `off`, `not-supported`: answers so whatever the client offers. That is what an attacker in the middle does; a client
 *   that goes on and sends its token is broken, and `receivedInClear` proves it.
 */
export type EncryptionMode = 'on' | 'required' | 'strict' | 'off' | 'not-supported';

/** What the SQL emulator and the SQL gateway have in common: listening, encryption and logins. */
export interface TdsServerOptions {
  /** Trusts tokens of this Entra emulator (or of anything that verifies tokens, or an issuer's published keys). */
  entra?: TokenAuthority | IssuerTrust | undefined;
  /**
   * When an expired token is noticed: at login only (as Azure SQL mostly does, the default), also when a connection is
   * reset (18456), or also at the next query (37396).
   */
  enforceExpiry?: 'login' | 'reset' | 'query' | undefined;
  /**
   * SQL logins, password by user name (exactly as written). Default of the emulator: `sa` with a random password, which
   * `server.config()` knows. Default of the gateway: any, checked by the server upstream.
   */
  users?: Readonly<Record<string, string>> | undefined;
  /**
   * What happens to principals (client id, user name or object id of the token) and SQL logins: refuse `no-database-user`
   * (accepted token, no user in the database), or with an error of your own. Letter case and trailing blanks do not count.
   */
  principals?: Readonly<Record<string, 'no-database-user' | SqlErrorInfo>> | undefined;
  /** Databases that exist; a login or USE of another gets 4060 or 911. Default: any name will do. */
  databases?: readonly string[] | undefined;
  /** Accepted token audiences. Default: `https://database.windows.net`. */
  audience?: string | readonly string[] | undefined;
  encrypt?: EncryptionMode | undefined;
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
  /** Address to listen on. Default `127.0.0.1`. */
  host?: string | undefined;
  /** Port to listen on. Default: any free one. */
  port?: number | undefined;
  /** PEM certificate and key. Default: generated at startup, for `localhost`. */
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
  /** The error sent to the client; `dropped` if the connection was closed without one. */
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

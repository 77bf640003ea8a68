import type { IssuerTrust, TokenClaims, TokenRefusal } from '../entra/verification.js';
import {
  CERTIFICATE,
  CLOCK,
  FUNCTION,
  isRecord,
  MILLISECONDS,
  type OptionCheck,
  type OptionNames,
  PORT,
  TEXT,
  TEXT_OR_TEXTS,
  TEXTS,
} from '../known-options.js';
import type { SqlErrorInfo } from '../tds/server-error.js';

/** The part of a token credential that tedious needs. */
export interface ServerCredential {
  getToken(scopes: string | string[]): Promise<{ token: string; expiresOnTimestamp: number }>;
}

/** Verifies tokens: the Entra emulator, or your own check. */
export interface TokenAuthority {
  /** Base URL of the identity provider, which the server announces to clients. */
  readonly url?: string | undefined;
  readonly tenantId?: string | undefined;
  verify(
    token: string,
    options: { audience: readonly string[]; now: number },
  ): TokenClaims | TokenRefusal | Promise<TokenClaims | TokenRefusal>;
  /** A credential for `server.config()`. */
  credential?(): ServerCredential;
}

/**
 * How the server handles encryption.
 *
 * - `on`: encrypts if the client can, as a stock SQL Server does; accepts TDS 8 as well.
 * - `required`: requires encryption, as Azure SQL does; accepts TDS 8 as well.
 * - `strict`: TDS 8 only.
 * - `off`, `not-supported`: gives this answer regardless of what the client offers, as a man in the middle would. A client
 *   that then sends its token is broken, and `receivedInClear` proves it.
 */
export type EncryptionMode = 'on' | 'required' | 'strict' | 'off' | 'not-supported';

/** Options of both the SQL emulator and the SQL gateway: listening, encryption and logins. */
export interface TdsServerOptions {
  /** Trusts tokens of this Entra emulator (or of any token verifier, or an issuer's published keys). */
  entra?: TokenAuthority | IssuerTrust | undefined;
  /**
   * When an expired token is detected: only at login (the default, as Azure SQL mostly does), also when a connection is
   * reset (18456), or also at the next query (37396).
   */
  enforceExpiry?: 'login' | 'reset' | 'query' | undefined;
  /**
   * SQL logins: passwords by case-sensitive user name. Default of the emulator: `sa` with a random password, which
   * `server.config()` uses. Default of the gateway: any login, checked by the upstream server.
   */
  users?: Readonly<Record<string, string>> | undefined;
  /**
   * Principals (client id, user name or object id of the token) and SQL logins to refuse: with `no-database-user` (valid
   * token, but no user in the database) or with an error of your own. Case and trailing blanks are ignored.
   */
  principals?: Readonly<Record<string, 'no-database-user' | SqlErrorInfo>> | undefined;
  /** Databases that exist; a login or USE of any other gets 4060 or 911. Default: every name exists. */
  databases?: readonly string[] | undefined;
  /** Accepted token audiences. Default: `https://database.windows.net`. */
  audience?: string | readonly string[] | undefined;
  encrypt?: EncryptionMode | undefined;
  /** Redirects every client to another server after its login. */
  redirectTo?: { server: string; port: number } | undefined;
  /** Duration of every login, ms. Default 0. */
  loginDelayMs?: number | undefined;
  /** A connection that has not logged in within this time is closed, ms. Default 15,000. */
  loginTimeoutMs?: number | undefined;
  /** Largest message after login, bytes. Default 64 MiB. */
  maxMessageBytes?: number | undefined;
  /** Called once per login, when it is accepted or refused. */
  onLogin?: ((login: LoginRecord) => void) | undefined;
  /** Address to listen on. Default `127.0.0.1`. */
  host?: string | undefined;
  /** Port to listen on. Default: any free port. */
  port?: number | undefined;
  /** PEM certificate and key. Default: generated at startup, for `localhost`. */
  certificate?: { cert: string; key: string } | undefined;
  /** `@@SERVERNAME`. Default `emulator`. */
  serverName?: string | undefined;
  /** The clock used to check token expiry, epoch ms. Default `Date.now`. */
  now?: (() => number) | undefined;
}

const TRUST: OptionCheck = {
  is: (value) =>
    isRecord(value) && (typeof value.verify === 'function' || (isRecord(value.jwks) && TEXTS.is(value.issuers))),
  must: "an Entra emulator, an object with 'verify', or published keys ('jwks' and 'issuers')",
};
const PASSWORDS: OptionCheck = {
  is: (value) => isRecord(value) && Object.values(value).every((password) => typeof password === 'string'),
  must: 'an object of passwords by user name',
};
const REFUSALS: OptionCheck = {
  is: (value) =>
    isRecord(value) &&
    Object.values(value).every(
      (refusal) =>
        refusal === undefined ||
        refusal === 'no-database-user' ||
        (isRecord(refusal) && Number.isInteger(refusal.number)),
    ),
  must: "an object of 'no-database-user' or errors ({ number, ... }) by principal",
};
const ADDRESS: OptionCheck = {
  is: (value) => isRecord(value) && typeof value.server === 'string' && PORT.is(value.port),
  must: "an object with 'server' and 'port'",
};
const SIZE: OptionCheck = {
  is: (value) => Number.isSafeInteger(value) && (value as number) > 0,
  must: 'a whole number greater than 0',
};

/** For emulator and gateway, which add their own. */
export const TDS_SERVER_OPTIONS: OptionNames<TdsServerOptions> = {
  entra: TRUST,
  enforceExpiry: true,
  users: PASSWORDS,
  principals: REFUSALS,
  databases: TEXTS,
  audience: TEXT_OR_TEXTS,
  encrypt: true,
  redirectTo: ADDRESS,
  loginDelayMs: MILLISECONDS,
  loginTimeoutMs: MILLISECONDS,
  maxMessageBytes: SIZE,
  onLogin: FUNCTION,
  host: TEXT,
  port: PORT,
  certificate: CERTIFICATE,
  serverName: TEXT,
  now: CLOCK,
};

/** One LOGIN7, successful or not. */
export interface LoginRecord {
  /** When the password or token arrived, epoch ms. */
  time: number;
  authentication: 'sql' | 'security-token' | 'adal' | 'integrated';
  /** Client id or user name of the token, or the SQL login; undefined if unknown. */
  principal: string | undefined;
  /** Expiry of the token, epoch ms. */
  tokenExpiry: number | undefined;
  encrypted: boolean;
  /** True for TDS 8. */
  strict: boolean;
  accepted: boolean;
  /** The error sent to the client; `dropped` if the connection was closed without one. */
  error: { number: number; state: number; class: number; message: string } | 'dropped' | undefined;
  database: string;
  /** `ApplicationIntent=ReadOnly`. */
  readOnlyIntent: boolean;
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

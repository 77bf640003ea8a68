import {
  ConfigurationError,
  EncryptionRequiredError,
  LoginRefusedError,
  ServerUnavailableError,
  StaleTokenError,
  TokenPoolError,
} from '../errors.js';
import type { CachedToken } from '../tokens/cached-token.js';
import { LOGIN_REFUSALS } from './login-refusals.js';

/** An ERROR token of the server (MS-TDS 2.2.7.10) as tedious's `errorMessage` event gives it. */
export interface ServerMessage {
  number: number;
  state: number;
  class: number;
  message: string;
}

/** All observations about one failed login. */
export interface FailedLogin {
  /** What tedious rejected with. */
  error: Error;
  /** The ERROR tokens received before that; tedious's error has no number, state or class. */
  messages: readonly ServerMessage[];
  /** The token that was sent, if one was. */
  token: CachedToken | undefined;
  /** Why no token could be sent, if that made the login fail. */
  credentialFailure: Error | undefined;
  /** Server name, for messages. */
  server: string;
}

/**
 * What a failed login means for the next step (design: numbers, section 5):
 * - `stale`: the token is the cause; force a fresh one and try once more
 * - `ambiguous`: perhaps the token; try once more only if the token was not fresh
 * - `transient`: the server asks to retry; do so on Azure SQL's schedule
 * - `unreachable`: no server; nothing is known about the token
 * - `refused`: trying again does not help
 * - `credential`: no token was available; the token cache does its own back-off
 */
export type LoginFailureKind = 'stale' | 'ambiguous' | 'transient' | 'unreachable' | 'refused' | 'credential';

export interface LoginFailure {
  kind: LoginFailureKind;
  error: TokenPoolError;
}

/**
 * Errors after which Azure SQL asks to try again (Azure SQL: troubleshoot common errors), plus 10928/10929 (resource
 * limits). 4060 is not among them: at a login it means a wrong database name far more often than a failover.
 */
const TRANSIENT = new Set([615, 926, 4221, 10928, 10929, 40197, 40501, 40613, 42108, 42109, 49918, 49919, 49920]);

const LOGIN_FAILED = 18456;
const TOKEN_EXPIRED_ON_QUERY = 37396;
const STATE_TOKEN_EXPIRED = 233;

/** True for an error number after which Azure SQL asks to try again. */
export function isTransient(number: unknown): boolean {
  return TRANSIENT.has(number as number);
}

/** Classifies a failed login. Never throws; the returned error is free of secrets. */
export function classifyLoginFailure(login: FailedLogin): LoginFailure {
  if (login.credentialFailure !== undefined) return fromCredential(login.credentialFailure);
  for (const [number, { cause, next }] of LOGIN_REFUSALS) {
    const message = login.messages.find((m) => m.number === number);
    if (message !== undefined) return refused(login, message, `${cause} ${next}`);
  }
  const transient = login.messages.find((m) => TRANSIENT.has(m.number));
  if (transient !== undefined) {
    const hint = 'The server is busy or failing over; the login is repeated within createTimeoutMillis.';
    return {
      kind: 'transient',
      error: new ServerUnavailableError(transient.message, { ...numbers(transient), cause: login.error, hint }),
    };
  }
  const message = login.messages.at(-1);
  return message === undefined ? fromSocket(login) : fromServer(login, message);
}

/**
 * True for an ERROR token, at login or on an open session, that reports the access token as expired (SqlClient #2792,
 * #3245).
 */
export function saysTokenExpired(message: ServerMessage): boolean {
  if (message.number === TOKEN_EXPIRED_ON_QUERY) return true;
  if (message.number !== LOGIN_FAILED) return false;
  return message.state === STATE_TOKEN_EXPIRED || /token is expired/i.test(message.message);
}

/**
 * Whether a fresh token may change the server's answer. An ambiguous refusal of a token that has just been issued is about
 * its principal, not about the token.
 */
export function freshTokenMayHelp(kind: LoginFailureKind, token: CachedToken): boolean {
  return kind === 'stale' || (kind === 'ambiguous' && !isJustIssued(token));
}

/** Younger than its own login margin. */
export function isJustIssued(token: CachedToken): boolean {
  return Date.now() - token.obtainedAt < token.expiresOn - token.loginBefore;
}

function fromCredential(failure: Error): LoginFailure {
  if (failure instanceof EncryptionRequiredError) return { kind: 'refused', error: failure };
  const error =
    failure instanceof TokenPoolError
      ? failure
      : new TokenPoolError(`No access token: ${failure.message}`, { cause: failure });
  return { kind: 'credential', error };
}

function fromServer(login: FailedLogin, message: ServerMessage): LoginFailure {
  if (saysTokenExpired(message)) {
    const hint = 'A fresh token was tried too, if one was available. Check the clock of this machine.';
    return {
      kind: 'stale',
      error: new StaleTokenError(message.message, { ...numbers(message), cause: login.error, hint }),
    };
  }
  if (message.number !== LOGIN_FAILED) return refused(login, message, undefined);
  if (/not currently configured to accept this token/i.test(message.message)) {
    return refused(
      login,
      message,
      'Set a Microsoft Entra admin on the server; check that the token and the server belong to the same tenant, and that the audience is that of this cloud.',
    );
  }
  if (login.token === undefined) return refused(login, message, 'Check the user name and password.');
  if (/<token-identified principal>/i.test(message.message)) {
    const hint =
      'The token was accepted, but its principal has no user in this database: CREATE USER [name] FROM EXTERNAL PROVIDER.';
    return { kind: 'ambiguous', error: refused(login, message, hint).error };
  }
  if (/ANONYMOUS LOGON/i.test(message.message)) {
    const hint = 'No Microsoft Entra admin is set on the server, or the token is no longer valid.';
    return { kind: 'ambiguous', error: refused(login, message, hint).error };
  }
  return refused(
    login,
    message,
    "The server accepts no Microsoft Entra login of this principal: check the server's Entra admin and the user in the database.",
  );
}

const SOCKET_HINTS: ReadonlyMap<string | undefined, string> = new Map([
  [
    'ETIMEOUT',
    'The server did not answer within connectionTimeout (tedious: connectTimeout), or createTimeoutMillis ran out: check address, port, firewall, and that the server is running.',
  ],
  [
    'EPROTO',
    'What answers at this address is not a SQL Server, or a proxy changes its answers: check the server name and port.',
  ],
]);

/** No ERROR token came: the socket failed, TLS failed, or tedious gave up. */
function fromSocket({ error, token, server }: FailedLogin): LoginFailure {
  const { code } = error as { code?: string };
  if (error instanceof TokenPoolError) {
    // Our own error, thrown inside tedious's login: too many redirects, or a password that must not be sent
    // unencrypted.
    return { kind: error instanceof ServerUnavailableError ? 'unreachable' : 'refused', error };
  }
  if (code === 'EENCRYPT') {
    const hint =
      'Client and server disagree about encryption: set options.encrypt to true and enable it on the server.';
    return { kind: 'refused', error: new EncryptionRequiredError(error.message, { cause: error, hint }) };
  }
  if (needsNewerNode(error)) {
    const text = `The installed tedious needs Node.js 22 or later; this is ${process.version}.`;
    const hint =
      'Update Node.js, or use tedious 19: npm install tedious@19; with Yarn set "resolutions": { "tedious": "^19" }, with pnpm an override.';
    return { kind: 'refused', error: new ConfigurationError(text, { cause: error, hint }) };
  }
  if (/certificate|self[- ]signed|altnames|unable to (verify|get)/i.test(error.message)) {
    const hint = /altnames/i.test(error.message)
      ? "The certificate is for another name: set options.serverName ('HostNameInCertificate' in a connection string) to a name in it."
      : 'Trust the issuing CA (options.cryptoCredentialsDetails.ca or NODE_EXTRA_CA_CERTS); options.trustServerCertificate is for development.';
    const text = `The certificate of ${server} was not accepted: ${error.message}`;
    return { kind: 'refused', error: new LoginRefusedError(text, { cause: error, hint }) };
  }
  // Azure SQL may drop the socket instead of reporting "expired" (seen live: hugr-lab/mssql-extension #333).
  if (token !== undefined && Date.now() >= token.evictAt && code !== 'ETIMEOUT') {
    const text = `${server} dropped the connection during a login with a token near its end.`;
    return { kind: 'stale', error: new StaleTokenError(text, { cause: error }) };
  }
  const hint = SOCKET_HINTS.get(code) ?? 'Check the server name and port, and that the server is running.';
  const root = rootCause(error);
  const message = error.message || `No connection to ${server}.`;
  // tedious often repeats the message of the root cause in its own.
  const text = root === error || message.includes(root.message) ? message : `${message}: ${root.message}`;
  return { kind: 'unreachable', error: new ServerUnavailableError(text, { cause: error, hint }) };
}

/** tedious 20 uses functions that Node.js 20 does not have. */
function needsNewerNode(error: Error): boolean {
  return (
    Number.parseInt(process.versions.node, 10) < 22 && /withResolvers is not a function/.test(rootCause(error).message)
  );
}

/** tedious reports "Could not connect (sequence)" and keeps the error of each address in `errors`. */
function rootCause(error: Error): Error {
  let root = error;
  for (let depth = 0; depth < 5; depth += 1) {
    const next = root instanceof AggregateError ? root.errors.at(-1) : root.cause;
    if (!(next instanceof Error)) break;
    root = next;
  }
  return root;
}

function refused(login: FailedLogin, message: ServerMessage, hint: string | undefined): LoginFailure {
  const error = new LoginRefusedError(message.message, { ...numbers(message), cause: login.error, hint });
  return { kind: 'refused', error };
}

function numbers(message: ServerMessage): { number: number; state: number; class: number } {
  return { number: message.number, state: message.state, class: message.class };
}

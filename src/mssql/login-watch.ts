import type { Connection } from 'tedious';
import { classifyLoginFailure, type ServerMessage } from '../connections/login-failure.js';
import { LoginGuard } from '../connections/login-guard.js';
import { openSession, type Session, sessionOf } from '../connections/session.js';
import type { Settings } from '../connections/settings.js';
import { TokenLogin, type TokenSource } from '../connections/token-login.js';
import type { TokenCredential } from '../credentials/credential.js';
import { ConfigurationError, TokenPoolError } from '../errors.js';
import { laterToken } from '../pool/token-expiry.js';

/** How long a checkout waits for a token before it hands out a live session whose token has run out, ms. */
const LATER_TOKEN_PATIENCE_MS = 1_000;

/**
 * Follows the connections that stock mssql's pool opens: which token each of them logged in with, what a failed login
 * means, and when a connection has served long enough.
 */
export class LoginWatch {
  readonly #settings: Settings;
  readonly #source: TokenSource;
  /** The credential given out last; mssql calls `beforeConnect` in the same turn, and that makes it one connection's. */
  #next: { login: TokenLogin; adopted: boolean } | undefined;
  /** Epoch ms from which a connection is given up for one with a later token, and at any price. */
  readonly #times = new WeakMap<Connection, { renewAt: number; retireAt: number }>();

  constructor(settings: Settings, source: TokenSource) {
    this.#settings = settings;
    this.#source = source;
  }

  /** A credential for the connection that is being made. */
  nextCredential(): TokenCredential {
    const login = new TokenLogin(this.#source);
    const next = { login, adopted: false };
    this.#next = next;
    return {
      async getToken(scopes, options) {
        if (next.adopted) return login.credential.getToken(scopes, options);
        throw new ConfigurationError(
          'The beforeConnect hook of withTokenRefresh() was lost on the way to mssql: hand the whole config on, or apply withTokenRefresh() last.',
        );
      },
    };
  }

  /** Binds the last credential to its connection. The guard's time starts with its `begin`. */
  adopt(connection: Connection): LoginGuard | undefined {
    const next = this.#next;
    if (next === undefined) return undefined;
    this.#next = undefined;
    next.adopted = true;
    const { login } = next;
    const guard = new LoginGuard(connection);
    login.bind(guard);

    const messages: ServerMessage[] = [];
    const onMessage = (message: ServerMessage) => messages.push(message);
    connection.on('errorMessage', onMessage);
    // Before mssql's own listener, which makes its ConnectionError of what it finds in the error.
    connection.prependOnceListener('connect', (error?: Error) => {
      connection.off('errorMessage', onMessage);
      guard.end();
      if (error === undefined || error === null) this.#opened(connection, login);
      else this.#failed(error, messages, login);
    });
    return guard;
  }

  /**
   * False for a connection that is too old, or whose token is near its end while a later one can be had (P2). Where none
   * can be had it goes on serving, because SQL Server does not cut a session at the end of its token.
   */
  async mayServe(connection: Connection): Promise<boolean> {
    const verdict = this.mayServeNow(connection);
    if (verdict !== undefined) return verdict;
    const session = sessionOf(connection) as Session;
    // The next login fails with the reason why there is no token.
    if (this.#settings.strictExpiry) return false;
    const { tokens, scope } = this.#source;
    await tokens.get(scope, { timeoutMs: LATER_TOKEN_PATIENCE_MS }).catch(() => undefined);
    return laterToken(this.#source, session, Date.now()) === undefined;
  }

  /** The same without waiting; undefined where the token has run out and no later one is at hand. */
  mayServeNow(connection: Connection): boolean | undefined {
    const session = sessionOf(connection);
    const times = this.#times.get(connection);
    if (session === undefined || times === undefined) return true;
    const now = Date.now();
    if (now >= times.retireAt) return false;
    const { token } = session;
    if (token === undefined || now < times.renewAt) return true;
    if (laterToken(this.#source, session, now) !== undefined) return false;
    return now < token.loginBefore ? true : undefined;
  }

  #opened(connection: Connection, login: TokenLogin): void {
    const { token, openedAt } = openSession(connection, login.token);
    const { maxAgeMillis } = this.#settings.pool;
    this.#times.set(connection, {
      // Spread, so that connections opened together are not given up together.
      renewAt: token ? between(token.refreshOn, token.evictAt) : Number.POSITIVE_INFINITY,
      retireAt: maxAgeMillis > 0 ? openedAt + maxAgeMillis * (1 - Math.random() / 10) : Number.POSITIVE_INFINITY,
    });
  }

  #failed(error: Error, messages: readonly ServerMessage[], login: TokenLogin): void {
    // No token, so no login: it says itself what is wrong.
    if (error instanceof TokenPoolError) return;
    const failure = classifyLoginFailure({
      error,
      messages,
      token: login.token,
      credentialFailure: login.failure,
      server: this.#settings.configuration.server,
    });
    if (failure.kind === 'stale' && login.token) this.#source.tokens.invalidate(login.token, this.#source.scope);
    explain(error, failure.error);
  }
}

/**
 * Puts what our error knows onto the driver's. tedious wraps a failed token in an AggregateError without message or code;
 * mssql copies both into its ConnectionError and keeps the driver's error as `originalError`.
 */
function explain(driverError: Error, error: TokenPoolError): void {
  if (driverError instanceof AggregateError) {
    Object.assign(driverError, { message: error.message, code: 'EFEDAUTH' });
  }
  for (const key of ['number', 'state', 'class', 'hint', 'retryAfterMs'] as const) {
    if (error[key] !== undefined) Object.assign(driverError, { [key]: error[key] });
  }
  // A driver error that is the cause of ours must not have ours as its cause.
  if (error.cause !== driverError) driverError.cause = error;
}

function between(from: number, to: number): number {
  return from + Math.max(0, to - from) * Math.random();
}

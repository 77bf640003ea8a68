import type { Connection } from 'tedious';
import { TokenPoolError } from '../errors.js';
import { type AssessOptions, assess, assessPatiently, type OutlookSource, type Verdict } from './expiry-policy.js';
import { classifyLoginFailure, type ServerMessage, saysTokenExpired } from './login-failure.js';
import { LoginGuard } from './login-guard.js';
import { ReadOnlyPause } from './read-only-pause.js';
import { isInTransaction, openSession, type Session, type SessionOwner, sessionOf } from './session.js';
import { makeResettable } from './session-reset.js';
import type { Settings } from './settings.js';
import { TokenLogin, type TokenSource } from './token-login.js';
import { outlookOf } from './token-outlook.js';
import { hasUnread } from './unread.js';

/**
 * Tracks the connections of another library's pool: the token each of them logged in with, the meaning of a failed
 * login, and when a connection must not be used again.
 */
export class LoginWatch {
  readonly #settings: Settings;
  readonly #source: TokenSource | undefined;
  readonly #tokens: OutlookSource;
  readonly #readOnly = new ReadOnlyPause();
  /**
   * For all sessions of the pool: each is replaced once because its database is read-only, later ones only now and
   * then.
   */
  readonly #owner: SessionOwner = {
    ended: () => {},
    wasReset: () => {},
    becameUnusable: (reason) => {
      if (reason === 'read-only' && !this.#readOnly.isOn) this.#readOnly.begin();
    },
    keepsReadOnly: ({ expiry }) => {
      const openedAt = performance.now() - (expiry.now() - expiry.openedAt);
      return this.#readOnly.isOn && openedAt >= this.#readOnly.since;
    },
  };

  constructor(settings: Settings) {
    this.#settings = settings;
    this.#source = settings.source;
    this.#tokens = outlookOf(settings.source);
  }

  /**
   * Gives a newly constructed connection its own credential and guard. The guard's time starts with `begin`.
   *
   * tedious reads the credential from its own copy of the configuration when the server asks for a token. It is put there,
   * and not into the application's config, because that may be copied: a copy would share one credential among connections.
   */
  adopt(connection: Connection): LoginGuard {
    if (this.#settings.pool.resetSession === 'always') makeResettable(connection);
    this.#givePassword(connection);
    const login = this.#source && new TokenLogin(this.#source);
    const guard = new LoginGuard(connection);
    if (login !== undefined) {
      login.bind(guard);
      const { config } = connection as unknown as { config?: { authentication?: { options?: object } } };
      Object.assign(config?.authentication?.options ?? {}, { credential: login.credential });
    }

    // Runs before mssql's own listener, which builds its ConnectionError from the error.
    connection.prependOnceListener('connect', (error?: Error) => {
      guard.end();
      login?.end(connection);
      if (error === undefined || error === null) this.#opened(connection, login);
      else this.#failed(error, guard.messages, login);
    });
    return guard;
  }

  /**
   * The configs that other libraries see and print contain no credential; one that the application has set there is
   * used.
   */
  #givePassword(connection: Connection): void {
    const password = (this.#settings.configuration.authentication?.options as { password?: string } | undefined)
      ?.password;
    const { config } = connection as unknown as { config?: { authentication?: { options?: { password?: unknown } } } };
    const options = config?.authentication?.options;
    if (password !== undefined && options !== undefined) options.password ??= password;
  }

  /**
   * Whether a checkout may return the connection; false has it replaced. Nothing is renewed in the background here, so
   * a connection that is due for renewal is replaced too, each at its own random time (P11).
   */
  async mayServe(connection: Connection): Promise<boolean> {
    const session = sessionOf(connection);
    if (session === undefined) return true;
    if (isInTransaction(connection) || hasUnread(connection)) return false;
    const now = clockOf(session);
    const verdict = await assessPatiently(session.expiry, this.#tokens, now, this.#optionsFor(session));
    if (!this.#keeps(verdict)) return false;
    const need = session.reset?.returned(connection);
    if (need === 'request') return (await session.reset?.run(connection)) === true;
    return need !== 'impossible';
  }

  /**
   * The same for pools that check synchronously. If a token has been requested, the connection is replaced: the login
   * of its successor waits for that token.
   */
  mayServeNow(connection: Connection): boolean {
    const session = sessionOf(connection);
    if (session === undefined) return true;
    if (isInTransaction(connection) || hasUnread(connection)) return false;
    const { expiry, reset } = session;
    const verdict = assess(expiry, this.#tokens.outlook(), clockOf(session)(), this.#optionsFor(session));
    if (!this.#keeps(verdict)) return false;
    // A reset with a separate request takes time, which is not available here.
    const need = reset?.returned(connection);
    return need !== 'request' && need !== 'impossible';
  }

  #optionsFor({ reset }: Session): AssessOptions {
    return { strictExpiry: this.#settings.strictExpiry, resets: reset?.isNeeded };
  }

  /** A successor that cannot log in would be worse than a session that still works. */
  #keeps(verdict: Verdict): boolean {
    if (verdict !== 'renew') return verdict === 'fit';
    return this.#source !== undefined && this.#tokens.outlook().current === undefined;
  }

  #opened(connection: Connection, login: TokenLogin | undefined): void {
    const token = login?.token;
    openSession(connection, token, { maxAgeMillis: this.#settings.pool.maxAgeMillis }).owner = this.#owner;
    const source = this.#source;
    if (token === undefined || source === undefined) return;
    connection.on('errorMessage', (message: ServerMessage) => {
      if (saysTokenExpired(message)) source.tokens.invalidate(token, source.scope);
    });
  }

  #failed(error: Error, messages: readonly ServerMessage[], login: TokenLogin | undefined): void {
    // There was no token, hence no login: its own error explains why.
    if (error instanceof TokenPoolError) return;
    const failure = classifyLoginFailure({
      error,
      messages,
      token: login?.token,
      credentialFailure: login?.failure,
      server: this.#settings.configuration.server,
    });
    const token = login?.token;
    if (failure.kind === 'stale' && token) this.#source?.tokens.invalidate(token, this.#source.scope);
    explain(error, failure.error);
  }
}

/** The clock against which a token's times are compared. */
function clockOf({ token }: Session): () => number {
  return token === undefined ? Date.now : () => token.now();
}

/**
 * Copies the details of our error onto the driver's. tedious wraps a failed token in an AggregateError without message
 * or code; mssql copies both into its ConnectionError and keeps the driver's error as `originalError`.
 */
function explain(driverError: Error, error: TokenPoolError): void {
  if (driverError instanceof AggregateError || driverError.message === '') {
    Object.assign(driverError, { message: error.message, code: 'EFEDAUTH' });
  }
  // tedious 19 gives some failures of a login no code.
  if (typeof (driverError as NodeJS.ErrnoException).code !== 'string') Object.assign(driverError, { code: 'ELOGIN' });
  for (const key of ['number', 'state', 'class', 'hint', 'retryAfterMs'] as const) {
    if (error[key] !== undefined) Object.assign(driverError, { [key]: error[key] });
  }
  // A driver error that is the cause of ours must not have ours as its cause.
  if (error.cause !== driverError) driverError.cause = error;
}

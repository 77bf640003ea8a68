import { publish } from '../channels.js';
import { type CredentialError, ServerUnavailableError } from '../errors.js';
import { timerMs } from '../time.js';
import type { CachedToken } from '../tokens/cached-token.js';
import { CircuitBreaker, type PauseAround } from './circuit-breaker.js';
import { DialFailedError, DialTimeout, dial } from './dial.js';
import { EarlyEnds } from './early-ends.js';
import { tediousOf } from './load-tedious.js';
import { freshTokenMayHelp, isJustIssued } from './login-failure.js';
import type { Session } from './session.js';
import type { Settings } from './settings.js';

/** AADSTS500011: the resource does not exist in that tenant. */
const NO_SUCH_RESOURCE = 500_011;
/** If the login worked before, these are a sign that the database is not open yet. */
const CANNOT_OPEN_DATABASE = 4060;

/** The pool that connections are opened for. */
export interface DialingPool {
  /** Names it in events. */
  readonly name: string;
}

/** What a dialer reports. */
export interface DialerOwner {
  /** The server refused a token before its expiry: sessions on it should no longer be handed out. */
  tokenRefused(token: CachedToken): void;
  /** A failover is under way, during which a server may refuse logins only because it is not ready. */
  readonly isFailingOver?: boolean | undefined;
}

export interface OpenOptions {
  /** When this `open` ends, if that is earlier than `createTimeoutMs` allows, monotonic ms (`performance.now()`). */
  deadline?: number | undefined;
  /** Aborts this `open`, which rejects with the reason. */
  signal?: AbortSignal | undefined;
  /** Runs each pause between attempts. */
  pauseAround?: PauseAround | undefined;
  /** Runs before each attempt, which waits for it. */
  beforeAttempt?: ((signal: AbortSignal) => Promise<void> | undefined) | undefined;
}

/** The latest failure of an attempt that may still be retried. */
export interface DialFailure {
  error: Error;
  /** Monotonic ms. */
  at: number;
}

/**
 * Opens connections for one pool. All retries of a login happen here: once with a fresh token if the token was the
 * cause, on Azure SQL's schedule if the server is temporarily unavailable. tedious's own retry (3 times, 500 ms apart,
 * a token request each) is off.
 */
export class Dialer {
  readonly #settings: Settings;
  readonly #pool: DialingPool;
  readonly #owner: DialerOwner;
  /** Undefined while no `open` is in progress and the server works. */
  #breaker: CircuitBreaker | undefined;
  /** One for each `open` in progress; undefined while there is none. */
  #calls: Set<AbortController> | undefined;
  #closed: Error | undefined;
  #lastFailure: DialFailure | undefined;
  /** Undefined while sessions last. */
  #earlyEnds: EarlyEnds | undefined;
  /**
   * A token that was refused although it was fresh: its principal has no user on the server, and a newer token does not
   * help.
   */
  #refusedWhenFresh: string | undefined;
  /** A login has succeeded, so the credential, its user and the database exist. */
  #hasLoggedIn = false;

  constructor(settings: Settings, pool: DialingPool, owner: DialerOwner) {
    this.#settings = settings;
    this.#pool = pool;
    this.#owner = owner;
  }

  /** Milliseconds until the server is contacted again; 0 while it works. */
  get pauseMs(): number {
    return this.#breaker?.pauseMs ?? 0;
  }

  /** When the next attempt may start, monotonic ms; 0 while the server works. */
  get nextAttemptAt(): number {
    return this.#breaker?.nextAttemptAt ?? 0;
  }

  /**
   * Why the last attempt failed, even while it is being retried; undefined once an attempt has succeeded and its session has
   * lasted.
   */
  get lastFailure(): DialFailure | undefined {
    return this.#lastFailure ?? (this.earlyEnds > 0 ? this.#earlyEnds?.latest : undefined);
  }

  /** How often in a row sessions have ended right after their login; 0 while they last. */
  get earlyEnds(): number {
    if (this.#earlyEnds?.isOver === true) this.sessionsLast();
    return this.#earlyEnds?.count ?? 0;
  }

  /** A session that was opened `ageMs` ago has ended without having served: it counts as a failed attempt. */
  sessionEndedEarly(error: Error, ageMs: number): void {
    this.#earlyEnds ??= new EarlyEnds();
    // The first one in a row changes nothing: any session may be cut, and others at the same time.
    if (!this.#earlyEnds.add(error, ageMs) || this.#earlyEnds.count === 1) return;
    this.#breaker ??= new CircuitBreaker();
    this.#breaker.sessionEndedEarly(this.#earlyEnds.count);
  }

  /** A session has served, or has lasted for long enough. */
  sessionsLast(): void {
    if (this.#earlyEnds === undefined) return;
    this.#earlyEnds = undefined;
    this.#breaker?.sessionsLast();
    if (this.#calls === undefined) this.#atRest();
  }

  /**
   * A session on a usable token (P1). Settles within `createTimeoutMs`, whatever the server or a custom connector does (P6).
   *
   * @throws TokenPoolError of the class that fits the failure; the reason passed to `close`; the reason of `signal`
   */
  async open({ deadline, signal, ...pacing }: OpenOptions = {}): Promise<Session> {
    if (this.#closed !== undefined) throw this.#closed;
    signal?.throwIfAborted();
    const call = new AbortController();
    const onAbort = (): void => call.abort(signal?.reason);
    signal?.addEventListener('abort', onAbort);
    this.#calls ??= new Set();
    this.#calls.add(call);
    const { createTimeoutMillis: createTimeoutMs } = this.#settings.pool;
    const latest = Math.min(deadline ?? Number.POSITIVE_INFINITY, performance.now() + createTimeoutMs);
    const timedOut = new DialTimeout(`No login within ${createTimeoutMs} ms.`);
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(timedOut), timerMs(latest - performance.now())).unref();
    try {
      const ended = AbortSignal.any([call.signal, limit.signal]);
      const session = await this.#openUnless(call.signal, ended, latest, pacing);
      this.#lastFailure = undefined;
      this.#earlyEnds?.loggedIn();
      return session;
    } catch (error) {
      throw error === timedOut ? this.#tooLate(timedOut) : error;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      this.#calls.delete(call);
      if (this.#calls.size === 0) this.#atRest();
    }
  }

  #atRest(): void {
    this.#calls = undefined;
    if (this.#breaker?.isClosed === true) this.#breaker = undefined;
  }

  /** Aborts all dials in progress with `reason`; later calls of `open` reject. */
  close(reason: Error): void {
    this.#closed = reason;
    for (const call of this.#calls ?? []) call.abort(reason);
  }

  /** Token requests have their own time limit and a better error, so only `givenUp` ends them. */
  async #openUnless(
    givenUp: AbortSignal,
    ended: AbortSignal,
    deadline: number,
    { pauseAround, beforeAttempt }: Pick<OpenOptions, 'pauseAround' | 'beforeAttempt'>,
  ): Promise<Session> {
    if (this.#earlyEnds?.isOver === true) this.sessionsLast();
    this.#breaker ??= new CircuitBreaker();
    const breaker = this.#breaker;
    const attempt = async (): Promise<Session> => {
      await beforeAttempt?.(ended);
      return this.#attempt(ended);
    };
    let freshTokenTried = false;
    for (;;) {
      try {
        await this.#prefetchToken(deadline, givenUp);
        return await breaker.run(attempt, ended, pauseAround);
      } catch (error) {
        if (!(error instanceof DialFailedError)) throw error;
        this.#lastFailure = { error: error.failure.error, at: performance.now() };
        const { kind } = error.failure;
        if (kind === 'transient' && performance.now() + breaker.pauseMs < deadline) continue;
        if (freshTokenTried || !(await this.#getFreshToken(error, deadline, givenUp))) throw error.failure.error;
        freshTokenTried = true;
      }
    }
  }

  /** The time ran out while another dial was probing whether the server is back. */
  #tooLate(timedOut: Error): ServerUnavailableError {
    return new ServerUnavailableError(timedOut.message, {
      cause: this.#lastFailure?.error ?? timedOut,
      hint: 'The limit is pool.createTimeoutMillis.',
    });
  }

  /** Waits for a token before a socket is opened, so that connectTimeout is the server's alone. */
  async #prefetchToken(deadline: number, signal: AbortSignal): Promise<void> {
    const { source } = this.#settings;
    if (source === undefined || source.tokens.current(source.scope) !== undefined) return;
    const timeoutMs = Math.max(1, deadline - performance.now());
    try {
      await source.tokens.get(source.scope, { timeoutMs, abortSignal: signal });
    } catch (error) {
      // If its name does not determine the cloud, the server names its resource in FEDAUTHINFO.
      if (source.scopeIsFixed || (error as CredentialError).aadsts !== NO_SUCH_RESOURCE) throw error;
    }
  }

  async #attempt(signal: AbortSignal): Promise<Session> {
    const { configuration, source, beforeConnect, pool } = this.#settings;
    const tedious = await tediousOf(this.#settings);
    const limits = { maxAgeMillis: pool.maxAgeMillis, resets: pool.resetSession === 'always' };
    const startedAt = performance.now();
    try {
      const session = await dial({ tedious, configuration, source, beforeConnect, signal, ...limits });
      this.#hasLoggedIn = true;
      publish('connection:opened', () => ({
        pool: this.#pool.name,
        connection: session.id,
        tokenId: session.token?.id,
        tokenExpiresOn: session.token?.expiresOn,
        durationMs: performance.now() - startedAt,
      }));
      return session;
    } catch (cause) {
      const error = this.#inFailover(cause);
      if (error instanceof DialFailedError) {
        const { kind, error: cause } = error.failure;
        const durationMs = performance.now() - startedAt;
        publish('connection:login-failed', () => ({ pool: this.#pool.name, error: cause, kind, durationMs }));
      }
      throw error;
    }
  }

  /**
   * A login that was accepted before a failover and is refused during it is not wrong: the new primary is not ready
   * yet.
   */
  #inFailover(error: unknown): unknown {
    if (!(error instanceof DialFailedError) || !this.#hasLoggedIn || this.#owner.isFailingOver !== true) return error;
    const { kind, error: refusal } = error.failure;
    if (kind !== 'ambiguous' && refusal.number !== CANNOT_OPEN_DATABASE) return error;
    const { number, state, class: severity } = refusal;
    const unavailable = new ServerUnavailableError(refusal.message, {
      cause: refusal,
      number,
      state,
      class: severity,
      hint: 'The database has failed over, and the login is repeated until the new primary is ready.',
    });
    return new DialFailedError({ kind: 'transient', error: unavailable }, error.token);
  }

  /** Discards a refused token and requests another; false if that cannot change the server's answer. */
  async #getFreshToken({ failure, token }: DialFailedError, deadline: number, signal: AbortSignal): Promise<boolean> {
    const { source } = this.#settings;
    if (source === undefined || token === undefined) return false;
    if (failure.kind === 'ambiguous' && isJustIssued(token)) this.#refusedWhenFresh = token.id;
    if (!freshTokenMayHelp(failure.kind, token)) return false;
    if (failure.kind === 'ambiguous' && token.id === this.#refusedWhenFresh) return false;
    source.tokens.invalidate(token);
    this.#owner.tokenRefused(token);
    try {
      const timeoutMs = Math.max(1, deadline - performance.now());
      const next = await source.tokens.get(source.scope, { timeoutMs, abortSignal: signal });
      return next.id !== token.id;
    } catch {
      // The caller gets the server's refusal, which is the more useful error; the provider's failure has its own event.
      return false;
    }
  }
}

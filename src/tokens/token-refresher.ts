import { publish } from '../channels.js';
import type { GetTokenOptions } from '../credentials/credential.js';
import { TokenExpiredError, type TokenPoolError } from '../errors.js';
import type { CachedToken } from './cached-token.js';
import { type CredentialRequest, isoTime } from './credential-request.js';
import { ProviderBackOff } from './provider-back-off.js';
import { RefreshFlight } from './refresh-flight.js';
import { aborted, type WaitTerms } from './wait-for.js';

/** Minimum time between forced refreshes: a server that refuses every token must not cause a storm of requests. */
const FORCED_REFRESH_APART_MS = 5_000;

/** Settings shared by all requests of one refresher. */
export interface RefresherSettings {
  /** Requests a token from the identity provider, or reads the one that another process has just requested. */
  request: (request: CredentialRequest) => Promise<CachedToken>;
  identity: string;
  scope: string;
  /** Sent with each request. */
  options: GetTokenOptions;
  /** Longest a request may take, ms. */
  timeoutMs: () => number;
}

/** How one caller waits, and what its token must carry. */
interface GetTerms extends WaitTerms {
  claims?: string | undefined;
}

/** The state of a token, without a request for one. */
export interface TokenStatus {
  /** The usable token, if there is one. */
  current: CachedToken | undefined;
  /** The request that is under way, if there is one. */
  refresh:
    | {
        /** Monotonic ms (`performance.now()`). */
        startedAt: number;
        /** Resolves when the request has ended, either way; never rejects. */
        settled: Promise<void>;
      }
    | undefined;
  /** Why the last refresh failed, until one succeeds, even while the current token is still usable. */
  failure: TokenPoolError | undefined;
}

/**
 * Keeps the token of one identity for one scope fresh. From top to bottom, it follows the life of a token: a caller
 * looks (`current`) or waits (`get`), a refresh starts and succeeds or fails, and a token that the server refuses is
 * invalidated.
 *
 * The only timers are those of a request and its waiters: refreshes happen on demand, and a pool with connections looks
 * often enough.
 */
export class TokenRefresher {
  readonly #settings: RefresherSettings;
  readonly #backOff = new ProviderBackOff();
  #current: CachedToken | undefined;
  /** When the current token is to be refreshed, on its own clock: its `refreshOn`, or at once if it was refused. */
  #refreshDueAt = 0;
  #flight: RefreshFlight | undefined;
  /** The last answer, even if it has been refused since: a provider with a cache may return it again. */
  #lastAnswer: CachedToken | undefined;
  #refusedId: string | undefined;
  #forcedAt = Number.NEGATIVE_INFINITY;
  /** Claims that the server demanded; every later request carries them. */
  #claims: string | undefined;
  #currentClaims: string | undefined;
  /** Monotonic time of the last request or invalidation. */
  #usedAt = performance.now();

  constructor(settings: RefresherSettings) {
    this.#settings = settings;
  }

  /**
   * A usable token or undefined, at once. Starts a refresh in the background when one is due.
   *
   * @param patienceMs how long the caller waits for that refresh if there is no usable token, ms
   */
  current(patienceMs?: number): CachedToken | undefined {
    const wall = Date.now();
    const monotonic = performance.now();
    const token = this.#current;
    if (token !== undefined && token.now(wall, monotonic) < this.#refreshDueAt) return token;
    const usable = token?.isUsable(wall, monotonic) ? token : undefined;
    if (this.#flight === undefined && this.#mayRefresh(usable)) {
      // A caller that gets a usable token does not wait: its patience is no reason to hurry past the lease of a shared store.
      this.#refresh(usable === undefined ? patienceMs : undefined);
    }
    return usable;
  }

  /** A usable token or undefined. No side effects. */
  peek(): CachedToken | undefined {
    return this.#current?.isUsable() ? this.#current : undefined;
  }

  /** The state of the token. No side effects. */
  status(): TokenStatus {
    const flight = this.#flight;
    return {
      current: this.peek(),
      refresh: flight && { startedAt: flight.startedAt, settled: flight.settled },
      failure: this.#backOff.failure,
    };
  }

  /** Time since the last activity, ms; undefined while there is a usable token or a request in flight. */
  get idleMs(): number | undefined {
    if (this.#flight !== undefined || this.peek() !== undefined) return undefined;
    return performance.now() - this.#usedAt;
  }

  /** Whether there ever was a token. */
  get hasSucceeded(): boolean {
    return this.#lastAnswer !== undefined;
  }

  /** A usable token, waiting for the shared request if there is none; rejects at once during back-off. */
  get(terms: GetTerms = {}): Promise<CachedToken> {
    if (terms.abortSignal?.aborted) return Promise.reject(aborted(terms.abortSignal));
    const { claims } = terms;
    if (claims === undefined || claims === this.#currentClaims) {
      const token = this.current(terms.timeoutMs);
      if (token !== undefined) return Promise.resolve(token);
    }
    const flight = this.#flight;
    if (flight !== undefined) {
      if (claims === undefined || claims === flight.claims) return flight.wait(terms);
      // The request in flight lacks these claims: another one follows it, whatever its outcome.
      return flight.wait(
        terms,
        flight.settled.then(() => this.get({ claims })),
      );
    }
    const { failure, waitMs } = this.#backOff;
    if (failure !== undefined && waitMs > 0) return Promise.reject(failure);
    if (claims !== undefined) this.#demand(claims);
    return this.#refresh(terms.timeoutMs).wait(terms);
  }

  /** Adopts a token that its identity obtained in another way. */
  offer(token: CachedToken): void {
    this.#adopt(token, undefined, performance.now());
  }

  /** Discards the token if it is the current one and a replacement may be requested now. */
  invalidate(token: string): boolean {
    const current = this.#current;
    if (current === undefined || !current.is(token)) return false;
    this.#refusedId = current.id;
    // Even refused, it is the only token until another may be requested; from now on, a successor is due.
    this.#refreshDueAt = 0;
    const now = performance.now();
    if (now - this.#forcedAt < FORCED_REFRESH_APART_MS) return false;
    if (this.#backOff.isFailing && this.#backOff.waitMs > 0) return false;
    this.#forcedAt = now;
    this.#usedAt = now;
    this.#current = undefined;
    const { identity, scope } = this.#settings;
    publish('token:invalidated', () => ({ identity, scope, tokenId: current.id }));
    return true;
  }

  /** A claims challenge also means that the server refused the token. */
  #demand(claims: string): void {
    this.#claims = claims;
    this.#refusedId = this.#current?.id;
  }

  /** Without a usable token, only a failure delays the next request; with one, so does the pause after every answer. */
  #mayRefresh(usable: CachedToken | undefined): boolean {
    if (usable === undefined && this.#backOff.failure === undefined) return true;
    return this.#backOff.waitMs === 0;
  }

  #refresh(patienceMs: number | undefined): RefreshFlight {
    const { request, identity, scope, options } = this.#settings;
    const claims = this.#claims;
    const refusedId = this.#refusedId;
    const cached = this.#current;
    const startedAt = performance.now();
    this.#usedAt = startedAt;
    // If the current token was refused, this is the forced refresh, whatever starts it.
    if (cached !== undefined && cached.id === refusedId) this.#forcedAt = startedAt;
    const flight = new RefreshFlight({
      request: (abortSignal) =>
        request({ ...options, identity, scope, claims, cached, refusedId, patienceMs, abortSignal }),
      claims,
      timeoutMs: this.#settings.timeoutMs(),
      onAnswer: (answer, late) => {
        if (!late) this.#flight = undefined;
        return this.#adopt(answer, claims, startedAt);
      },
      onFailure: (error) => {
        this.#flight = undefined;
        const failure = this.#failed(error, startedAt);
        // The clock may have been corrected in the meantime: then the token is usable again (P4).
        const usable = claims === this.#currentClaims ? this.peek() : undefined;
        return usable === undefined || usable.id === refusedId ? failure : usable;
      },
    });
    this.#flight = flight;
    return flight;
  }

  /**
   * Adopts an answer if it is later than the current token. Returns the token to use, or the error if there is none.
   */
  #adopt(answer: CachedToken, claims: string | undefined, startedAt: number): CachedToken | TokenPoolError {
    const { identity, scope } = this.#settings;
    // A token that is returned again keeps its original life, so that its margins do not shrink with each answer.
    const again = this.#lastAnswer?.is(answer.reveal()) === true ? this.#lastAnswer : undefined;
    const offered = again ?? answer;
    const isBetter = this.#isBetter(offered);
    if (isBetter) {
      this.#current = offered;
      this.#currentClaims = claims;
      this.#refreshDueAt = offered.id === this.#refusedId ? 0 : offered.refreshOn;
    }
    this.#lastAnswer = offered;

    // If the provider has nothing newer yet, or has just answered, no new request is sent for a while.
    const current = this.#current ?? offered;
    const pauseMs = Math.min(FORCED_REFRESH_APART_MS, (current.expiresOn - current.obtainedAt) / 10);
    const nothingNew = again !== undefined || !isBetter;
    const quietMs = nothingNew ? Math.max(current.remainingMs() / 8, pauseMs) : pauseMs;
    const usable = this.peek();
    const useless = usable === undefined ? expiresTooSoon(current, quietMs) : undefined;
    this.#backOff.succeeded(quietMs, useless);

    publish('token:refreshed', () => ({
      identity,
      scope,
      tokenId: offered.id,
      expiresOn: offered.expiresOn,
      durationMs: performance.now() - startedAt,
      sameToken: again !== undefined,
      fromStore: answer.fromStore,
    }));
    return usable ?? (useless as TokenPoolError);
  }

  /** Compares the remaining life of two tokens, not their expiry: the wall clock may have been set in between. */
  #isBetter(offered: CachedToken): boolean {
    const current = this.#current;
    if (current === undefined) return true;
    if (offered.id === this.#refusedId) return false;
    if (current.id === this.#refusedId) return true;
    const wall = Date.now();
    const monotonic = performance.now();
    if (!current.isUsable(wall, monotonic) && offered.isUsable(wall, monotonic)) return true;
    return offered.remainingMs(wall, monotonic) > current.remainingMs(wall, monotonic);
  }

  #failed(error: TokenPoolError, startedAt: number): TokenPoolError {
    const { identity, scope } = this.#settings;
    const failure = this.#backOff.failed(error);
    const retryAfterMs = this.#backOff.waitMs;
    publish('token:failed', () => ({
      identity,
      scope,
      error: failure,
      durationMs: performance.now() - startedAt,
      retryAfterMs,
    }));
    return failure;
  }
}

function expiresTooSoon(token: CachedToken, retryAfterMs: number): TokenPoolError {
  return new TokenExpiredError(
    `The only token available expires at ${isoTime(token.expiresOn)}, too soon for a login.`,
    { retryAfterMs, hint: 'The credential returns the same token again; it must renew the token before it expires.' },
  );
}

import { publish } from '../channels.js';
import type { GetTokenOptions } from '../credentials/credential.js';
import { asCredentialFailure } from '../credentials/entra/provider-error.js';
import { CredentialError, TokenExpiredError, type TokenPoolError, TokenTimeoutError } from '../errors.js';
import { backOffMs, durationMs } from '../time.js';
import { type AskedToken, isoTime, type TokenRequest } from './ask-credential.js';
import { CachedToken, refreshTime } from './cached-token.js';
import { aborted, waitFor } from './wait-for.js';

/** Azure's own advice for SQL and Entra alike: first retry after 5 s, doubling, never more than a minute apart (P5). */
const BACK_OFF = { firstMs: 5_000, longestMs: 60_000, jitter: 0.1 };
/** MSAL's bound too: a wrong `Retry-After` must not stop requests for days. */
const LONGEST_RETRY_AFTER_MS = 3_600_000;
/** At most one forced refresh in this time: a server that refuses every token must not become a storm of requests. */
const FORCED_REFRESH_APART_MS = 5_000;

/** What all requests of one refresher have in common. */
export interface RefresherSettings {
  /** Gets a token from the identity provider, or from whoever has just done so. */
  ask: (request: TokenRequest) => Promise<AskedToken>;
  identity: string;
  scope: string;
  /** Goes along with each request. */
  request: GetTokenOptions;
  /** Longest a request may take, ms. */
  timeoutMs: () => number;
}

/** How one caller waits. */
interface Wait {
  abortSignal?: AbortSignal | undefined;
  timeoutMs?: number | undefined;
  /** What the token must carry. */
  claims?: string | undefined;
}

/** One request to the identity provider, and everybody who waits for it. */
interface Flight {
  token: Promise<CachedToken>;
  claims: string | undefined;
  timer: NodeJS.Timeout;
  waiting: number;
}

/**
 * Keeps the token of one identity for one scope fresh. The life of a token, top to bottom: somebody looks (`current`) or waits
 * (`get`), a request starts, is answered, fails or hangs, and a token that the server refuses is thrown away.
 *
 * There is no timer here besides those of a request and of its waiters: refreshing is on demand, and whoever keeps
 * connections looks often enough. Expiry is wall time, because tokens say it so; back-off is monotonic, so that setting the
 * clock neither lengthens nor shortens it.
 */
export class TokenRefresher {
  readonly #settings: RefresherSettings;
  #current: CachedToken | undefined;
  /** Wall time from which the current token wants a successor: its `refreshOn`, or at once when it was refused. */
  #refreshDueAt = 0;
  #flight: Flight | undefined;
  /** Monotonic time before which the identity provider is left alone. */
  #quietUntil = 0;
  #failuresInRow = 0;
  /** Why there is no usable token; gone with the next good answer. */
  #failure: TokenPoolError | undefined;
  /** The last answer, even if refused since: a provider that has a cache may give it again. */
  #lastAnswer: CachedToken | undefined;
  #refusedId: string | undefined;
  #forcedAt = Number.NEGATIVE_INFINITY;
  /** Claims that the server asked for; once asked for, every later request carries them. */
  #claims: string | undefined;
  #currentClaims: string | undefined;

  constructor(settings: RefresherSettings) {
    this.#settings = settings;
  }

  /** A usable token or undefined, at once. Starts a request in the background when one is due. */
  current(): CachedToken | undefined {
    const now = Date.now();
    if (now < this.#refreshDueAt) return this.#current;
    const token = this.#usable(now);
    if (this.#flight === undefined && !this.#isQuiet(token)) this.#start();
    return token;
  }

  /** A usable token or undefined. Starts nothing. */
  peek(): CachedToken | undefined {
    return this.#usable(Date.now());
  }

  /** A usable token, waiting for the shared request where there is none. */
  get(options: Wait = {}): Promise<CachedToken> {
    if (options.abortSignal?.aborted) return Promise.reject(aborted(options.abortSignal));
    const { claims } = options;
    if (claims === undefined || claims === this.#currentClaims) {
      const token = this.current();
      if (token !== undefined) return Promise.resolve(token);
    }
    return this.#keepingAlive(waitFor(this.#next(claims), options));
  }

  /** Takes over a token that was got beside it. */
  offer(token: AskedToken): void {
    this.#adopt(token, { claims: undefined }, performance.now());
  }

  /** Throws the token away if it is the current one and a replacement may be asked for now. */
  invalidate(token: string): boolean {
    const current = this.#current;
    if (current === undefined || !current.is(token)) return false;
    this.#refusedId = current.id;
    // Refused or not, it is all there is until the provider may be asked; from now on a successor is wanted.
    this.#refreshDueAt = 0;
    const now = performance.now();
    if (now - this.#forcedAt < FORCED_REFRESH_APART_MS) return false;
    if (this.#failuresInRow > 0 && now < this.#quietUntil) return false;
    this.#forcedAt = now;
    this.#current = undefined;
    const { identity, scope } = this.#settings;
    publish('token:invalidated', () => ({ identity, scope, tokenId: current.id }));
    return true;
  }

  #usable(now: number): CachedToken | undefined {
    const token = this.#current;
    return token !== undefined && now < token.loginBefore ? token : undefined;
  }

  /** Without a usable token only a failure keeps us from asking; with one, the pause after any answer does. */
  #isQuiet(usable: CachedToken | undefined): boolean {
    if (usable === undefined && this.#failure === undefined) return false;
    return performance.now() < this.#quietUntil;
  }

  /** The answer of the request under way, or of a new one; fails at once while the provider is to be left alone. */
  #next(claims: string | undefined): Promise<CachedToken> {
    const under = this.#flight;
    if (under !== undefined) {
      if (claims === undefined || claims === under.claims) return under.token;
      // The answer under way lacks these claims: ask again after it, whatever comes of it.
      return under.token.then(
        () => this.get({ claims }),
        () => this.get({ claims }),
      );
    }
    const waitMs = this.#quietUntil - performance.now();
    if (this.#failure !== undefined && waitMs > 0) return Promise.reject(askAgainLater(this.#failure, waitMs));
    if (claims !== undefined) {
      // A claims challenge is how a server refuses a token that it could read.
      this.#claims = claims;
      this.#refusedId = this.#current?.id;
    }
    return this.#start().token;
  }

  /** A request keeps the process alive as long as somebody waits for it; in the background, or given up by all, it does not. */
  #keepingAlive<T>(waiting: Promise<T>): Promise<T> {
    const flight = this.#flight;
    if (flight === undefined) return waiting;
    flight.waiting += 1;
    flight.timer.ref();
    const leave = () => {
      flight.waiting -= 1;
      if (flight.waiting === 0) flight.timer.unref();
    };
    waiting.then(leave, leave);
    return waiting;
  }

  #start(): Flight {
    const { ask, identity, scope, request } = this.#settings;
    const timeoutMs = this.#settings.timeoutMs();
    const claims = this.#claims;
    const refusedId = this.#refusedId;
    const held = this.#current;
    const startedAt = performance.now();
    // Where the token at hand was refused, this is the forced refresh, whoever starts it.
    if (held !== undefined && held.id === refusedId) this.#forcedAt = startedAt;
    const abort = new AbortController();

    let resolve: (token: CachedToken) => void = () => {};
    let reject: (error: TokenPoolError) => void = () => {};
    const token = new Promise<CachedToken>((onToken, onError) => {
      resolve = onToken;
      reject = onError;
    });
    // A refresh in the background has nobody who waits; its failure was published.
    token.catch(() => {});

    const land = (outcome: () => CachedToken | TokenPoolError): void => {
      clearTimeout(timer);
      this.#flight = undefined;
      const result = outcome();
      if (result instanceof CachedToken) resolve(result);
      else reject(result);
    };
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      const error = new TokenTimeoutError(`The identity provider did not answer within ${timeoutMs} ms.`, {
        hint: 'Check the network path to the identity provider, proxies and firewalls included.',
      });
      land(() => this.#failed(error, startedAt));
      abort.abort(error);
    }, timeoutMs);
    timer.unref();

    const flight = { token, claims, timer, waiting: 0 };
    this.#flight = flight;
    // In a later turn of the microtask queue: whoever looked is not held up by the credential's own code.
    Promise.resolve()
      .then(() => ask({ ...request, identity, scope, claims, held, refusedId, abortSignal: abort.signal }))
      .then(
        (answer) => {
          // A late answer is as good as a punctual one, if it is better than what there is by now.
          if (timedOut) this.#adopt(answer, flight, startedAt);
          else land(() => this.#adopt(answer, flight, startedAt));
        },
        (thrown: unknown) => {
          if (!timedOut) land(() => this.#failed(asCredentialFailure(thrown), startedAt));
        },
      );
    return flight;
  }

  /** Takes an answer over, if it is later than what there is. Gives the token to use, or why there is none. */
  #adopt(answer: AskedToken, flight: Pick<Flight, 'claims'>, startedAt: number): CachedToken | TokenPoolError {
    const { identity, scope } = this.#settings;
    const now = Date.now();
    // Given again, a token keeps the life it had when it was new, so that its margins do not shrink with each answer.
    const again = this.#lastAnswer?.is(answer.token) === true ? this.#lastAnswer : undefined;
    const { obtainedAt } = answer;
    const offered = again ?? new CachedToken(answer, { obtainedAt, refreshOn: refreshTime(answer, obtainedAt) });
    const current = this.#current;
    const refused = (token: CachedToken) => token.id === this.#refusedId;
    const better =
      current === undefined || (!refused(offered) && (refused(current) || offered.expiresOn > current.expiresOn));
    if (better) {
      this.#current = offered;
      this.#currentClaims = flight.claims;
      this.#refreshDueAt = refused(offered) ? 0 : offered.refreshOn;
    }
    this.#lastAnswer = offered;
    this.#failuresInRow = 0;
    this.#failure = undefined;

    // Asking a provider that has nothing newer yet is pointless for a while, and so is asking one right after it answered.
    const held = this.#current ?? offered;
    const lifeMs = held.expiresOn - held.obtainedAt;
    const pauseMs = Math.min(FORCED_REFRESH_APART_MS, lifeMs / 10);
    const nothingNew = again !== undefined || !better;
    const quietMs = nothingNew ? Math.max((held.expiresOn - now) / 8, pauseMs) : pauseMs;
    this.#quietUntil = performance.now() + quietMs;

    publish('token:refreshed', () => ({
      identity,
      scope,
      tokenId: offered.id,
      expiresOn: offered.expiresOn,
      durationMs: performance.now() - startedAt,
      sameToken: again !== undefined,
      fromStore: answer.fromStore,
    }));
    const usable = this.#usable(now);
    if (usable !== undefined) return usable;
    this.#failure = new TokenExpiredError(
      `The only token that can be had ends at ${isoTime(held.expiresOn)}, too soon for a login.`,
      { retryAfterMs: quietMs, hint: 'The credential gives the same token again: it must renew it before it ends.' },
    );
    return this.#failure;
  }

  #failed(error: TokenPoolError, startedAt: number): TokenPoolError {
    const { identity, scope } = this.#settings;
    this.#failuresInRow += 1;
    const retryAfterMs = Math.min(LONGEST_RETRY_AFTER_MS, durationMs(error.retryAfterMs) ?? 0);
    const waitMs = backOffMs(this.#failuresInRow, BACK_OFF, retryAfterMs);
    this.#quietUntil = performance.now() + waitMs;
    this.#failure = askAgainLater(error, waitMs);
    const failure = this.#failure;
    publish('token:failed', () => ({
      identity,
      scope,
      error: failure,
      durationMs: performance.now() - startedAt,
      retryAfterMs: waitMs,
    }));
    return failure;
  }
}

/** The same error with the time that is left now, and the stack of whoever meets it now. */
function askAgainLater(error: TokenPoolError, waitMs: number): TokenPoolError {
  if (!(error instanceof CredentialError)) return error;
  const Kind = error.constructor as typeof CredentialError;
  return new Kind(error.message, { ...error, cause: error.cause, retryAfterMs: Math.ceil(waitMs) });
}

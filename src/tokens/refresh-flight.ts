import { asCredentialFailure } from '../credentials/entra/provider-error.js';
import { type TokenPoolError, TokenTimeoutError, TokenUnavailableError } from '../errors.js';
import type { CachedToken } from './cached-token.js';
import { type WaitTerms, waitFor } from './wait-for.js';

/** How the request is made, and what happens to its outcome. */
export interface FlightPlan {
  /** Sends the request. */
  request: (signal: AbortSignal) => Promise<CachedToken>;
  /** Longest the request may take, ms. */
  timeoutMs: number;
  /** Claims that the token must carry. */
  claims: string | undefined;
  /**
   * Handles an answer: returns the token to use, or throws why there is none. `late` if the request timed out before it
   * arrived.
   */
  onAnswer: (answer: CachedToken, late: boolean) => CachedToken | TokenPoolError;
  /** Records a failure; returns the error to reject with, or a token that can still be used. */
  onFailure: (error: TokenPoolError) => CachedToken | TokenPoolError;
}

/** One request to the identity provider, and the callers that wait for it (P3). It settles exactly once, whatever happens. */
export class RefreshFlight {
  readonly claims: string | undefined;
  /** Monotonic ms. */
  readonly startedAt = performance.now();
  readonly #token: Promise<CachedToken>;
  readonly #timer: NodeJS.Timeout;
  #waiting = 0;

  constructor({ request, timeoutMs, claims, onAnswer, onFailure }: FlightPlan) {
    this.claims = claims;
    const abort = new AbortController();
    let settled = false;
    let settle: (outcome: () => CachedToken | TokenPoolError) => void = () => {};
    this.#token = new Promise((resolve, reject) => {
      settle = (outcome) => {
        settled = true;
        clearTimeout(this.#timer);
        const result = attempt(outcome);
        if (result instanceof Error) reject(result);
        else resolve(result);
      };
    });
    // A background refresh has no waiting caller; its failure has been published.
    this.#token.catch(() => {});

    this.#timer = setTimeout(() => {
      const error = new TokenTimeoutError(`The identity provider did not answer within ${timeoutMs} ms.`, {
        hint: 'Check the network path to the identity provider, including proxies and firewalls.',
      });
      settle(() => onFailure(error));
      abort.abort(error);
    }, timeoutMs).unref();

    // Deferred to a microtask: the credential's own code must not block a caller of `current()`.
    Promise.resolve()
      .then(() => request(abort.signal))
      .then(
        (answer) => {
          // A late answer is still used if it is better than the current token.
          if (settled) attempt(() => onAnswer(answer, true));
          else settle(() => onAnswer(answer, false));
        },
        (thrown: unknown) => {
          if (!settled) settle(() => onFailure(asFailure(thrown)));
        },
      );
  }

  /** Resolves when the flight has settled; never rejects. */
  get settled(): Promise<void> {
    return this.#token.then(ignore, ignore);
  }

  /**
   * Waits for the token, or for `next` that follows it, within one caller's own limits. The flight keeps the process
   * alive as long as a caller waits for it.
   */
  wait(terms: WaitTerms, next: Promise<CachedToken> = this.#token): Promise<CachedToken> {
    this.#waiting += 1;
    this.#timer.ref();
    const leave = (): void => {
      this.#waiting -= 1;
      if (this.#waiting === 0) this.#timer.unref();
    };
    const waiting = waitFor(next, terms);
    waiting.then(leave, leave);
    return waiting;
  }
}

function ignore(): void {}

/** Settling must not depend on what a credential throws: a getter of the thrown object may throw as well. */
function attempt(outcome: () => CachedToken | TokenPoolError): CachedToken | TokenPoolError {
  try {
    return outcome();
  } catch (error) {
    return asFailure(error);
  }
}

function asFailure(thrown: unknown): TokenPoolError {
  try {
    return asCredentialFailure(thrown);
  } catch {
    return new TokenUnavailableError('The credential failed with an error that cannot be read.');
  }
}

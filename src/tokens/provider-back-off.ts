import {
  CredentialError,
  CredentialRejectedError,
  CredentialUnavailableError,
  InteractionRequiredError,
  ProofUnavailableError,
  TokenExpiredError,
  type TokenPoolError,
  TokenThrottledError,
  TokenTimeoutError,
  TokenUnavailableError,
} from '../errors.js';
import { backOffMs, durationMs } from '../time.js';

/** Azure's own advice for SQL and Entra alike: first retry after 5 s, doubling, never more than a minute apart (P5). */
const BACK_OFF = { firstMs: 5_000, longestMs: 60_000, jitter: 0.1 };
/** The same bound as MSAL's: a wrong `Retry-After` must not stop requests for days. */
const LONGEST_RETRY_AFTER_MS = 3_600_000;
/**
 * A file that is written late or a function that fails is tried again soon, because no provider is asked; the cap limits the
 * work of a mistake that stays, such as a wrong path or a key that takes long to derive.
 */
const PROOF_BACK_OFF = { firstMs: 1_000, longestMs: 5_000, jitter: 0.1 };

/**
 * Only the constructors of our own classes are known to take a message and details; a user's credential may throw a
 * subclass with another constructor.
 */
const COPYABLE: readonly (typeof CredentialError)[] = [
  CredentialError,
  CredentialRejectedError,
  CredentialUnavailableError,
  InteractionRequiredError,
  TokenUnavailableError,
  TokenThrottledError,
  TokenTimeoutError,
  ProofUnavailableError,
  TokenExpiredError,
];

/**
 * When a token may be requested again. Failed requests to the identity provider and missing proofs have separate schedules. Times
 * are monotonic, so that setting the wall clock neither lengthens nor shortens a wait.
 */
export class ProviderBackOff {
  #failuresInRow = 0;
  /** Requests in a row for which no proof of the identity was available, so that the provider was not asked. */
  #withoutProofInRow = 0;
  #quietUntil = Number.NEGATIVE_INFINITY;
  #failure: TokenPoolError | undefined;

  /** Milliseconds until the next request; 0 if it may start now. */
  get waitMs(): number {
    return Math.max(0, this.#quietUntil - performance.now());
  }

  /** The last failure since the last success, with the remaining wait. */
  get failure(): TokenPoolError | undefined {
    return this.#failure && withRetryAfter(this.#failure, this.waitMs);
  }

  get isFailing(): boolean {
    return this.#failuresInRow > 0 || this.#withoutProofInRow > 0;
  }

  /**
   * Records a failure: the wait doubles, or is what the identity provider's `Retry-After` says. Returns the failure to
   * report.
   */
  failed(error: TokenPoolError): TokenPoolError {
    const retryAfterMs = Math.min(LONGEST_RETRY_AFTER_MS, durationMs(error.retryAfterMs) ?? 0);
    const waitMs = backOffMs(this.#count(error), isWithoutProof(error) ? PROOF_BACK_OFF : BACK_OFF, retryAfterMs);
    this.#quietUntil = performance.now() + waitMs;
    this.#failure = withRetryAfter(error, waitMs);
    return this.#failure;
  }

  /**
   * A request without proof does not change the provider's own series of failures, and ends no pause, because none
   * starts during one (P5).
   */
  #count(error: TokenPoolError): number {
    if (isWithoutProof(error)) {
      this.#withoutProofInRow += 1;
      return this.#withoutProofInRow;
    }
    this.#withoutProofInRow = 0;
    this.#failuresInRow += 1;
    return this.#failuresInRow;
  }

  /** Records a success: the next request waits for `pauseMs`. `useless` is the reason if its token cannot be used. */
  succeeded(pauseMs: number, useless?: TokenPoolError): void {
    this.#failuresInRow = 0;
    this.#withoutProofInRow = 0;
    this.#quietUntil = performance.now() + pauseMs;
    this.#failure = useless;
  }
}

/** Including the caller's own subclasses. */
function isWithoutProof(error: TokenPoolError): boolean {
  return error instanceof ProofUnavailableError;
}

/** The same error with the remaining wait, and the stack of the current caller. */
function withRetryAfter(error: TokenPoolError, waitMs: number): TokenPoolError {
  const Kind = COPYABLE.find((kind) => Object.getPrototypeOf(error) === kind.prototype);
  if (Kind === undefined || !(error instanceof CredentialError)) return error;
  return new Kind(error.message, { ...error, cause: error.cause, retryAfterMs: Math.ceil(waitMs) });
}

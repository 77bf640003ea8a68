import { durationMs } from './time.js';

/**
 * Every error this library throws. One class per kind of failure, each with a stable `code`, so that a caller can
 * `switch (error.code)` without parsing messages. No error ever carries a token, secret, assertion or password (P10):
 * the code that creates one passes only text that is free of them, and `cause` is a redacted copy if the original is
 * not.
 */

/** Details from SQL Server, the identity provider or the operating system, as far as they are known. */
export interface TokenPoolErrorDetails {
  /** SQL Server error number (18456, 40613, 37396, ...). */
  number?: number | undefined;
  /** SQL Server error state (233 = "Token is expired"). */
  state?: number | undefined;
  /** SQL Server error class, 0 to 25. */
  class?: number | undefined;
  /** Milliseconds after which another attempt makes sense. */
  retryAfterMs?: number | undefined;
  /** The underlying error. */
  cause?: unknown;
  /** What to do about it, one sentence. */
  hint?: string | undefined;
}

/** Only known details become properties, because a printed error would list the others as undefined. */
function setKnown(error: Error, details: object): void {
  Object.assign(error, Object.fromEntries(Object.entries(details).filter(([, value]) => value !== undefined)));
}

/** Base class: `error instanceof TokenPoolError` is true for everything this library throws. */
export class TokenPoolError extends Error {
  override name = 'TokenPoolError';
  /** Stable identifier, `ERR_...`. */
  readonly code: string = 'ERR_TOKEN_POOL';
  /** SQL Server error number. */
  declare readonly number: number | undefined;
  /** SQL Server error state. */
  declare readonly state: number | undefined;
  /** SQL Server error class. */
  declare readonly class: number | undefined;
  /** Milliseconds after which another attempt makes sense. */
  declare readonly retryAfterMs: number | undefined;
  /** What to do about it. */
  declare readonly hint: string | undefined;

  constructor(message: string, details: TokenPoolErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    const { number, state, class: severity, retryAfterMs, hint } = details;
    setKnown(this, { number, state, class: severity, retryAfterMs: durationMs(retryAfterMs), hint });
  }
}

/** The configuration cannot work as given; the message names the setting and how to fix it. Thrown synchronously where possible. */
export class ConfigurationError extends TokenPoolError {
  override name = 'ConfigurationError';
  override readonly code = 'ERR_CONFIGURATION';
}

/** Details from an identity provider, in addition to the common ones. */
export interface CredentialErrorDetails extends TokenPoolErrorDetails {
  /** HTTP status of the identity provider's answer. */
  status?: number | undefined;
  /** First AADSTS number of the answer, e.g. 7000215. */
  aadsts?: number | undefined;
  /** Correlation id to quote to Microsoft support. */
  correlationId?: string | undefined;
}

/** Base class of all errors while getting a token. */
export class CredentialError extends TokenPoolError {
  override name = 'CredentialError';
  override readonly code: string = 'ERR_CREDENTIAL';
  /** HTTP status of the identity provider's answer. */
  declare readonly status: number | undefined;
  /** First AADSTS number of the answer. */
  declare readonly aadsts: number | undefined;
  /** Correlation id to quote to Microsoft support. */
  declare readonly correlationId: string | undefined;

  constructor(message: string, details: CredentialErrorDetails = {}) {
    super(message, details);
    const { status, aadsts, correlationId } = details;
    setKnown(this, { status, aadsts, correlationId });
  }
}

/**
 * The identity provider refused: wrong secret, unknown application, no permission. Repeating the request does not help.
 */
export class CredentialRejectedError extends CredentialError {
  override name = 'CredentialRejectedError';
  override readonly code = 'ERR_CREDENTIAL_REJECTED';
}

/** The credential of a pool has started to return tokens of another principal; a pool is for one principal, so they are not used. */
export class PrincipalChangedError extends CredentialError {
  override name = 'PrincipalChangedError';
  override readonly code = 'ERR_PRINCIPAL_CHANGED';
}

/** This method is not available here (no managed identity, no CLI); a chain tries its next member. */
export class CredentialUnavailableError extends CredentialError {
  override name = 'CredentialUnavailableError';
  override readonly code = 'ERR_CREDENTIAL_UNAVAILABLE';
}

/** Additional details of an {@link InteractionRequiredError}. */
export interface InteractionRequiredErrorDetails extends CredentialErrorDetails {
  /** Claims challenge of the identity provider, as JSON. */
  claims?: string | undefined;
}

/** A person has to sign in again; nothing is retried until then. */
export class InteractionRequiredError extends CredentialError {
  override name = 'InteractionRequiredError';
  override readonly code = 'ERR_INTERACTION_REQUIRED';
  /**
   * The requirements of the identity provider for the next sign-in, as JSON. Credentials of this library pass them on
   * automatically; others get them as `getToken(scope, { claims })`.
   */
  declare readonly claims: string | undefined;

  constructor(message: string, details: InteractionRequiredErrorDetails = {}) {
    super(message, details);
    setKnown(this, { claims: details.claims });
  }
}

/**
 * The identity provider could not be reached or failed (network, 5xx, not JSON), or the caller's own credential failed;
 * `retryAfterMs` is the time until the next request.
 */
export class TokenUnavailableError extends CredentialError {
  override name = 'TokenUnavailableError';
  override readonly code: string = 'ERR_TOKEN_UNAVAILABLE';
}

/** The identity provider asked us to slow down (HTTP 429). */
export class TokenThrottledError extends TokenUnavailableError {
  override name = 'TokenThrottledError';
  override readonly code = 'ERR_TOKEN_THROTTLED';
}

/** The identity provider did not answer in time. */
export class TokenTimeoutError extends TokenUnavailableError {
  override name = 'TokenTimeoutError';
  override readonly code = 'ERR_TOKEN_TIMEOUT';
}

/**
 * What proves who logs in is not available on this machine: a token or certificate file is missing, unreadable or only partly
 * written, or a function given as a secret failed. Nothing was sent to the identity provider, so its back-off does not apply.
 */
export class ProofUnavailableError extends TokenUnavailableError {
  override name = 'ProofUnavailableError';
  override readonly code = 'ERR_PROOF_UNAVAILABLE';
}

/** The only token available has expired, or is too close to its expiry to log in with. */
export class TokenExpiredError extends CredentialError {
  override name = 'TokenExpiredError';
  override readonly code = 'ERR_TOKEN_EXPIRED';
}

/** The server would have received the token unencrypted, so it was not sent. */
export class EncryptionRequiredError extends TokenPoolError {
  override name = 'EncryptionRequiredError';
  override readonly code = 'ERR_ENCRYPTION_REQUIRED';
}

/** No connection to the server could be made: refused, unreachable, dropped, timed out, or a transient server error. */
export class ServerUnavailableError extends TokenPoolError {
  override name = 'ServerUnavailableError';
  override readonly code: string = 'ERR_SERVER_UNAVAILABLE';
}

/** SQL Server refused the login for a reason that a new attempt does not change (no such user, firewall, wrong database). */
export class LoginRefusedError extends TokenPoolError {
  override name = 'LoginRefusedError';
  override readonly code: string = 'ERR_LOGIN_REFUSED';
}

/**
 * SQL Server reported the token as expired or no longer valid, and a fresh one was refused too or was not available.
 */
export class StaleTokenError extends LoginRefusedError {
  override name = 'StaleTokenError';
  override readonly code = 'ERR_STALE_TOKEN';
}

/** No connection became free within the acquire timeout; `cause` is the last failure to open one, if there was any. */
export class AcquireTimeoutError extends TokenPoolError {
  override name = 'AcquireTimeoutError';
  override readonly code: string = 'ERR_ACQUIRE_TIMEOUT';
}

/** The limit on connections or pools of all identities together was reached, and none became idle in time. */
export class LimitReachedError extends AcquireTimeoutError {
  override name = 'LimitReachedError';
  override readonly code = 'ERR_LIMIT_REACHED';
}

/** The caller's `AbortSignal` was aborted; `cause` is its reason. */
export class AbortedError extends TokenPoolError {
  override name = 'AbortedError';
  override readonly code = 'ERR_ABORTED';
}

/** The pool is closing or closed. */
export class PoolClosedError extends TokenPoolError {
  override name = 'PoolClosedError';
  override readonly code = 'ERR_POOL_CLOSED';
}

/** `release` or `destroy` was called with something that is not borrowed from this pool. */
export class NotBorrowedError extends TokenPoolError {
  override name = 'NotBorrowedError';
  override readonly code = 'ERR_NOT_BORROWED';
}

/**
 * The connection was lost while COMMIT was under way: the transaction may or may not have been committed. Never retried;
 * `cause` is the error of COMMIT.
 */
export class CommitOutcomeUnknownError extends TokenPoolError {
  override name = 'CommitOutcomeUnknownError';
  override readonly code = 'ERR_COMMIT_OUTCOME_UNKNOWN';
}

/** The server rolled the transaction back although `fn` succeeded: an error inside it was caught and ignored. */
export class TransactionRolledBackError extends TokenPoolError {
  override name = 'TransactionRolledBackError';
  override readonly code = 'ERR_TRANSACTION_ROLLED_BACK';
}

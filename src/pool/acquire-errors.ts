import type { TokenSource } from '../connections/token-login.js';
import { AcquireTimeoutError, TokenExpiredError } from '../errors.js';
import type { TokenPoolStats } from './connection-source.js';
import { holdersInWords } from './leak-detection.js';

const ofFullPool = new WeakSet<AcquireTimeoutError>();

/** True for a timeout with every connection borrowed, as opposed to one that could not be opened. */
export function isOfFullPool(error: AcquireTimeoutError): boolean {
  return ofFullPool.has(error);
}

/** The error of a caller whose time is up: the state of the pool, and what can be done. */
export function acquireTimedOut(
  { borrowed, opening, pending, max, borrowers }: TokenPoolStats,
  seen: {
    timeoutMs: number;
    openingForMs: number;
    lastFailure: Error | undefined;
    /** Why logins cannot start, if they wait for a token. */
    awaitedToken?: Error | undefined;
    isSuspended: boolean;
    /** No login is in progress: the next one waits for a permit of the limit that this pool shares, or for its turn. */
    waitsFor: 'permit' | 'turn' | undefined;
  },
): AcquireTimeoutError {
  const { timeoutMs, openingForMs, lastFailure, awaitedToken, isSuspended, waitsFor } = seen;
  const others = pending - 1;
  const callers = `${others} other ${others === 1 ? 'caller' : 'callers'} waiting`;
  const dials = opening > 0 ? `, ${opening} being opened for up to ${(openingForMs / 1_000).toFixed(1)} s` : '';
  const text = `No connection became available within ${timeoutMs} ms: ${borrowed} of ${max} borrowed${dials}, ${callers}.`;
  if (isSuspended) {
    return new AcquireTimeoutError(`The pool is suspended. ${text}`, {
      cause: lastFailure,
      hint: 'pool.resume() lets callers continue.',
    });
  }
  if (borrowed >= max) {
    const error = new AcquireTimeoutError(text + holdersInWords(borrowers), {
      hint: 'Return connections sooner, look for one that is never returned, or raise pool.max.',
    });
    ofFullPool.add(error);
    return error;
  }
  if (lastFailure !== undefined) {
    return new AcquireTimeoutError(text, {
      cause: lastFailure,
      hint: 'No new connection could be opened; the cause says why.',
    });
  }
  if (waitsFor === 'permit') {
    const error = new AcquireTimeoutError(text, {
      hint: 'Connections of the primary and of pool.readOnly share pool.max, and all are in use: return them sooner, or raise pool.max.',
    });
    ofFullPool.add(error);
    return error;
  }
  if (waitsFor === 'turn') {
    return new AcquireTimeoutError(text, {
      hint: 'As many logins of other identities were in progress as maxOpening allows: logins are slow, or maxOpening is too low.',
    });
  }
  return new AcquireTimeoutError(text, {
    cause: opening > 0 ? awaitedToken : undefined,
    hint:
      opening > 0
        ? 'The login has not ended yet: the server or the identity provider is slow to answer, or does not answer.'
        : 'An idle connection is being checked (a keepalive, a reset or pool.validate), and the check has not ended yet.',
  });
}

/** The error of a caller whose timeout ends before the next attempt starts. */
export function unavailableUntil(pauseMs: number, lastFailure: Error | undefined): AcquireTimeoutError {
  const seconds = (pauseMs / 1_000).toFixed(1);
  return new AcquireTimeoutError(
    `No connection is open, and the next attempt to open one starts in ${seconds} s, after the caller's timeout.`,
    { cause: lastFailure, retryAfterMs: Math.ceil(pauseMs), hint: 'The cause says why the server cannot be used now.' },
  );
}

/**
 * The error of `strictExpiry`, or of a session that would have to be reset, with the identity provider's error as its
 * cause.
 */
export function tokenExpired(source: TokenSource | undefined, strictExpiry: boolean): TokenExpiredError {
  return new TokenExpiredError('The token of every connection is near its end, and no later one is available.', {
    cause: source?.tokens.status(source.scope).failure,
    hint: strictExpiry
      ? 'strictExpiry is on: without it, the session would have remained in use.'
      : "pool.resetSession is 'always': the server validates the token again at a reset, and would refuse it.",
  });
}

import { inspect } from 'node:util';
import {
  AbortedError,
  ConfigurationError,
  CredentialRejectedError,
  CredentialUnavailableError,
  InteractionRequiredError,
  ProofUnavailableError,
  TokenExpiredError,
  type TokenPoolError,
  TokenThrottledError,
  TokenTimeoutError,
  TokenUnavailableError,
} from '../../errors.js';
import { property, redact, redactedCause, textOf, textProperty } from './redact.js';

/** Longer than the printed form of any error of this library. */
const LONGEST_PRINTED = 8_000;

/** The classes that a credential may throw, each before its base class. */
const CLASSES = [
  TokenThrottledError,
  TokenTimeoutError,
  ProofUnavailableError,
  TokenExpiredError,
  CredentialRejectedError,
  CredentialUnavailableError,
  InteractionRequiredError,
  ConfigurationError,
  AbortedError,
] as const;

/**
 * An error of this library that a caller's own credential threw. It is passed on unchanged, unless it contains
 * something that must not be passed on: a getter, a delay that is not a number, text that looks like a secret. Then it
 * is replaced by an error of the same class with the sound parts.
 */
export function soundError(error: TokenPoolError): TokenPoolError {
  if (isSound(error)) return error;
  const Kind = CLASSES.find((each) => error instanceof each) ?? TokenUnavailableError;
  const hint = textProperty(error, 'hint');
  return new Kind(redact(textOf(error)).trim() || 'no reason given', {
    cause: redactedCause(error),
    retryAfterMs: delayOf(error),
    hint: hint === undefined ? undefined : redact(hint),
  });
}

function isSound(error: TokenPoolError): boolean {
  try {
    // In Node 22 and later, V8 keeps the stack behind its own getter.
    const { stack: _, ...descriptors } = Object.getOwnPropertyDescriptors(error);
    const own: PropertyDescriptor[] = Object.values(descriptors);
    if (own.some(({ get, set }) => get !== undefined || set !== undefined)) return false;
    if (typeof error.message !== 'string' || typeof error.name !== 'string' || typeof error.code !== 'string')
      return false;
    if (error.message.trim() === '') return false;
    if (error.retryAfterMs !== undefined && delayOf(error) === undefined) return false;
    const printed = inspect(error, { depth: 6, customInspect: false, maxStringLength: LONGEST_PRINTED });
    return printed.length <= LONGEST_PRINTED && redact(printed) === printed;
  } catch {
    return false;
  }
}

function delayOf(error: TokenPoolError): number | undefined {
  const value = property(error, 'retryAfterMs');
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : undefined;
}

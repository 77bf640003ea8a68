import { ConfigurationError, type TokenPoolError } from '../errors.js';
import { type KnownOptions, requireKnownOptions, requireTimeoutMs } from '../known-options.js';
import type { AcquireOptions } from './connection-source.js';
import { aborted } from './wait-queue.js';

const ACQUIRE: KnownOptions<Pick<AcquireOptions, 'signal'>> = { signal: true };
const CLOSE: KnownOptions<{ timeoutMs?: number | undefined }> = { timeoutMs: true };

/**
 * Refuses options that do not exist, and values of `signal` and `timeoutMs` that cannot be used. `null` and `undefined` mean
 * that an option is not set.
 *
 * @throws ConfigurationError that names the option
 */
export function requireOptions<Options extends object>(
  call: string,
  options: Options,
  known: KnownOptions<Options>,
): void {
  requireKnownOptions(call, options, known);
  const { signal, timeoutMs } = options as { signal?: unknown; timeoutMs?: unknown };
  if (signal !== undefined && signal !== null && !isSignal(signal)) {
    throw new ConfigurationError(`'signal' of ${call} must be an AbortSignal.`);
  }
  requireTimeoutMs(call, timeoutMs);
}

/**
 * Refuses work that is no function before a connection is opened for it.
 *
 * @throws ConfigurationError that names the call
 */
export function requireWork(call: string, fn: unknown): void {
  if (typeof fn === 'function') return;
  throw new ConfigurationError(`${call} takes a function that works with a connection.`);
}

/** Why a connection cannot be acquired with these options: they are invalid, or their signal has been aborted. */
export function refusalOf(options: AcquireOptions | undefined): TokenPoolError | undefined {
  if (options === undefined) return undefined;
  let refusal: TokenPoolError | undefined;
  const unusable = refusalBy('acquire()', () => {
    requireOptions('acquire()', isObject(options) ? withoutInternal(options) : options, ACQUIRE);
    if (options.signal?.aborted) refusal = aborted(options.signal);
  });
  return unusable ?? refusal;
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

/** Options that ORM adapters and pools pass on; they are not for applications. */
function withoutInternal({
  startedAt: _,
  stack: __,
  onCheckout: ___,
  ...own
}: AcquireOptions): Pick<AcquireOptions, 'signal'> {
  return own;
}

/** What `close()` does with its argument. */
interface CloseTerms {
  timeoutMs: number;
  /** The pool closes all the same, at its usual pace; then the caller gets this error. */
  refusal: TokenPoolError | undefined;
}

/** How long `close` waits for borrowed connections by default, ms. */
const CLOSE_TIMEOUT_MS = 10_000;

/**
 * How to close a pool, whatever the argument: a pool that stays open at shutdown keeps its process and its connections
 * alive.
 */
export function closeTerms(given: unknown): CloseTerms {
  const usual = (refusal?: TokenPoolError): CloseTerms => ({ timeoutMs: CLOSE_TIMEOUT_MS, refusal });
  let options: { timeoutMs?: number | undefined } | undefined;
  try {
    // A getter or a proxy may throw, here only.
    if (areOptions(given)) options = { ...given, timeoutMs: given.timeoutMs };
  } catch {
    return usual(unreadable('close()'));
  }
  if (options === undefined) return usual();
  const refusal = refusalBy('close()', () => requireOptions('close()', options, CLOSE));
  return refusal === undefined ? { timeoutMs: options.timeoutMs ?? CLOSE_TIMEOUT_MS, refusal } : usual(refusal);
}

/** Resolves when the pool is closed, or rejects at that point if the options were invalid. */
export async function closedOn(closing: Promise<void>, refusal: TokenPoolError): Promise<void> {
  await closing;
  throw refusal;
}

/**
 * Whether these are options, or the argument of a shutdown hook: `process.once('SIGTERM', close)` passes the name of the signal, a
 * framework passes its application, which may be a plain object with methods.
 */
function areOptions(given: unknown): given is { timeoutMs?: number | undefined } {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return false;
  if ('timeoutMs' in given) return true;
  const prototype = Object.getPrototypeOf(given);
  // The prototype of a plain object from another realm is not this `Object.prototype`.
  const isPlain = prototype === null || Object.getPrototypeOf(prototype) === null;
  const properties = Object.values(Object.getOwnPropertyDescriptors(given));
  return isPlain && properties.every(({ get, value }) => get === undefined && typeof value !== 'function');
}

function refusalBy(call: string, check: () => void): TokenPoolError | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    return error instanceof ConfigurationError ? error : unreadable(call);
  }
}

function unreadable(call: string): ConfigurationError {
  return new ConfigurationError(`The options of ${call} cannot be read: a getter or a proxy has thrown.`);
}

/** Signals of another realm or of a polyfill are not instances of `AbortSignal`. */
function isSignal(value: unknown): value is AbortSignal {
  const { aborted: isAborted, addEventListener } = Object(value) as Partial<AbortSignal>;
  return typeof isAborted === 'boolean' && typeof addEventListener === 'function';
}

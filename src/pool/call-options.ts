import { ConfigurationError, TokenPoolError } from '../errors.js';
import { type KnownOptions, requireKnownOptions } from '../known-options.js';
import type { AcquireOptions } from './connection-source.js';
import { aborted } from './wait-queue.js';

const ACQUIRE: KnownOptions<Pick<AcquireOptions, 'signal'>> = { signal: true };
const CLOSE: KnownOptions<{ timeoutMs?: number | undefined }> = { timeoutMs: true };

/**
 * Refuses options that do not exist, and values of `signal` and `timeoutMs` that cannot be used. `null` and `undefined` stand
 * for an option that is not set.
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
  if (timeoutMs !== undefined && timeoutMs !== null && !(typeof timeoutMs === 'number' && timeoutMs >= 0)) {
    throw new ConfigurationError(`'timeoutMs' of ${call} must be a number of milliseconds, 0 or more.`);
  }
}

/** Why a connection cannot be acquired with such options: they are wrong, or their signal has fired. */
export function refusalOf(options: AcquireOptions | undefined): TokenPoolError | undefined {
  if (options === undefined) return undefined;
  const refusal = refusalBy(() => {
    requireOptions('acquire()', isObject(options) ? withoutInternal(options) : options, ACQUIRE);
  });
  return refusal ?? (options.signal?.aborted ? aborted(options.signal) : undefined);
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

/** Options that ORM adapters and pools pass on are not for applications. */
function withoutInternal({
  startedAt: _,
  stack: __,
  onCheckout: ___,
  ...own
}: AcquireOptions): Pick<AcquireOptions, 'signal'> {
  return own;
}

/** Why a pool cannot be closed with such options. */
export function refusalToClose(options: unknown): TokenPoolError | undefined {
  return refusalBy(() => requireOptions('close()', options as object, CLOSE));
}

function refusalBy(check: () => void): TokenPoolError | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    if (error instanceof TokenPoolError) return error;
    throw error;
  }
}

/** Those of another realm or of a polyfill are not instances of `AbortSignal`. */
function isSignal(value: unknown): value is AbortSignal {
  const { aborted: isAborted, addEventListener } = Object(value) as Partial<AbortSignal>;
  return typeof isAborted === 'boolean' && typeof addEventListener === 'function';
}

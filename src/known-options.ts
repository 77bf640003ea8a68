import { ConfigurationError } from './errors.js';

/** Every option of an interface; the compiler reports a missing one. */
export type KnownOptions<Options extends object> = Readonly<Record<keyof Options & string, true>>;

/** Anything else may be a secret that ended up as a key. */
const LOOKS_LIKE_A_NAME = /^[A-Za-z_$][\w$]{0,39}$/;

/**
 * @throws ConfigurationError for a `timeoutMs` that is not a duration; `null` and `undefined` mean that it is not set
 */
export function requireTimeoutMs(call: string, timeoutMs: unknown): number | undefined {
  if (timeoutMs === undefined || timeoutMs === null) return undefined;
  if (typeof timeoutMs === 'number' && timeoutMs >= 0) return timeoutMs;
  throw new ConfigurationError(`'timeoutMs' of ${call} must be a number of milliseconds, 0 or more.`);
}

/**
 * Refuses options that do not exist: a limit or a time under a misspelt name would be ignored.
 *
 * @param call the function that takes the options: `withRetry()`
 * @throws ConfigurationError that names the option and the existing ones
 */
export function requireKnownOptions<Options extends object>(
  call: string,
  options: Options,
  known: KnownOptions<Options>,
): void {
  if (typeof options !== 'object' || options === null) {
    throw new ConfigurationError(`The options of ${call} must be an object.`);
  }
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || Object.hasOwn(known, name)) continue;
    const which = LOOKS_LIKE_A_NAME.test(name) ? `'${name}'` : '(not a name)';
    throw new ConfigurationError(`${call} has no option ${which}; it has ${Object.keys(known).join(', ')}.`);
  }
}

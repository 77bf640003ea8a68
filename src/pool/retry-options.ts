import { ConfigurationError } from '../errors.js';

/**
 * Refuses options that do not exist: `withRetry` counts tries and `transaction` repeats, and a limit under the other's name
 * would be ignored.
 *
 * @throws ConfigurationError that names the option and the existing ones
 */
export function requireRetryOptions(call: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null) {
    throw new ConfigurationError(`The options of ${call}() must be an object.`);
  }
  const given = options as Record<string, unknown>;
  const unknown = Object.keys(given).find((name) => given[name] !== undefined && !known.includes(name));
  if (unknown === undefined) return;
  throw new ConfigurationError(`${call}() has no option '${unknown.slice(0, 40)}'; it has ${known.join(', ')}.`);
}

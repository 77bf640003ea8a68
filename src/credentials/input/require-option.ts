import { ConfigurationError } from '../../errors.js';
import type { Secret } from '../credential.js';
import { withoutTrailingNewline } from './current-secret.js';

/** @throws ConfigurationError naming `clientId` */
export function requireClientId(value: unknown, option = 'clientId'): string {
  const clientId = requireText(value, option, 'It is the Application (client) ID of the app registration.');
  if (/^[\w.:/-]{1,200}$/.test(clientId)) return clientId;
  throw new ConfigurationError(`'${option}' must be an Application (client) ID, a GUID.`);
}

/** @throws ConfigurationError naming the option */
export function requireText(value: unknown, option: string, hint?: string): string {
  if (value === undefined || value === null || value === '')
    throw new ConfigurationError(`'${option}' is missing.`, { hint });
  if (typeof value !== 'string') throw new ConfigurationError(`'${option}' must be a string.`, { hint });
  return value;
}

/** @throws ConfigurationError naming the option */
export function requireSecret(value: unknown, option: string): Secret {
  if (typeof value === 'function') return value as Secret;
  const hint = `Set '${option}' to a string, or to a function that returns the current one.`;
  const text = requireText(value, option, hint);
  // An empty file, or one of line breaks.
  if (withoutTrailingNewline(text) === '') throw new ConfigurationError(`'${option}' is missing.`, { hint });
  return text;
}

/** @throws ConfigurationError naming the option */
export function optionalText(value: unknown, option: string): string | undefined {
  return value === undefined || value === null || value === '' ? undefined : requireText(value, option);
}

/** No token takes longer than a day. */
const LONGEST_MS = 86_400_000;

/** @throws ConfigurationError naming the option */
export function requireTimeout(value: unknown, option: string): number {
  if (typeof value === 'number' && value > 0) return Math.min(value, LONGEST_MS);
  throw new ConfigurationError(`'${option}' must be a number of ms above 0.`);
}

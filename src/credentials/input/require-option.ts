import { ConfigurationError } from '../../errors.js';
import type { Secret } from '../credential.js';

/** @throws ConfigurationError naming `clientId` */
export function requireClientId(value: unknown): string {
  const clientId = requireText(value, 'clientId', 'It is the Application (client) ID of the app registration.');
  if (/^[\w.:/-]{1,200}$/.test(clientId)) return clientId;
  throw new ConfigurationError("'clientId' must be the Application (client) ID, a GUID.");
}

/** @throws ConfigurationError naming the key */
export function requireText(value: unknown, key: string, hint?: string): string {
  if (value === undefined || value === null || value === '')
    throw new ConfigurationError(`'${key}' is missing.`, { hint });
  if (typeof value !== 'string') throw new ConfigurationError(`'${key}' must be a string.`, { hint });
  return value;
}

/** @throws ConfigurationError naming the key */
export function requireSecret(value: unknown, key: string): Secret {
  if (typeof value === 'function') return value as Secret;
  return requireText(value, key, `Give '${key}' as a string, or as a function that returns the current one.`);
}

/** @throws ConfigurationError naming the key */
export function optionalText(value: unknown, key: string): string | undefined {
  return value === undefined || value === null || value === '' ? undefined : requireText(value, key);
}

/** Node's timers end at once beyond 2^31 ms; nobody waits for a token for longer than a day. */
const LONGEST_MS = 86_400_000;

/** @throws ConfigurationError naming the key */
export function requireTimeout(value: unknown, key: string): number {
  if (typeof value === 'number' && value > 0) return Math.min(value, LONGEST_MS);
  throw new ConfigurationError(`'${key}' must be a number of ms above 0.`);
}

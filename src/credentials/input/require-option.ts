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
  // An empty file, or one of line breaks. A password may consist of spaces; nothing else may.
  if (/password/i.test(option) ? withoutTrailingNewline(text) === '' : isBlank(text))
    throw new ConfigurationError(`'${option}' is missing.`, { hint });
  return text;
}

/** @throws ConfigurationError naming the option */
export function optionalText(value: unknown, option: string): string | undefined {
  return value === undefined || value === null || value === '' ? undefined : requireText(value, option);
}

/** A text without a character that is visible: no id, name or token. */
export function isBlank(value: unknown): boolean {
  return typeof value === 'string' && value.trim() === '';
}

/** `tenantId` where it is known; one that is undefined would be refused. */
export function inTenant(tenantId: string | undefined): { tenantId?: string } {
  return tenantId === undefined ? {} : { tenantId };
}

/**
 * Refuses options that select a principal if one is present and none has a value, for example because it comes from an environment
 * variable that is not set: another principal would log in.
 *
 * @param names alternatives to each other
 * @param prefix of the name in the message, e.g. `from.managedIdentity.`
 * @throws ConfigurationError naming the option
 */
export function requireSelected(options: object, names: readonly string[], prefix = ''): void {
  const given = options as Record<string, unknown>;
  const isEmpty = (name: string): boolean => (name === 'password' ? given[name] === '' : isBlank(given[name]));
  const isUnset = (name: string): boolean => given[name] === undefined || given[name] === null || isEmpty(name);
  const unset = names.find((name) => Object.hasOwn(given, name));
  if (unset === undefined || !names.every(isUnset)) return;
  const what = isEmpty(unset) ? 'empty' : String(given[unset]);
  throw new ConfigurationError(`'${prefix}${unset}' is ${what}.`, {
    hint: `Without it, another principal would log in. Set '${prefix}${unset}', or remove the key. A missing header or an environment variable that is not set may be the reason.`,
  });
}

/**
 * The same for keys of a connection string, each of which selects a principal.
 *
 * @param entries by key in lower case
 * @throws ConfigurationError naming the key
 */
export function requireSelectedKeys(entries: ReadonlyMap<string, string>, keys: readonly string[]): void {
  const unset = keys.find((key) => entries.get(key.toLowerCase())?.trim() === '');
  if (unset === undefined) return;
  throw new ConfigurationError(`Connection string: '${unset}' is empty.`, {
    hint: `Without it, another principal would log in. Set '${unset}', or remove it. An environment variable that is not set may be the reason.`,
  });
}

/** @throws ConfigurationError for anything that cannot be an agent of `node:http` */
export function requireAgent(value: unknown): void {
  if (value === undefined || value === null || (typeof value === 'object' && !Array.isArray(value))) return;
  throw new ConfigurationError("'agent' must be an agent of node:https, or one for a proxy.");
}

/** No token takes longer than a day. */
const LONGEST_MS = 86_400_000;

/** @throws ConfigurationError naming the option */
export function requireTimeout(value: unknown, option: string): number {
  if (typeof value === 'number' && value > 0) return Math.min(value, LONGEST_MS);
  throw new ConfigurationError(`'${option}' must be a number of ms greater than 0.`);
}

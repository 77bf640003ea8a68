import { ConfigurationError } from '../errors.js';
import type { TokenPoolConfig } from './config.js';

/** What a value must be, and a check for it. Undefined and null count as not set. */
type Kind = readonly [mustBe: string, isIt: (value: unknown) => boolean];

const TEXT: Kind = ['text', (value) => typeof value === 'string'];
const SWITCH: Kind = ['true or false', (value) => typeof value === 'boolean'];
const FUNCTION: Kind = ['a function', (value) => typeof value === 'function'];
const OBJECT: Kind = ['an object', (value) => typeof value === 'object' && !Array.isArray(value)];
const PORT: Kind = ['a number from 1 to 65535', isPort];
const ENCRYPT: Kind = ["true, false or 'strict'", (value) => typeof value === 'boolean' || value === 'strict'];

/** The settings whose wrong type would otherwise be noticed only at the first connection, or never. */
const KINDS: Readonly<Record<string, Kind>> = {
  options: OBJECT,
  pool: OBJECT,
  port: PORT,
  'options.port': PORT,
  // In a connection string with line breaks, everything after the first key would be its value.
  database: ['a name without line breaks', isOneLine],
  'options.database': ['a name without line breaks', isOneLine],
  user: TEXT,
  password: TEXT,
  domain: TEXT,
  encrypt: ENCRYPT,
  'options.encrypt': ENCRYPT,
  trustServerCertificate: SWITCH,
  'options.trustServerCertificate': SWITCH,
  strictExpiry: SWITCH,
  validateConnection: ["true, false or 'socket'", (value) => typeof value === 'boolean' || value === 'socket'],
  scope: [
    'a string such as https://database.windows.net/.default',
    (value) => typeof value === 'string' && value !== '',
  ],
  beforeConnect: FUNCTION,
  'pool.validate': FUNCTION,
  tedious: [
    "the tedious module: import * as tedious from 'tedious'",
    (value) => typeof (value as { Connection?: unknown }).Connection === 'function',
  ],
};

/**
 * Refuses values that would be misread or ignored, and names their setting.
 *
 * @throws ConfigurationError
 */
export function requireKinds(config: TokenPoolConfig): void {
  for (const [key, [mustBe, isIt]] of Object.entries(KINDS)) {
    const [first = '', second] = key.split('.');
    const value = second === undefined ? property(config, first) : property(property(config, first), second);
    if (value === undefined || value === null || isIt(value)) continue;
    throw new ConfigurationError(`'${key}' must be ${mustBe}.`, hintFor(value, isIt));
  }
}

function property(object: unknown, key: string): unknown {
  return (object as Record<string, unknown> | null | undefined)?.[key];
}

function isPort(value: unknown): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65_535;
}

function isOneLine(value: unknown): boolean {
  return typeof value === 'string' && !/[\r\n]/.test(value);
}

/** Settings from environment variables are strings. */
function hintFor(value: unknown, isIt: (value: unknown) => boolean): { hint?: string } {
  if (typeof value !== 'string') return {};
  if (isIt === isPort) return numberHint(value);
  return isIt(true) && /^(true|false)$/i.test(value) ? { hint: "It is text: compare it, e.g. text === 'true'." } : {};
}

/** How to fix a number that is text. */
export function numberHint(value: unknown): { hint?: string } {
  return typeof value === 'string' ? { hint: 'It is text: convert it with Number(...).' } : {};
}

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { TokenPoolConfig } from '../../../src/connections/config.js';
import { settingsFrom } from '../../../src/connections/settings.js';
import { ConfigurationError } from '../../../src/errors.js';

const isText = (value: unknown): boolean => typeof value === 'string';
const isSwitch = (value: unknown): boolean => typeof value === 'boolean';
const isFunction = (value: unknown): boolean => typeof value === 'function';
const isObject = (value: unknown): boolean => typeof value === 'object' && !Array.isArray(value);
const isPort = (value: unknown): boolean => Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 65_535;
const isEncrypt = (value: unknown): boolean => isSwitch(value) || value === 'strict';
const isName = (value: unknown): boolean => isText(value) && !/[\r\n]/.test(String(value));
const isCount = (value: unknown): boolean => Number.isInteger(value) && Number(value) >= 0;
const isTime = (value: unknown): boolean => typeof value === 'number' && value > 0;
const isTimeOrNone = (value: unknown): boolean => typeof value === 'number' && value >= 0;
/** A negative number and Infinity are no limit, as in mssql. */
const isRequestTime = (value: unknown): boolean => typeof value === 'number' && !Number.isNaN(value);
const isLoginTime = (value: unknown): boolean => typeof value === 'number' && value >= 1;

/** Every key of docs/settings.md that has a kind, and what is accepted; anything else is refused by its name. */
const KEYS: Record<string, (value: unknown) => boolean> = {
  port: isPort,
  database: isName,
  user: isText,
  password: isText,
  domain: isText,
  encrypt: isEncrypt,
  trustServerCertificate: isSwitch,
  connectionTimeout: isLoginTime,
  requestTimeout: isRequestTime,
  strictExpiry: isSwitch,
  validateConnection: (value) => isSwitch(value) || value === 'socket',
  scope: (value) => isText(value) && value !== '',
  beforeConnect: isFunction,
  options: isObject,
  pool: isObject,
  readOnly: (value) => isSwitch(value) || isObject(value),
  'options.port': isPort,
  'options.database': isName,
  'options.encrypt': isEncrypt,
  'options.trustServerCertificate': isSwitch,
  'options.connectTimeout': isLoginTime,
  'options.requestTimeout': isRequestTime,
  'pool.max': (value) => isCount(value) && Number(value) >= 1,
  'pool.min': (value) => isCount(value) && Number(value) <= 10,
  'pool.idleTimeoutMillis': isTime,
  'pool.acquireTimeoutMillis': isTime,
  'pool.createTimeoutMillis': isTime,
  'pool.destroyTimeoutMillis': isTime,
  'pool.overlap': isCount,
  'pool.maxRenewals': isCount,
  'pool.maxOpening': isCount,
  'pool.maxAgeMillis': isTimeOrNone,
  'pool.leakDetectionMillis': isTimeOrNone,
  'pool.keepaliveMillis': isTimeOrNone,
  'pool.resetSession': (value) => value === 'never' || value === 'always',
  'pool.validate': isFunction,
};

/** The name under which an error names a key. */
const NAMED: Record<string, string> = {
  'options.connectTimeout': 'connectionTimeout',
  'options.requestTimeout': 'requestTimeout',
};

const WRONG: unknown[] = [
  ...[Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -1, 0, 1.5, 1n],
  ...['', ' ', 'true', 'false', '30000', '1433', 'strict', 'line\nbreak'],
  ...[true, false, {}, [], [1], { valueOf: () => 7 }, () => 7, Symbol('seven'), new Date(), /x/],
];

function configWith(key: string, value: unknown): TokenPoolConfig {
  const [first = '', second] = key.split('.');
  const config = { server: 'h', ...(key === 'user' ? {} : { user: 'sa' }), authentication: async () => 'token' };
  return { ...config, [first]: second === undefined ? value : { [second]: value } } as never;
}

/** The error of a config; undefined if it is accepted. */
function refusal(config: TokenPoolConfig): unknown {
  try {
    settingsFrom(config);
    return undefined;
  } catch (error) {
    return error;
  }
}

function isForClearText(key: string, value: unknown): boolean {
  return key.endsWith('encrypt') && value === false;
}

describe.each(Object.entries(KEYS))('%s', (key, accepts) => {
  function check(value: unknown): void {
    const error = refusal(configWith(key, value));
    if (value === undefined || value === null) expect(error).toBeUndefined();
    else if (isForClearText(key, value)) expect((error as Error).message).toContain('sent in cleartext');
    else if (!accepts(value)) {
      expect(error).toBeInstanceOf(ConfigurationError);
      expect((error as Error).message).toContain(NAMED[key] ?? key);
    } else if (isObject(value)) {
      // Its own keys may be refused.
      if (error !== undefined) expect(error).toBeInstanceOf(ConfigurationError);
    } else expect(error).toBeUndefined();
  }

  test('is refused with its name if it has the wrong type', () => {
    for (const value of [...WRONG, undefined, null]) check(value);
  });

  test('is refused or accepted as documented, whatever the value', () => {
    fc.assert(fc.property(fc.anything(), check), { numRuns: 100, seed: 1 });
  });
});

test('text from the environment is refused with how to convert it', () => {
  expect(refusal(configWith('pool.max', '10'))).toMatchObject({ hint: expect.stringContaining('Number(') });
  expect(refusal(configWith('connectionTimeout', '15000'))).toMatchObject({ hint: expect.stringContaining('Number(') });
  expect(refusal(configWith('encrypt', 'true'))).toMatchObject({ hint: expect.stringContaining("text === 'true'") });
});

test('every setting of the documentation is in this table, or says what it is by itself', async () => {
  const { readFile } = await import('node:fs/promises');
  const page = await readFile(new URL('../../../docs/settings.md', import.meta.url), 'utf8');
  const rows = [...page.matchAll(/^\| ((?:`[\w.]+`(?:, )?)+) +\|/gm)];
  const documented = rows.flatMap(([, cell = '']) => [...cell.matchAll(/`([\w.]+)`/g)].map(([, name]) => name));
  const ofTheirOwn = ['server', 'authentication', 'tokenStore', 'tedious'];
  expect(documented.filter((key) => !ofTheirOwn.includes(String(key)) && !(String(key) in KEYS))).toEqual([]);
  expect(documented.length).toBeGreaterThan(25);
});

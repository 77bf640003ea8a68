import { createRequire } from 'node:module';
import stock from 'mssql';
import { describe, expect, test } from 'vitest';
import type { TokenPoolConfig } from '../../src/connections/config.js';
import { createTokenPool, withTokenRefresh } from '../../src/index.js';
import sql from '../../src/mssql/index.js';
import { site } from '../support/pool.js';

const require = createRequire(import.meta.url);
// Both come with mssql and its relatives.
const lodash = require('lodash') as { cloneDeep<T>(value: T): T; merge<T>(target: object, ...sources: T[]): T };

type Copy = <T extends object>(config: T) => T;

/** Reads every getter, keeps functions, and drops prototypes, as rfdc and many hand-written copies do. */
const readingCopy: Copy = (value) =>
  (Array.isArray(value)
    ? value.map((each) => (typeof each === 'object' && each !== null ? readingCopy(each) : each))
    : Object.fromEntries(
        Object.entries(value).map(([key, each]) => [
          key,
          typeof each === 'object' && each !== null ? readingCopy(each as object) : each,
        ]),
      )) as never;

const copies: [name: string, copy: Copy][] = [
  ['a spread', (config) => ({ ...config })],
  ['lodash cloneDeep', (config) => lodash.cloneDeep(config)],
  ['lodash merge', (config) => lodash.merge({}, { requestTimeout: 5_000 } as never, config)],
  ['a copy that reads getters', readingCopy],
  ['a copy of a copy', (config) => lodash.cloneDeep(readingCopy(config))],
];

describe.each(copies)('a config of withTokenRefresh() through %s', (_, copy) => {
  test('logs every connection in, each on its own encrypted hop', async () => {
    await using s = await site();
    const config = withTokenRefresh({
      ...s.server.config(),
      authentication: s.entra.credential(),
      pool: { max: 3 },
    } as TokenPoolConfig);
    const pool = await new stock.ConnectionPool(copy(config) as never).connect();
    try {
      const names = await Promise.all([1, 2, 3].map(() => pool.query("WAITFOR DELAY '00:00:00.1' SELECT 1 AS ok")));
      expect(names.map(({ recordset }) => recordset)).toEqual([[{ ok: 1 }], [{ ok: 1 }], [{ ok: 1 }]]);
    } finally {
      await pool.close();
    }
    expect(s.server.logins.length).toBeGreaterThanOrEqual(3);
    expect(s.server.logins.every(({ accepted, encrypted }) => accepted && encrypted)).toBe(true);
  });

  test('works in the drop-in too, and createTokenPool refuses it by name', async () => {
    await using s = await site();
    const config = copy(
      withTokenRefresh({ ...s.server.config(), authentication: s.entra.credential() } as TokenPoolConfig),
    );
    const pool = await new sql.ConnectionPool(config as never).connect();
    await pool.close();
    expect(() => createTokenPool(config as never)).toThrow(/comes from withTokenRefresh\(\)/);
  });

  test('gives a later connection no token if the server stops encrypting', async () => {
    await using s = await site({ server: { encrypt: 'off' } });
    const config = copy(
      withTokenRefresh({ ...s.server.config(), authentication: s.entra.credential() } as TokenPoolConfig),
    );
    await expect(new stock.ConnectionPool(config as never).connect()).rejects.toThrow(/encrypt/i);
    expect(s.server.receivedInClear.includes(Buffer.from('eyJ', 'utf16le'))).toBe(false);
  });
});

test.each([
  ['beforeConnect is replaced', (config: object) => ({ ...config, beforeConnect: () => undefined })],
  [
    'only its authentication is used',
    ({ server, port, options, authentication }: Record<string, unknown> & object) => ({
      server,
      port,
      options,
      authentication,
    }),
  ],
])('says that the config was taken apart when %s', async (_, takeApart) => {
  await using s = await site();
  const config = withTokenRefresh({ ...s.server.config(), authentication: s.entra.credential() } as TokenPoolConfig);
  const error = (await new stock.ConnectionPool(takeApart(config as never) as never)
    .connect()
    .catch((e) => e)) as Error;
  expect(error.message).toContain('copied or taken apart');
  expect(s.server.logins.filter(({ accepted }) => accepted)).toEqual([]);
});

test('a structured clone fails at the copy itself', () => {
  const config = withTokenRefresh({ server: 'localhost', authentication: { getToken: async () => null } } as never);
  expect(() => structuredClone(config)).toThrow(/could not be cloned/);
});

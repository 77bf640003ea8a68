import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TokenPoolConfig } from '../../src/connections/config.js';
import { settingsFrom } from '../../src/connections/settings.js';
import { ConfigurationError } from '../../src/errors.js';
import { type Site, site } from '../support/pool.js';
import { query } from '../support/query.js';

let here: Site;
beforeAll(async () => {
  here = await site();
});
afterAll(() => here[Symbol.asyncDispose]());

/** A config that names the port in `server` only. */
function reachedBy(server: string, more: object = {}): Partial<TokenPoolConfig> {
  return { ...more, port: undefined, server };
}

describe('server', () => {
  test.each(['localhost,PORT', 'tcp:localhost,PORT', 'localhost , PORT', 'localhost\\ignored,PORT'])(
    "'%s' is host and port",
    async (text) => {
      const pool = here.pool(reachedBy(text.replace('PORT', String(here.server.port))));
      expect(await pool.use((connection) => query(connection, 'SELECT 1'))).toEqual([[1]]);
    },
  );

  test('a named instance has no port', () => {
    const { server, options } = settingsFrom({ server: 'host\\SQL1', user: 'a', password: 'b' }).configuration;
    expect([server, options?.instanceName, options?.port]).toEqual(['host', 'SQL1', undefined]);
  });

  test('a port beside another one in server is refused, the same one is not', () => {
    expect(() => settingsFrom({ server: 'host,1434', port: 1433 })).toThrow("'port' and the port in 'server' differ");
    expect(() => settingsFrom({ server: 'host,1434', options: { port: 1433 } })).toThrow(ConfigurationError);
    expect(settingsFrom({ server: 'host,1434', port: 1434 }).configuration.options?.port).toBe(1434);
  });

  test.each(['host,', 'host,abc', 'host,99999', 'a,b,1'])("'%s' is refused", (server) => {
    expect(() => settingsFrom({ server })).toThrow("'server' must be a host name, host,port or host\\instance.");
  });
});

describe('a value of the wrong kind is told at once, by its key', () => {
  test.each<[key: string, config: object]>([
    ['strictExpiry', { strictExpiry: 'true' }],
    ['validateConnection', { validateConnection: 'yes' }],
    ['scope', { scope: 42 }],
    ['scope', { scope: '' }],
    ['beforeConnect', { beforeConnect: 'hook' }],
    ['pool.validate', { pool: { validate: true } }],
    ['tedious', { tedious: {} }],
    ['connectionTimeout', { connectionTimeout: 0 }],
    ['connectionTimeout', { connectionTimeout: '15000' }],
    ['connectionTimeout', { options: { connectTimeout: Number.NaN } }],
    ['requestTimeout', { requestTimeout: '15000' }],
  ])('%s of %o', (key, config) => {
    const read = () => settingsFrom({ server: 'host', ...config } as TokenPoolConfig);
    expect(read).toThrow(ConfigurationError);
    expect(read).toThrow(`'${key}' must be`);
  });

  test('what tedious refuses is not taken for a server that is down', async () => {
    const pool = here.pool({ database: 7 as never });
    await expect(pool.acquire()).rejects.toThrow(ConfigurationError);
    await expect(pool.acquire()).rejects.toThrow('config.options.database');
  });
});

test('null is as good as nothing', () => {
  const { pool, strictExpiry } = settingsFrom({ server: 'host', pool: null, strictExpiry: null } as never);
  expect([pool.max, strictExpiry]).toEqual([10, false]);
});

test.each([Number.POSITIVE_INFINITY, 2 ** 31])('timeouts of %d ms do not end at once', async (ms) => {
  const pool = here.pool({ connectionTimeout: ms, requestTimeout: ms });
  expect(await pool.use((connection) => query(connection, "WAITFOR DELAY '00:00:00.020'; SELECT 1"))).toEqual([[1]]);
});

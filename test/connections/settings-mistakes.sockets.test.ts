import { afterAll, beforeAll, expect, test } from 'vitest';
import { ConfigurationError } from '../../src/errors.js';
import { type Site, site } from '../support/pool.js';
import { query } from '../support/query.js';

let here: Site;
beforeAll(async () => {
  here = await site();
});
afterAll(() => here[Symbol.asyncDispose]());

test.each(['localhost,PORT', 'tcp:localhost,PORT', 'localhost , PORT', 'localhost\\ignored,PORT'])(
  "'%s' is host and port",
  async (text) => {
    const pool = here.pool({ port: undefined, server: text.replace('PORT', String(here.server.port)) });
    expect(await pool.use((connection) => query(connection, 'SELECT 1'))).toEqual([[1]]);
  },
);

test('a config that tedious refuses is not taken for a server that is down', async () => {
  const pool = here.pool({ options: { ...here.server.config().options, appName: 7 } as never });
  await expect(pool.acquire()).rejects.toThrow(ConfigurationError);
  await expect(pool.acquire()).rejects.toThrow('config.options.appName');
});

test.each([Number.POSITIVE_INFINITY, 2 ** 31])('timeouts of %d ms do not end at once', async (ms) => {
  const pool = here.pool({ connectionTimeout: ms, requestTimeout: ms });
  expect(await pool.use((connection) => query(connection, "WAITFOR DELAY '00:00:00.020'; SELECT 1"))).toEqual([[1]]);
});

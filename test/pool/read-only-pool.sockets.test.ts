import { expect, test } from 'vitest';
import { ConfigurationError, createTokenPool, createTokenPools, withTokenRefresh } from '../../src/index.js';
import { ConnectionPool } from '../../src/mssql/index.js';
import { startSqlEmulator } from '../../src/testing/index.js';
import { site } from '../support/pool.js';
import { query } from '../support/query.js';

test('readOnly: true connects with ApplicationIntent=ReadOnly, on the token of the primary', async () => {
  await using s = await site();
  const pool = s.pool({ readOnly: true });
  await pool.use((connection) => query(connection, 'SELECT 1'));
  expect(await pool.readOnly.use((connection) => query(connection, 'SELECT 1'))).toEqual([[1]]);
  expect(s.server.logins.map(({ readOnlyIntent }) => readOnlyIntent)).toEqual([false, true]);
  expect(s.entra.requests.filter(({ endpoint }) => endpoint === 'token')).toHaveLength(1);
  expect(pool.readOnly.stats).toMatchObject({ size: 1, borrowed: 0 });
  expect(pool.stats.size).toBe(1);
});

test('a named replica is another server', async () => {
  await using s = await site();
  await using replica = await startSqlEmulator({ entra: s.entra });
  const { server: host, port } = replica.config();
  const { options } = s.server.config();
  const pool = s.pool({
    options: { ...options, trustServerCertificate: true } as never,
    readOnly: { server: `${host},${port}`, database: 'reports' },
  });
  expect(await pool.readOnly.use((connection) => query(connection, 'SELECT DB_NAME()'))).toEqual([['reports']]);
  expect([s.server.logins.length, replica.logins.length]).toEqual([0, 1]);
});

test('both pools together keep to the limit, and an idle connection of one makes way for a caller of the other', async () => {
  await using s = await site();
  const pool = s.pool({ readOnly: true, pool: { max: 2, overlap: 0 } });
  const primary = await Promise.all([pool.acquire(), pool.acquire()]);
  const waiting = pool.readOnly.acquire();
  for (const connection of primary) pool.release(connection);
  const connection = await waiting;
  expect(s.server.connections.most).toBeLessThanOrEqual(2);
  pool.readOnly.release(connection);
});

test('with fallback, callers get the primary while the replica cannot be used, and do not wait for the replica each time', async () => {
  await using s = await site();
  const replica = await startSqlEmulator({ entra: s.entra });
  const { server: host, port } = replica.config();
  await replica.close();
  const readOnly = { server: `${host},${port}` };
  const pool = s.pool({ readOnly: { ...readOnly, fallback: true } });
  for (let i = 0; i < 3; i += 1) {
    expect(await pool.readOnly.use((connection) => query(connection, 'SELECT 1'))).toEqual([[1]]);
  }
  const connection = await pool.readOnly.acquire();
  pool.readOnly.release(connection);
  const broken = await pool.readOnly.acquire();
  pool.readOnly.destroy(broken);
  expect(pool.stats.borrowed).toBe(0);
  expect(s.server.logins[0]?.readOnlyIntent).toBe(false);

  const strict = s.pool({ readOnly });
  await expect(strict.readOnly.acquire()).rejects.toMatchObject({ code: 'ERR_SERVER_UNAVAILABLE' });
});

test('closing the pool closes the connections to the replica', async () => {
  await using s = await site();
  const pool = s.pool({ readOnly: true });
  await pool.readOnly.use(() => undefined);
  await pool.close();
  await expect.poll(() => s.server.connections.open, { timeout: 10_000 }).toBe(0);
  await expect(pool.readOnly.acquire()).rejects.toMatchObject({ code: 'ERR_POOL_CLOSED' });
});

test('evicting, suspending and replacing the credential reach the connections to the replica', async () => {
  await using s = await site();
  const pool = s.pool({ readOnly: true });
  const replica = pool.readOnly;
  const first = await replica.acquire();
  replica.release(first);
  pool.evictAll({ reason: 'permissions changed' });
  const second = await replica.acquire();
  expect(second).not.toBe(first);
  replica.release(second);

  pool.suspend();
  const waiting = replica.acquire();
  expect(replica.stats).toMatchObject({ available: 1, pending: 1 });
  pool.resume();
  expect(await waiting).toBe(second);
  replica.release(second);

  await pool.replaceCredential(s.entra.credential());
  await expect
    .poll(async () => (await replica.use((connection) => connection)) === second, { timeout: 10_000 })
    .toBe(false);
});

test("mssql's ConnectionPool also has a pool for the replica", async () => {
  await using s = await site();
  const config = { ...s.server.config(), authentication: s.entra.credential(), readOnly: true };
  const pool = await new ConnectionPool(config as never).connect();
  try {
    const replica = await pool.readOnly.connect();
    const { recordset } = await replica.query`SELECT ${1} AS one`;
    expect(recordset).toEqual([{ one: 1 }]);
    expect(s.server.logins.map(({ readOnlyIntent }) => readOnlyIntent)).toEqual([false, true]);
  } finally {
    await pool.close();
  }
  await expect.poll(() => s.server.connections.open, { timeout: 10_000 }).toBe(0);
});

test.each([
  ['another type', 'yes', "'readOnly' must be true, false or an object."],
  ['an unknown key', { host: 'x' }, "'readOnly.host' is not a setting; known are server, database, fallback."],
  ['a server that is no name', { server: 7 }, "'readOnly.server' must be a name."],
  ['fallback as text', { fallback: 'true' }, "'readOnly.fallback' must be true or false."],
])('refuses %s', (_, readOnly, message) => {
  const config = { server: 's', authentication: async () => 'token', readOnly } as never;
  expect(() => createTokenPool(config)).toThrow(new ConfigurationError(message));
});

test('refuses readOnly where it would be ignored, and reports it if it is missing', async () => {
  const config = { server: 's', authentication: async () => 'token', readOnly: true } as const;
  expect(() => withTokenRefresh(config)).toThrow("'readOnly' has no effect in withTokenRefresh().");
  expect(() => createTokenPools({ server: 's', readOnly: true })).toThrow(
    "'readOnly' has no effect in createTokenPools().",
  );
  await using pool = createTokenPool({ server: 's', authentication: async () => 'token' });
  expect(() => pool.readOnly).toThrow("set 'readOnly: true'");
});

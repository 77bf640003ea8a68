import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Connection } from 'tedious';
import { expect, onTestFinished, test } from 'vitest';
import type { ChannelPayloads } from '../../src/channels.js';
import type { TokenPool } from '../../src/pool/token-pool.js';
import type { QueryHandler } from '../../src/testing/index.js';
import { site } from '../support/pool.js';
import { query } from '../support/query.js';

function failoversSeen(): ChannelPayloads['pool:failover'][] {
  const seen: ChannelPayloads['pool:failover'][] = [];
  const onFailover = (message: unknown) => seen.push(message as ChannelPayloads['pool:failover']);
  subscribe('mssql-token-pool:pool:failover', onFailover);
  onTestFinished(() => {
    unsubscribe('mssql-token-pool:pool:failover', onFailover);
  });
  return seen;
}

/** The pool with this many connections, all idle. */
async function opened(pool: TokenPool, count: number): Promise<Connection[]> {
  const connections = await Promise.all(Array.from({ length: count }, () => pool.acquire()));
  for (const connection of connections) pool.release(connection);
  return connections;
}

/** The network has lost it: no byte gets through any longer, and the socket does not notice. */
function cut(connection: Connection): void {
  const { socket } = connection as unknown as { socket: { destroy(error: Error): void } };
  socket.destroy(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }));
}

test('two broken connections drain the others, instead of an error for each borrower', async () => {
  await using s = await site();
  const seen = failoversSeen();
  const pool = s.pool({ pool: { max: 6 } });
  const old = await opened(pool, 6);
  const busy = await pool.acquire();
  for (const connection of old.filter((each) => each !== busy).slice(0, 2)) cut(connection);
  await expect.poll(() => seen.length, { timeout: 10_000 }).toBe(1);
  expect(seen[0]).toMatchObject({ sign: 'broken-connections', drained: 4 });
  // The borrowed one keeps its connection until it is returned (P8).
  expect(await query(busy, 'SELECT 1')).toEqual([[1]]);
  pool.release(busy);
  await expect.poll(() => pool.stats.size, { timeout: 10_000 }).toBe(0);
  expect(pool.stats.evictions).toEqual({ broken: 2, failover: 4 });
  expect(await pool.use((connection) => query(connection, 'SELECT 1'))).toEqual([[1]]);
});

test('one broken connection is not a failover', async () => {
  await using s = await site();
  const seen = failoversSeen();
  const pool = s.pool({ pool: { max: 3 } });
  const [first] = await opened(pool, 3);
  cut(first as Connection);
  await expect.poll(() => pool.stats.size, { timeout: 10_000 }).toBe(2);
  expect(seen).toEqual([]);
  expect(pool.stats.evictions).toEqual({ broken: 1 });
});

/** Refuses changes as a secondary does. */
const readOnly =
  (isSecondary: () => boolean): QueryHandler =>
  (sql) => {
    if (!/^INSERT/.test(sql)) return undefined;
    if (isSecondary()) throw READ_ONLY;
    return [];
  };

const READ_ONLY = {
  number: 3906,
  class: 16,
  state: 1,
  message: 'Failed to update database "app" because the database is read-only.',
};

test('sessions that have become read-only are replaced after the first error', async () => {
  let isSecondary = false;
  await using s = await site({ server: { onQuery: readOnly(() => isSecondary) } });
  const seen = failoversSeen();
  const pool = s.pool({ pool: { max: 4 } });
  await opened(pool, 4);
  isSecondary = true;
  s.server.setReadOnly(true);
  await expect(pool.use((connection) => query(connection, 'INSERT INTO t VALUES (1)'))).rejects.toMatchObject({
    number: 3906,
  });
  expect(seen).toEqual([expect.objectContaining({ sign: 'read-only', drained: 3 })]);
  isSecondary = false;
  s.server.setReadOnly(false);
  await pool.use((connection) => query(connection, 'INSERT INTO t VALUES (1)'));
  expect(pool.stats.evictions).toEqual({ 'read-only': 1, failover: 3 });
});

test('a permanently read-only database does not cost all connections again and again', async () => {
  await using s = await site({ server: { onQuery: readOnly(() => true) } });
  const seen = failoversSeen();
  const pool = s.pool({ pool: { max: 3 } });
  for (let i = 0; i < 4; i += 1) {
    await opened(pool, 3);
    await expect(pool.use((connection) => query(connection, 'INSERT INTO t VALUES (1)'))).rejects.toThrow('read-only');
  }
  expect(seen).toHaveLength(1);
});

test('a pool with read-only intent keeps a session that refuses a change', async () => {
  await using s = await site({ server: { onQuery: readOnly(() => true) } });
  const pool = s.pool({ options: { ...s.server.config().options, readOnlyIntent: true }, pool: { max: 1 } });
  await expect(pool.use((connection) => query(connection, 'INSERT INTO t VALUES (1)'))).rejects.toThrow('read-only');
  await pool.use((connection) => query(connection, 'SELECT 1'));
  expect(s.server.logins).toHaveLength(1);
});

test('sessions that only read are replaced too if pool.validate checks Updateability', async () => {
  await using s = await site();
  const validate = async (connection: Connection) => {
    const [[updateability] = []] = await query(connection, "SELECT DATABASEPROPERTYEX(DB_NAME(), 'Updateability')");
    return updateability === 'READ_WRITE';
  };
  const pool = s.pool({ pool: { max: 2, validate } });
  const old = new Set(await opened(pool, 2));
  s.server.setReadOnly(true);
  let isServed = false;
  const waiting = pool.acquire().finally(() => {
    isServed = true;
  });
  await expect.poll(() => pool.stats.evictions.broken ?? 0, { timeout: 10_000 }).toBeGreaterThanOrEqual(2);
  // Not `stats.borrowed`, which includes a connection under test.
  expect(isServed).toBe(false);
  s.server.setReadOnly(false);
  const connection = await waiting;
  expect(old.has(connection)).toBe(false);
  pool.release(connection);
});

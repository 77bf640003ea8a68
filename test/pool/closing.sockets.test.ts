import { Request } from 'tedious';
import { expect, test } from 'vitest';
import { PoolClosedError } from '../../src/errors.js';
import { site } from '../support/pool.js';
import { query } from '../support/query.js';

test('close() waits for borrowed connections, rejects waiting callers at once, and leaves nothing open', async () => {
  await using s = await site();
  const pool = s.pool({ pool: { max: 2 } });
  const borrowed = await Promise.all([pool.acquire(), pool.acquire()]);
  const waiting = pool.acquire();
  let closed = false;
  const closing = pool.close().then(() => {
    closed = true;
  });
  await expect(waiting).rejects.toBeInstanceOf(PoolClosedError);
  expect(closed).toBe(false);
  expect(await query(borrowed[0] as (typeof borrowed)[0], 'SELECT 1')).toEqual([[1]]);
  for (const connection of borrowed) pool.release(connection);
  await closing;
  expect(pool.stats).toMatchObject({ size: 0, borrowed: 0, pending: 0 });
  await expect.poll(() => s.server.connections.open).toBe(0);
});

test.each([Number.POSITIVE_INFINITY, 2 ** 31])(
  'close({ timeoutMs: %d }) waits, it does not cut at once',
  async (timeoutMs) => {
    await using s = await site();
    const pool = s.pool();
    const connection = await pool.acquire();
    const closing = pool.close({ timeoutMs });
    expect(await query(connection, "WAITFOR DELAY '00:00:00.050'; SELECT 1")).toEqual([[1]]);
    pool.release(connection);
    await closing;
  },
);

test('close({ timeoutMs }) does not wait longer for a connection that is never returned', async () => {
  await using s = await site();
  const pool = s.pool();
  await pool.acquire();
  await pool.close({ timeoutMs: 20 });
  expect(pool.stats.size).toBe(0);
  await expect.poll(() => s.server.connections.open).toBe(0);
});

test.each(['release', 'destroy'] as const)(
  'close() ends everything where the callbacks of the requests in progress return their connections with %s',
  async (how) => {
    await using s = await site();
    const pool = s.pool({ pool: { max: 3 } });
    const borrowed = await Promise.all([pool.acquire(), pool.acquire(), pool.acquire()]);
    const ended = borrowed.map(
      (connection) =>
        new Promise<Error | undefined | null>((resolve, reject) => {
          const request = new Request("WAITFOR DELAY '00:00:30'", (error) => {
            try {
              pool[how](connection);
              resolve(error);
            } catch (thrown) {
              reject(thrown);
            }
          });
          connection.execSqlBatch(request);
        }),
    );
    await pool.close({ timeoutMs: 0 });
    for (const error of await Promise.all(ended)) expect(error).toMatchObject({ code: 'ECLOSE' });
    expect(pool.stats).toMatchObject({ size: 0, borrowed: 0, evictions: { 'pool-closed': 3 } });
    await expect.poll(() => s.server.connections.open).toBe(0);
  },
);

test('close() in the middle of a login ends that login', async () => {
  await using s = await site({ server: { loginDelayMs: 60_000 } });
  const pool = s.pool();
  const waiting = pool.acquire();
  waiting.catch(() => undefined);
  await expect.poll(() => s.server.logins.length).toBe(1);
  await pool.close();
  await expect(waiting).rejects.toBeInstanceOf(PoolClosedError);
  await expect.poll(() => s.server.connections.open).toBe(0);
});

test('closing twice is the same as closing once', async () => {
  await using s = await site();
  const pool = s.pool();
  await pool.ready();
  expect(pool.close()).toBe(pool.close());
  await pool[Symbol.asyncDispose]();
});

import { expect, test } from 'vitest';
import { AbortedError, AcquireTimeoutError, NotBorrowedError, PoolClosedError } from '../../src/errors.js';
import { site } from '../support/pool.js';
import { query } from '../support/query.js';

test('a caller that waits too long gets an AcquireTimeoutError that describes the state of the pool', async () => {
  await using s = await site();
  const pool = s.pool({ pool: { max: 1, acquireTimeoutMillis: 2_000 } });
  const connection = await pool.acquire();
  const error = await pool.acquire().catch((e: unknown) => e);
  expect(error).toBeInstanceOf(AcquireTimeoutError);
  expect((error as Error).message).toMatch(/within 2000 ms: 1 of 1 borrowed/);
  pool.release(connection);
  expect(pool.stats).toMatchObject({ size: 1, available: 1, borrowed: 0, pending: 0 });
});

test('callers are served in the order in which they arrived', async () => {
  await using s = await site();
  const pool = s.pool({ pool: { max: 1 } });
  const first = await pool.acquire();
  const order: number[] = [];
  const rest = [1, 2, 3].map((n) =>
    pool.use(() => {
      order.push(n);
    }),
  );
  pool.release(first);
  await Promise.all(rest);
  expect(order).toEqual([1, 2, 3]);
});

test('an AbortSignal ends the wait, its reason is the cause, and the connection is not lost', async () => {
  await using s = await site();
  const pool = s.pool({ pool: { max: 1 } });
  const connection = await pool.acquire();
  const controller = new AbortController();
  const waiting = pool.acquire({ signal: controller.signal });
  const reason = new Error('the request was cancelled');
  controller.abort(reason);
  await expect(waiting).rejects.toMatchObject({ code: 'ERR_ABORTED', cause: reason });
  pool.release(connection);
  await pool.use((c) => query(c, 'SELECT 1'));
  expect(pool.stats).toMatchObject({ size: 1, borrowed: 0, pending: 0 });
  await expect(pool.acquire({ signal: AbortSignal.abort() })).rejects.toBeInstanceOf(AbortedError);
});

test('rejects a second return, and a return to the wrong pool', async () => {
  await using s = await site();
  const [one, other] = [s.pool(), s.pool()];
  const connection = await one.acquire();
  expect(() => other.release(connection)).toThrow(NotBorrowedError);
  one.release(connection);
  expect(() => one.release(connection)).toThrow(NotBorrowedError);
  expect(() => one.destroy(connection)).toThrow(NotBorrowedError);
  expect(await one.use((c) => query(c, 'SELECT 1'))).toEqual([[1]]);
});

test('use() returns the connection when its function fails', async () => {
  await using s = await site();
  const pool = s.pool({ pool: { max: 1 } });
  const failure = new Error('mine');
  await expect(
    pool.use(() => {
      throw failure;
    }),
  ).rejects.toBe(failure);
  await expect(pool.use((c) => query(c, "RAISERROR (N'no', 16, 1)"))).rejects.toMatchObject({ number: 50000 });
  expect(pool.stats).toMatchObject({ size: 1, borrowed: 0 });
  expect(s.server.logins).toHaveLength(1);
});

test('destroy() closes the connection; the next caller gets another', async () => {
  await using s = await site();
  const pool = s.pool({ pool: { max: 1 } });
  pool.destroy(await pool.acquire());
  await pool.use((c) => query(c, 'SELECT 1'));
  expect(s.server.logins).toHaveLength(2);
});

test('closes a connection that is returned in the middle of a request or a transaction', async () => {
  await using s = await site();
  const pool = s.pool({ pool: { max: 1 } });
  const busy = await pool.acquire();
  const running = query(busy, "WAITFOR DELAY '00:00:10'").catch(() => 'ended');
  pool.release(busy);
  expect(await running).toBe('ended');

  const inTransaction = await pool.acquire();
  await new Promise<void>((resolve, reject) => inTransaction.beginTransaction((e) => (e ? reject(e) : resolve())));
  pool.release(inTransaction);

  expect(await pool.use((c) => query(c, 'SELECT @@TRANCOUNT'))).toEqual([[0]]);
  expect(s.server.logins).toHaveLength(3);
});

test('idle connections that the server cut are never handed out', async () => {
  await using s = await site();
  const pool = s.pool({ pool: { max: 3 } });
  const borrowed = await Promise.all([pool.acquire(), pool.acquire(), pool.acquire()]);
  for (const connection of borrowed) pool.release(connection);
  s.server.dropConnections();
  await expect.poll(() => pool.stats.size).toBe(0);
  expect(await pool.use((c) => query(c, 'SELECT 1'))).toEqual([[1]]);
});

test('validateConnection: true queries the server at each checkout, and pool.validate is called', async () => {
  await using s = await site();
  const asked: string[] = [];
  const pool = s.pool({
    validateConnection: true,
    pool: {
      validate: () => {
        asked.push('validate');
        return asked.length !== 2;
      },
    },
  });
  for (let i = 0; i < 3; i += 1) pool.release(await pool.acquire());
  // First checkout, second refused and tried again on a new connection, third.
  expect(asked).toHaveLength(4);
  expect(s.server.logins).toHaveLength(2);
});

test('a closed pool rejects callers', async () => {
  await using s = await site();
  const pool = s.pool();
  await pool.close();
  await expect(pool.acquire()).rejects.toBeInstanceOf(PoolClosedError);
  await expect(pool.ready()).rejects.toMatchObject({ code: 'ERR_POOL_CLOSED' });
});

test('callers that came first get the existing connections, and later ones wait for a login', async () => {
  await using s = await site();
  const pool = s.pool({ pool: { max: 4 } });
  const opened = await Promise.all(Array.from({ length: 4 }, () => pool.acquire()));
  for (const connection of opened) pool.release(connection);
  // The two that were returned last would be handed out first.
  for (const connection of opened.slice(2)) connection.close();
  await expect.poll(() => pool.stats.size).toBe(2);
  const served: number[] = [];
  const connections = await Promise.all(
    [1, 2, 3, 4].map(async (caller) => {
      const connection = await pool.acquire();
      served.push(caller);
      return connection;
    }),
  );
  expect(served.slice(0, 2)).toEqual([1, 2]);
  expect(new Set(connections.slice(0, 2))).toEqual(new Set(opened.slice(0, 2)));
  for (const connection of connections) pool.release(connection);
});

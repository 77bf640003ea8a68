import type { Connection } from 'tedious';
import { expect, test, vi } from 'vitest';
import { NotBorrowedError, PoolClosedError } from '../../src/errors.js';
import type { DrivenConnection } from '../support/driven-server.js';
import { driven, drivenWorld, HOUR, outcome, pass, SECOND, settled } from '../support/driven-world.js';

const world = drivenWorld();
const { aPool, borrow, opened } = world;

test('close() closes idle connections at once, and resolves when no connection is left', async () => {
  const pool = aPool({ max: 3, min: 1 });
  await opened(pool, 3);
  world.server.closeMs = 2 * SECOND;
  const closed = outcome(pool.close());
  await pass(2 * SECOND - 1);
  expect(closed.at).toBeUndefined();
  expect(world.server.connections.size).toBe(3);
  await pass(2);
  settled(closed);
  expect(world.server.connections.size).toBe(0);
  expect(pool.stats).toMatchObject({ size: 0, available: 0, borrowed: 0, evictions: { 'pool-closed': 3 } });
  expect(world.events.filter(({ name }) => name === 'pool:closed')).toEqual([
    { name: 'pool:closed', payload: { pool: pool.name } },
  ]);
});

test('close() does not wait forever for connections that do not end: destroyTimeoutMillis', async () => {
  const pool = aPool({ max: 1, destroyTimeoutMillis: 3 * SECOND });
  await opened(pool, 1);
  world.server.closeMs = 5 * SECOND;
  const closed = outcome(pool.close());
  await pass(3 * SECOND - 1);
  expect(closed.at).toBeUndefined();
  await pass(1);
  settled(closed);
  await pass(5 * SECOND);
});

test('close() waits for borrowed connections, 10 s by default, then closes them while in use', async () => {
  const pool = aPool({ max: 2 });
  const [one, other] = (await borrow(pool, 2)) as [Connection, Connection];
  const closed = outcome(pool.close());
  await pass(5 * SECOND);
  expect(pool.isBorrowed(one)).toBe(true);
  pool.release(one);
  await pass(0);
  expect(driven(one).closed).toBe(true);
  expect(closed.at).toBeUndefined();
  await pass(5 * SECOND - 1);
  expect(driven(other).closed).toBe(false);
  await pass(2);
  expect(driven(other).closed).toBe(true);
  settled(closed);
  expect(pool.isBorrowed(other)).toBe(false);
  // Its borrower could not know that. A second return is an error, as always.
  pool.release(other);
  expect(() => pool.release(other)).toThrow(NotBorrowedError);
  expect(pool.stats).toMatchObject({ size: 0, available: 0, borrowed: 0, evictions: { 'pool-closed': 2 } });
});

/** As tedious, which calls the callback of a request in progress when its connection is closed: this one throws. */
function throwsOnClose(connection: Connection): void {
  const { close } = driven(connection);
  driven(connection).close = function () {
    close.call(this);
    throw new Error('thrown by a callback');
  };
}

test('close() closes every connection even if the callback of a request throws, which is an uncaught exception', async () => {
  const pool = aPool({ max: 3 });
  const borrowed = await borrow(pool, 3);
  for (const connection of borrowed.slice(0, 2)) throwsOnClose(connection);
  const uncaught: unknown[] = [];
  const { nextTick } = process;
  vi.spyOn(process, 'nextTick').mockImplementation((run, ...args) =>
    nextTick(() => {
      try {
        run(...args);
      } catch (error) {
        uncaught.push(error);
      }
    }),
  );
  const closed = outcome(pool.close({ timeoutMs: 0 }));
  await pass(SECOND);
  settled(closed);
  expect(uncaught).toMatchObject([{ message: 'thrown by a callback' }, { message: 'thrown by a callback' }]);
  expect(borrowed.map((connection) => driven(connection).closed)).toEqual([true, true, true]);
});

test('a successor takes over even if the callback of a request in progress throws', async () => {
  const pool = aPool({ max: 1, idleTimeoutMillis: 2 * HOUR });
  const connection = await world.borrowedWhileRenewed(pool);
  await pass(21 * SECOND);
  throwsOnClose(connection);
  expect(() => pool.destroy(connection)).toThrow('thrown by a callback');
  expect(pool.stats).toMatchObject({ size: 1, available: 1, logins: 2 });
});

test('close() settles as soon as the last connection is returned', async () => {
  const pool = aPool({ max: 2 });
  const borrowed = (await borrow(pool, 2)) as [Connection, Connection];
  const startedAt = performance.now();
  const closed = outcome(pool.close({ timeoutMs: HOUR }));
  await pass(SECOND);
  pool.destroy(borrowed[0]);
  await pass(SECOND);
  pool.release(borrowed[1]);
  await pass(1);
  settled(closed);
  expect(closed.at).toBeLessThanOrEqual(startedAt + 2 * SECOND + 1);
});

test.each([0, 500])('close({ timeoutMs: %d }) closes borrowed connections after that time', async (timeoutMs) => {
  const pool = aPool({ max: 1 });
  const [connection] = (await borrow(pool, 1)) as [Connection];
  const closed = outcome(pool.close({ timeoutMs }));
  if (timeoutMs > 0) {
    await pass(timeoutMs - 1);
    expect((connection as unknown as DrivenConnection).closed).toBe(false);
  }
  await pass(2);
  settled(closed);
  expect((connection as unknown as DrivenConnection).closed).toBe(true);
});

test('close({ timeoutMs: Infinity }) waits', async () => {
  const pool = aPool({ max: 1 });
  const [connection] = (await borrow(pool, 1)) as [Connection];
  const closed = outcome(pool.close({ timeoutMs: Number.POSITIVE_INFINITY }));
  await pass(HOUR);
  expect(closed.at).toBeUndefined();
  pool.release(connection);
  await pass(1);
  settled(closed);
});

test('close() rejects every waiting caller: for a login, for a token, for a returned connection', async () => {
  const pool = aPool({ max: 1 });
  world.server.loginMs = HOUR;
  const waiting = [1, 2, 3].map(() => outcome(pool.acquire()));
  const tokenless = aPool({ max: 1 }, { authentication: { getToken: () => new Promise(() => {}) } });
  waiting.push(outcome(tokenless.acquire()));
  await pass(SECOND);
  const closedAt = performance.now();
  const closed = [outcome(pool.close()), outcome(tokenless.close())];
  await pass(1);
  for (const { error, at } of waiting) {
    expect(error).toBeInstanceOf(PoolClosedError);
    expect(at).toBe(closedAt);
  }
  for (const each of closed) settled(each);
  expect(pool.stats).toMatchObject({ size: 0, pending: 0, opening: 0 });
  await pass(HOUR);
  expect(world.events.filter(({ name }) => name === 'checkout:timed-out')).toEqual([]);
  // The server notices at the next packet.
  world.server.cut();
});

test('close() rejects a waiting caller although a connection is returned meanwhile', async () => {
  const pool = aPool({ max: 1 });
  const [connection] = (await borrow(pool, 1)) as [Connection];
  const waiting = outcome(pool.acquire());
  await pass(0);
  const closed = outcome(pool.close());
  pool.release(connection);
  await pass(1);
  expect(waiting.error).toBeInstanceOf(PoolClosedError);
  settled(closed);
  expect(world.server.connections.size).toBe(0);
});

test('closing twice is the same as closing once, and the first time limit counts', async () => {
  const pool = aPool({ max: 1 });
  await borrow(pool, 1);
  const closing = pool.close({ timeoutMs: SECOND });
  expect(pool.close({ timeoutMs: 0 })).toBe(closing);
  expect(pool[Symbol.asyncDispose]()).toBe(closing);
  const closed = outcome(closing);
  await pass(SECOND - 1);
  expect(closed.at).toBeUndefined();
  await pass(2);
  settled(closed);
  expect(world.events.filter(({ name }) => name === 'pool:closed')).toHaveLength(1);
});

test('the process may end although close() still waits', async () => {
  const pool = aPool({ max: 1 });
  const [connection] = (await borrow(pool, 1)) as [Connection];
  const real = globalThis.setTimeout;
  const timers: NodeJS.Timeout[] = [];
  vi.spyOn(globalThis, 'setTimeout').mockImplementation(((run: () => void, ms: number) => {
    const timer = real(run, ms);
    timers.push(timer);
    return timer;
  }) as typeof setTimeout);
  const closed = outcome(pool.close());
  await pass(0);
  expect(timers.length).toBeGreaterThan(0);
  for (const timer of timers) expect(timer.hasRef()).toBe(false);
  pool.release(connection);
  await pass(1);
  settled(closed);
});

test('a replacement that waits to take over is closed with the pool', async () => {
  const pool = aPool({ max: 1, idleTimeoutMillis: HOUR });
  const borrowed = await world.borrowedWhileRenewed(pool);
  await pass(20 * SECOND);
  expect(world.server.connections.size).toBe(2);
  const closed = outcome(pool.close());
  await pass(SECOND);
  pool.release(borrowed);
  await pass(1);
  settled(closed);
  expect(world.server.connections.size).toBe(0);
  expect(pool.stats).toMatchObject({ size: 0, renewals: 0, evictions: { 'pool-closed': 2 } });
});

import type { Connection } from 'tedious';
import { expect, test, vi } from 'vitest';
import type { EvictionReason } from '../../src/channels.js';
import { NotBorrowedError } from '../../src/errors.js';
import type { DrivenConnection } from '../support/driven-server.js';
import {
  driven,
  drivenWorld,
  HOUR,
  MINUTE,
  outcome,
  pass,
  releaseAll,
  SECOND,
  settled,
  sqlLogin,
} from '../support/driven-world.js';

const world = drivenWorld();
const { aPool, borrow, opened } = world;

test('a returned connection is idle, and goes to the next caller', async () => {
  const pool = aPool({ max: 2 });
  const [connection] = (await borrow(pool, 1)) as [Connection];
  expect(pool.isBorrowed(connection)).toBe(true);
  expect(pool.stats).toMatchObject({ size: 1, borrowed: 1, available: 0 });
  pool.release(connection);
  expect(pool.isBorrowed(connection)).toBe(false);
  expect(pool.stats).toMatchObject({ size: 1, borrowed: 0, available: 1, evictions: {} });
  expect(await pool.acquire()).toBe(connection);
  pool.release(connection);
});

test('a session whose server has said as information that it shuts down is not used again', async () => {
  const pool = aPool({ max: 1 });
  const [connection] = (await borrow(pool, 1)) as [Connection];
  driven(connection).emit('infoMessage', { number: 5701, class: 0, state: 1, message: 'Changed database context.' });
  expect(pool.isBorrowed(connection)).toBe(true);
  driven(connection).emit('infoMessage', { number: 6005, class: 10, state: 1, message: 'SHUTDOWN is in progress.' });
  pool.release(connection);
  expect(pool.stats).toMatchObject({ size: 0, evictions: { broken: 1 } });
});

test('a connection that is not borrowed can be neither returned nor destroyed', async () => {
  const [pool, other] = [aPool({ max: 1 }), aPool({ max: 1 })];
  const [connection] = (await borrow(pool, 1)) as [Connection];
  for (const wrong of [() => other.release(connection), () => other.destroy(connection)]) {
    expect(wrong).toThrow(NotBorrowedError);
    expect(wrong).toThrow('not borrowed from this pool');
  }
  pool.release(connection);
  expect(() => pool.release(connection)).toThrow(NotBorrowedError);
  expect(() => pool.destroy(connection)).toThrow(NotBorrowedError);
  expect(pool.stats).toMatchObject({ size: 1, borrowed: 0, available: 1 });
  expect(driven(connection).closed).toBe(false);
});

test.each<[string, (connection: DrivenConnection) => void, EvictionReason]>([
  ['that was closed meanwhile', (connection) => connection.end(), 'broken'],
  ['that its caller has closed', (connection) => connection.close(), 'broken'],
  ['that has failed', (connection) => connection.emit('error', new Error('ECONNRESET')), 'broken'],
  [
    'in the middle of a request',
    (connection) => {
      connection.state = { name: 'SentClientRequest' };
    },
    'misused',
  ],
  [
    'in the middle of a transaction',
    (connection) => {
      connection.inTransaction = true;
    },
    'misused',
  ],
])('a connection %s is closed, and the waiting caller gets another', async (_, happens, reason) => {
  const pool = aPool({ max: 1 });
  const [connection] = (await borrow(pool, 1)) as [Connection];
  const waiting = outcome(pool.acquire());
  happens(driven(connection));
  pool.release(connection);
  expect(driven(connection).closed).toBe(true);
  expect(pool.isBorrowed(connection)).toBe(false);
  await pass(world.server.loginMs + 1);
  expect(settled(waiting)).not.toBe(connection);
  expect(pool.stats).toMatchObject({ size: 1, borrowed: 1, evictions: { [reason]: 1 } });
  pool.release(settled(waiting));
  expect(world.server.connections.size).toBe(1);
});

test('a connection that was closed while borrowed counts until it is returned', async () => {
  const pool = aPool({ max: 2, min: 1 });
  const [connection] = (await borrow(pool, 1)) as [Connection];
  driven(connection).end();
  await pass(5 * SECOND);
  expect(pool.stats).toMatchObject({ size: 1, borrowed: 1, evictions: {} });
  pool.release(connection);
  await pass(world.server.loginMs + 1);
  expect(pool.stats).toMatchObject({ size: 1, borrowed: 0, logins: 2, evictions: { broken: 1 } });
});

test('destroy() closes a connection, and the waiting caller gets another', async () => {
  const pool = aPool({ max: 1 });
  const [connection] = (await borrow(pool, 1)) as [Connection];
  const waiting = outcome(pool.acquire());
  pool.destroy(connection);
  expect(driven(connection).closed).toBe(true);
  expect(pool.stats).toMatchObject({ size: 0, borrowed: 0, evictions: { 'destroyed-by-caller': 1 } });
  await pass(world.server.loginMs + 1);
  expect(settled(waiting)).not.toBe(connection);
  pool.release(settled(waiting));
});

test('min is restored at once when connections are destroyed; those beyond it are not', async () => {
  const pool = aPool({ max: 3, min: 2 });
  await pass(world.server.loginMs);
  const borrowed = await borrow(pool, 3);
  for (const connection of borrowed) pool.destroy(connection);
  await pass(world.server.loginMs + 2);
  expect(pool.stats).toMatchObject({ size: 2, logins: 5 });
});

test('min is restored without a caller', async () => {
  const pool = aPool({ max: 6, min: 2, idleTimeoutMillis: HOUR });
  await pass(world.server.loginMs);
  const [one, two, ...others] = (await borrow(pool, 6)) as [Connection, Connection];
  releaseAll(pool, [two, ...others]);
  for (const other of others) driven(other).end();
  await pass(SECOND);
  expect(pool.stats).toMatchObject({ size: 2, logins: 6 });
  pool.destroy(one);
  await pass(world.server.loginMs + 1);
  expect(pool.stats).toMatchObject({ size: 2, logins: 7 });
  await pass(MINUTE);
  expect(pool.stats).toMatchObject({ size: 2, logins: 7 });
});

test("use() borrows a connection while its function runs, and returns the function's result", async () => {
  const pool = aPool({ max: 1 });
  let during: number | undefined;
  const used = outcome(
    pool.use(async () => {
      during = pool.stats.borrowed;
      await new Promise((resolve) => setTimeout(resolve, SECOND));
      return 'result';
    }),
  );
  await pass(SECOND);
  expect(pool.stats.borrowed).toBe(1);
  await pass(world.server.loginMs);
  expect(settled(used)).toBe('result');
  expect(during).toBe(1);
  expect(pool.stats).toMatchObject({ size: 1, borrowed: 0 });
});

test('use() returns the connection when its function fails, and passes the failure on', async () => {
  const pool = aPool({ max: 1 });
  const failure = new Error('mine');
  const used = outcome(pool.use(() => Promise.reject(failure)));
  await pass(world.server.loginMs);
  expect(used.error).toBe(failure);
  expect(pool.stats).toMatchObject({ size: 1, borrowed: 0, evictions: {} });
});

test.each(['release', 'destroy'] as const)('use() accepts a function that called %s() itself', async (how) => {
  const pool = aPool({ max: 1 });
  const used = outcome(pool.use((connection) => pool[how](connection)));
  await pass(world.server.loginMs);
  settled(used);
  expect(pool.stats).toMatchObject({ borrowed: 0, size: how === 'release' ? 1 : 0 });
});

test('use() takes an AbortSignal', async () => {
  const pool = aPool({ max: 1 });
  const [borrowed] = (await borrow(pool, 1)) as [Connection];
  const controller = new AbortController();
  const used = outcome(pool.use(() => 1, { signal: controller.signal }));
  controller.abort();
  await pass(0);
  expect(used.error).toMatchObject({ code: 'ERR_ABORTED' });
  pool.release(borrowed);
});

test.each([0, 1])('a connection returned past its maximum age is closed because of it: overlap %d', async (overlap) => {
  const pool = aPool({ max: 1, maxAgeMillis: 10 * MINUTE, overlap }, sqlLogin);
  const [connection] = (await borrow(pool, 1)) as [Connection];
  await pass(10 * MINUTE);
  pool.release(connection);
  expect(driven(connection).closed).toBe(true);
  expect(pool.stats).toMatchObject({ size: 0, evictions: { 'max-age': 1 } });
});

test('a connection returned before its maximum age is kept', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0.999);
  const pool = aPool({ max: 1, maxAgeMillis: 10 * MINUTE, overlap: 0 }, sqlLogin);
  const [connection] = (await borrow(pool, 1)) as [Connection];
  await pass(9.9 * MINUTE);
  pool.release(connection);
  expect(driven(connection).closed).toBe(false);
  expect(pool.stats).toMatchObject({ size: 1, evictions: {} });
});

test('a connection returned inside its eviction margin is closed if a later token is cached', async () => {
  const pool = aPool({ max: 1 });
  const [connection] = (await borrow(pool, 1)) as [Connection];
  await pass(56 * MINUTE);
  pool.release(connection);
  expect(driven(connection).closed).toBe(true);
  expect(pool.stats).toMatchObject({ size: 0, evictions: { 'token-expiry': 1 } });
});

test('a connection returned inside its eviction margin is kept if no later token is available', async () => {
  const pool = aPool({ max: 1 });
  const [connection] = (await borrow(pool, 1)) as [Connection];
  world.provider.sticky = new Error('HTTP 503');
  await pass(56 * MINUTE);
  pool.release(connection);
  expect(driven(connection).closed).toBe(false);
  expect(pool.stats).toMatchObject({ size: 1, available: 1, evictions: {} });
});

test('without overlap, a connection that was due for renewal while borrowed is closed when it is returned', async () => {
  const pool = aPool({ max: 1, overlap: 0 });
  const [connection] = (await borrow(pool, 1)) as [Connection];
  await pass(55 * MINUTE - SECOND);
  pool.release(connection);
  expect(driven(connection).closed).toBe(true);
  expect(pool.stats).toMatchObject({ size: 0, renewals: 0, evictions: { 'token-expiry': 1 } });
});

const EXPIRED = { number: 37396, state: 1, class: 16, message: 'Query cannot be executed, access token is expired.' };

test('a token that the server refuses in a session is discarded, and connections on it are closed, borrowed or not', async () => {
  const pool = aPool({ max: 3 });
  const [idle, refused, borrowed] = (await borrow(pool, 3)) as [Connection, Connection, Connection];
  pool.release(idle);
  driven(refused).emit('errorMessage', EXPIRED);
  expect([idle, refused, borrowed].map((connection) => driven(connection).closed)).toEqual([true, false, false]);
  expect(pool.stats).toMatchObject({ size: 2, evictions: { 'token-invalidated': 1 } });
  releaseAll(pool, [refused, borrowed]);
  expect([refused, borrowed].map((connection) => driven(connection).closed)).toEqual([true, true]);
  expect(pool.stats).toMatchObject({ size: 0, evictions: { 'token-invalidated': 3 } });
  await opened(pool, 1);
  expect(world.provider.requests).toHaveLength(2);
});

test('other errors of the server say nothing about the token', async () => {
  const pool = aPool({ max: 1 });
  const [connection] = (await borrow(pool, 1)) as [Connection];
  driven(connection).emit('errorMessage', { ...EXPIRED, number: 208, message: 'Invalid object name.' });
  pool.release(connection);
  expect(pool.stats).toMatchObject({ size: 1, evictions: {} });
  await opened(pool, 1);
  expect(world.provider.requests).toHaveLength(1);
});

test('a session whose token was refused is closed when it is returned, although the pool has a later token', async () => {
  const pool = aPool({ max: 2 });
  const [old] = (await borrow(pool, 1)) as [Connection];
  await pass(51 * MINUTE);
  const [young] = (await borrow(pool, 1)) as [Connection];
  driven(old).emit('errorMessage', EXPIRED);
  releaseAll(pool, [old, young]);
  expect([driven(old).closed, driven(young).closed]).toEqual([true, false]);
  expect(pool.stats).toMatchObject({ size: 1, evictions: { 'token-invalidated': 1 } });
});

test('a successor that waits for a borrowed connection is also closed when its token is refused', async () => {
  const pool = aPool({ max: 2, idleTimeoutMillis: HOUR });
  const old = await world.borrowedWhileRenewed(pool);
  const [young] = (await borrow(pool, 1)) as [Connection];
  expect(pool.stats).toMatchObject({ size: 2, borrowed: 2, logins: 3 });
  driven(young).emit('errorMessage', EXPIRED);
  expect(pool.stats).toMatchObject({ size: 2, evictions: { 'token-invalidated': 1 } });
  pool.release(old);
  expect(driven(old).closed).toBe(false);
  pool.release(young);
  expect(driven(young).closed).toBe(true);
  expect(pool.stats).toMatchObject({ size: 1, renewals: 0, evictions: { 'token-invalidated': 2 } });
});

test('when a login is refused because of its token, idle connections on that token are closed too', async () => {
  const pool = aPool({ max: 3 });
  const [idle, borrowed] = (await borrow(pool, 2)) as [Connection, Connection];
  await pass(10 * MINUTE);
  world.server.refusals = [{ number: 18456, state: 233, class: 14, message: 'Token is expired.' }];
  const callers = [outcome(pool.acquire()), outcome(pool.acquire())];
  pool.release(idle);
  await pass(world.server.loginMs * 3);
  const connections = callers.map(settled) as Connection[];
  releaseAll(pool, [borrowed, ...connections]);
  expect(driven(borrowed).closed).toBe(true);
  expect(world.provider.requests).toHaveLength(2);
});

import type { Connection } from 'tedious';
import { expect, test, vi } from 'vitest';
import type { PooledConnection } from '../../src/pool/pooled-connection.js';
import { checkedIn, checkedOut } from '../../src/pool/reset-on-return.js';
import {
  borrowAtOnce,
  driven,
  drivenWorld,
  HOUR,
  live,
  MINUTE,
  outcome,
  pass,
  SECOND,
  settled,
  sqlLogin,
} from '../support/driven-world.js';

const world = drivenWorld();
const { aPool, opened } = world;

/** Changes the isolation level, which the flag on the next request would not restore. */
function changeLevel(connection: Connection): void {
  driven(connection).execSqlBatch({ sql: 'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE', done: () => {} });
}

/** One connection, due for renewal while it is borrowed, after a request that calls for a reset on its return. */
async function dueAndUsed(overlap = 1): Promise<{ pool: ReturnType<typeof aPool>; old: Connection }> {
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  const pool = aPool(
    { max: 1, overlap, maxAgeMillis: 10 * MINUTE, idleTimeoutMillis: HOUR, resetSession: 'always' },
    sqlLogin,
  );
  await opened(pool, 1);
  await live(pool, 9 * MINUTE, 1);
  const old = await borrowAtOnce(pool);
  changeLevel(old);
  await pass(31 * SECOND);
  return { pool, old };
}

test('P2: a connection that is reset when it is returned is also renewed if it is due', async () => {
  const { pool, old } = await dueAndUsed();
  const waiting = outcome(pool.acquire());
  pool.release(old);
  await pass(0);
  expect(settled(waiting)).toBe(old);
  await pass(SECOND);
  expect(pool.stats).toMatchObject({ size: 1, borrowed: 1, logins: 2, renewals: 0 });
  pool.release(old);
  expect(driven(old).closed).toBe(true);
  expect(pool.stats).toMatchObject({ size: 1, available: 1, renewals: 1, evictions: { renewed: 1 } });
});

test('P2: a connection that is due when it is returned is replaced by a successor that stands by, without a reset', async () => {
  const { pool, old } = await dueAndUsed();
  const waiting = outcome(pool.acquire());
  pool.release(old);
  await pass(SECOND);
  expect(settled(waiting)).toBe(old);
  changeLevel(old);
  const queries = world.server.queries.length;
  pool.release(old);
  const next = await borrowAtOnce(pool);
  expect(next).not.toBe(old);
  expect(world.server.queries.length).toBe(queries);
  pool.release(next);
});

/** One connection that has to be reset when it is returned. */
async function used(pool: Parameters<typeof aPool>[0] = {}, config: Parameters<typeof aPool>[1] = sqlLogin) {
  const resetting = aPool({ max: 1, resetSession: 'always', idleTimeoutMillis: HOUR, ...pool }, config);
  await opened(resetting, 1);
  const connection = await borrowAtOnce(resetting);
  changeLevel(connection);
  await pass(0);
  return { pool: resetting, connection };
}

test('a connection is not handed out before its session has been reset', async () => {
  const { pool, connection } = await used();
  world.server.query = () => undefined;
  pool.release(connection);
  expect(pool.stats).toMatchObject({ size: 1, borrowed: 0 });
  const waiting = outcome(pool.acquire());
  await pass(SECOND);
  expect(waiting.at).toBeUndefined();
  expect(world.server.dials).toHaveLength(1);
  // If the server has not answered after 5 s, the session is closed, and another is opened.
  await pass(4 * SECOND + world.server.loginMs);
  expect(settled(waiting)).not.toBe(connection);
  expect(driven(connection).closed).toBe(true);
  expect(pool.stats).toMatchObject({ size: 1, borrowed: 1, evictions: { 'reset-failed': 1 } });
});

test('a reset that fails closes the connection, and the next caller gets another', async () => {
  const { pool, connection } = await used();
  world.server.query = () => new Error('Cannot continue the execution');
  const waiting = outcome(pool.acquire());
  pool.release(connection);
  world.server.query = () => null;
  await pass(world.server.loginMs);
  expect(settled(waiting)).not.toBe(connection);
  expect(pool.stats).toMatchObject({ size: 1, borrowed: 1, evictions: { 'reset-failed': 1 } });
});

test('a session that the server ends during its reset is not handed out', async () => {
  const { pool, connection } = await used();
  const waiting = outcome(pool.acquire());
  pool.release(connection);
  driven(connection).emit('errorMessage', {
    number: 596,
    state: 1,
    class: 21,
    message: 'Session is in the kill state.',
  });
  await pass(world.server.loginMs);
  expect(settled(waiting)).not.toBe(connection);
  expect(pool.stats).toMatchObject({ size: 1, borrowed: 1, evictions: { broken: 1 } });
});

test('a connection that is lost during its reset is broken; the server has not refused to reset it', async () => {
  const { pool, connection } = await used();
  world.server.query = () => undefined;
  const waiting = outcome(pool.acquire());
  pool.release(connection);
  driven(connection).end();
  await pass(5 * SECOND + world.server.loginMs);
  expect(settled(waiting)).not.toBe(connection);
  expect(pool.stats).toMatchObject({ evictions: { broken: 1 } });
});

test('a pool can be closed during a reset', async () => {
  const { pool, connection } = await used();
  world.server.query = () => undefined;
  pool.release(connection);
  const closed = outcome(pool.close());
  await pass(SECOND);
  settled(closed);
  expect(driven(connection).closed).toBe(true);
  await pass(10 * SECOND);
  expect(pool.stats).toMatchObject({ size: 0, evictions: { 'pool-closed': 1 } });
});

test('P1: a session whose token the server would refuse at a reset is closed instead', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  const { pool, connection } = await used({}, {});
  world.provider.sticky = new Error('down');
  await pass(HOUR - 30 * SECOND);
  changeLevel(connection);
  const queries = world.server.queries.length;
  pool.release(connection);
  await pass(0);
  expect(driven(connection).closed).toBe(true);
  expect(world.server.queries.length).toBe(queries);
  expect(pool.stats).toMatchObject({ size: 0, evictions: { 'token-expiry': 1 } });
});

test('a server that never confirms a reset: the connection is closed, and no other caller gets its session', async () => {
  const pool = aPool({ max: 1, resetSession: 'always' }, sqlLogin);
  await opened(pool, 1);
  world.server.confirmsResets = false;
  const first = await borrowAtOnce(pool);
  driven(first).execSqlBatch({ sql: 'USE other', done: () => {} });
  pool.release(first);
  // Its first request carries the reset, which the server ignores: it may still find the state of the borrower before.
  const second = await borrowAtOnce(pool);
  driven(second).execSqlBatch({ sql: 'SELECT 1', done: () => {} });
  await pass(0);
  pool.release(second);
  expect(driven(second).closed).toBe(true);
  expect(pool.stats.evictions).toEqual({ 'reset-failed': 1 });

  // With a request of its own before the next borrower.
  const [third] = await world.borrow(pool, 1);
  changeLevel(third as Connection);
  const waiting = outcome(pool.acquire());
  pool.release(third as Connection);
  await pass(SECOND);
  expect(settled(waiting)).not.toBe(third);
  expect(pool.stats.evictions).toEqual({ 'reset-failed': 2 });
  pool.release(settled(waiting));
});

test('a connection that was reset when it was returned is idle from then on: it keeps no process alive and is closed in time', async () => {
  const { pool, connection } = await used({ idleTimeoutMillis: MINUTE });
  pool.release(connection);
  await pass(3 * SECOND);
  expect(driven(connection)).toMatchObject({ resets: 1, held: false });
  await pass(MINUTE);
  expect(pool.stats).toMatchObject({ size: 0, evictions: { idle: 1 } });
});

test.each([
  [100, 950],
  [1_500, 0],
])('P6: a reset of %i ms that begins %i ms after another return does not keep the process alive', async (ms, later) => {
  const pool = aPool({ max: 2, resetSession: 'always', idleTimeoutMillis: HOUR }, sqlLogin);
  await opened(pool, 2);
  const [first, second] = [await borrowAtOnce(pool), await borrowAtOnce(pool)];
  changeLevel(second);
  await pass(3 * SECOND);
  const reset = driven(second).reset.bind(driven(second));
  driven(second).reset = (done) => {
    setTimeout(() => reset(done), ms);
  };
  pool.release(first);
  await pass(later);
  pool.release(second);
  await pass(4 * SECOND);
  expect(driven(second)).toMatchObject({ held: false, closed: false });
});

test('each reset is an event, which says whether it took a request of its own', async () => {
  const { pool, connection } = await used();
  pool.release(connection);
  const next = await borrowAtOnce(pool);
  driven(next).execSqlBatch({ sql: 'USE other', done: () => {} });
  pool.release(next);
  const last = await borrowAtOnce(pool);
  driven(last).execSqlBatch({ sql: 'SELECT 1', done: () => {} });
  await pass(0);
  const resets = world.events.filter(({ name }) => name === 'connection:reset').map(({ payload }) => payload);
  expect(resets).toMatchObject([
    { pool: pool.name, roundTrip: true },
    { pool: pool.name, roundTrip: false },
  ]);
  pool.release(last);
});

test('P9: a connection that is used after it was returned is closed', async () => {
  const pool = aPool({ max: 1, resetSession: 'always', idleTimeoutMillis: HOUR }, sqlLogin);
  await opened(pool, 1);
  const kept = await borrowAtOnce(pool);
  driven(kept).execSqlBatch({ sql: 'SELECT 1', done: () => {} });
  pool.release(kept);
  driven(kept).execSqlBatch({ sql: 'USE other', done: () => {} });
  await pass(0);
  expect(driven(kept).closed).toBe(true);
  expect(pool.stats.evictions).toEqual({ misused: 1 });
});

test('a session that turns out to be read-only during its reset is closed for that', async () => {
  const { pool, connection } = await used();
  pool.release(connection);
  driven(connection).emit('errorMessage', { number: 3906, state: 1, class: 16, message: 'The database is read-only.' });
  await pass(SECOND);
  expect(driven(connection).closed).toBe(true);
  expect(pool.stats).toMatchObject({ size: 0, evictions: { 'read-only': 1 } });
});

test('a session that cannot be reset is handed out and returned without one', () => {
  const pooled = { live: { connection: {}, reset: undefined } } as unknown as PooledConnection;
  expect(() => checkedOut(pooled)).not.toThrow();
  expect(checkedIn(pooled)).toBe('none');
});

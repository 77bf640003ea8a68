import type { Connection } from 'tedious';
import { expect, test, vi } from 'vitest';
import type { ChannelName } from '../../src/channels.js';
import type { TokenPool } from '../../src/pool/token-pool.js';
import {
  borrowAtOnce,
  driven,
  drivenWorld,
  HOUR,
  MINUTE,
  outcome,
  pass,
  SECOND,
  settled,
  withoutSpread,
} from '../support/driven-world.js';
import { whenFirst } from '../support/when-first.js';

const world = drivenWorld();

/** The connection that a listener of the event borrows. */
function borrowedAt(name: ChannelName, pool: { acquire(): Promise<Connection> }): { connection?: Connection } {
  const borrowed: { connection?: Connection } = {};
  whenFirst(name, () => {
    void pool.acquire().then((connection) => {
      borrowed.connection = connection;
    });
  });
  return borrowed;
}

async function borrowOne(pool: TokenPool): Promise<Connection> {
  const [connection] = await world.borrow(pool, 1);
  if (connection === undefined) throw new Error('no connection');
  return connection;
}

test('an idle connection that a listener borrows when another one is closed stays open', async () => {
  const pool = world.aPool({ max: 2, idleTimeoutMillis: MINUTE });
  await world.opened(pool, 2);
  const borrowed = borrowedAt('connection:evicted', pool);
  await pass(MINUTE + SECOND);
  expect(pool.stats).toMatchObject({ size: 1, borrowed: 1, evictions: { idle: 1 }, logins: 2 });
  expect(driven(borrowed.connection).closed).toBe(false);
});

test('P6: a connection that a listener borrows when another one is closed keeps the process alive', async () => {
  const pool = world.aPool({ max: 2, idleTimeoutMillis: MINUTE });
  const [first, second] = await world.borrow(pool, 2);
  if (first === undefined || second === undefined) throw new Error('no connection');
  pool.release(first);
  await pass(59 * SECOND);
  // Both are due at the same time: one has been idle for a minute, the other for as long as it keeps the process alive.
  pool.release(second);
  const borrowed = borrowedAt('connection:evicted', pool);
  await pass(SECOND);
  expect(pool.stats.evictions).toEqual({ idle: 1 });
  expect(borrowed.connection).toBe(second);
  expect(driven(second)).toMatchObject({ held: true, closed: false });
});

test('a connection that a listener evicts when another one is closed is not renewed', async () => {
  withoutSpread();
  const pool = world.aPool({ max: 2, idleTimeoutMillis: 2 * HOUR });
  await world.opened(pool, 2);
  whenFirst('connection:evicted', () => pool.evictAll());
  // The one that is used is to be renewed when the other one, which is not, is closed.
  for (let i = 0; i < 400 && pool.stats.size > 0; i += 1) {
    await pass(10 * SECOND);
    if (pool.stats.size > 0) pool.release(await borrowAtOnce(pool));
  }
  await pass(MINUTE);
  expect(pool.stats).toMatchObject({ size: 0, opening: 0, logins: 2, renewals: 0 });
  expect(pool.stats.evictions).toMatchObject({ 'evicted-by-caller': 1 });
});

test('a listener that borrows when a connection is destroyed gets its successor, and the pool keeps its size', async () => {
  const pool = world.aPool({ max: 1, idleTimeoutMillis: 2 * HOUR });
  const old = await world.borrowedWhileRenewed(pool);
  await pass(21 * SECOND);
  const borrowed = borrowedAt('connection:evicted', pool);
  pool.destroy(old);
  await pass(0);
  const { connection } = borrowed;
  if (connection === undefined) throw new Error('no connection');
  expect(pool.stats).toMatchObject({ size: 1, borrowed: 1, logins: 2 });
  pool.destroy(connection);
  const next = outcome(pool.acquire());
  await pass(21 * SECOND);
  expect(settled(next)).not.toBe(connection);
  expect(pool.stats).toMatchObject({ size: 1, borrowed: 1, logins: 3 });
});

test('a listener may evict all connections when one has been renewed', async () => {
  withoutSpread();
  const pool = world.aPool({ min: 1, max: 1, idleTimeoutMillis: 2 * HOUR });
  await world.opened(pool, 1);
  whenFirst('connection:renewed', () => pool.evictAll());
  for (let i = 0; i < 400 && pool.stats.renewals === 0; i += 1) {
    await pass(10 * SECOND);
    pool.release(await borrowAtOnce(pool));
  }
  await pass(SECOND);
  expect(pool.stats).toMatchObject({ size: 1, available: 1, renewals: 1, logins: 3 });
});

test('a connection that a listener borrows when another one is closed is sent no keepalive', async () => {
  withoutSpread();
  const pool = world.aPool({ min: 2, max: 2, idleTimeoutMillis: HOUR, keepaliveMillis: MINUTE });
  const [first, second] = await world.borrow(pool, 2);
  if (first === undefined || second === undefined) throw new Error('no connection');
  pool.release(second);
  pool.release(first);
  await pass(30 * SECOND);
  // Data that no request asked for: it is closed instead of being sent a request.
  Object.assign(driven(first).messageIo, { incomingMessageStream: { readableLength: 1 } });
  const borrowed = borrowedAt('connection:evicted', pool);
  for (let i = 0; i < 60 && borrowed.connection === undefined; i += 1) await pass(SECOND);
  expect(borrowed.connection).toBe(second);
  await pass(SECOND);
  expect(world.server.queries).toEqual([]);
});

test('a listener may evict all connections when a keepalive has been answered', async () => {
  const pool = world.aPool({ min: 1, max: 1, idleTimeoutMillis: HOUR, keepaliveMillis: MINUTE });
  await world.opened(pool, 1);
  const evict = vi.fn(() => pool.evictAll());
  whenFirst('connection:keepalive', evict);
  for (let i = 0; i < 90 && evict.mock.calls.length === 0; i += 1) await pass(SECOND);
  await pass(SECOND);
  expect(pool.stats).toMatchObject({ size: 1, available: 1, logins: 2, evictions: { 'evicted-by-caller': 1 } });
});

test('callers wait when a listener suspends the pool at the checkout of another one', async () => {
  const pool = world.aPool({ max: 3 });
  await world.opened(pool, 3);
  pool.suspend();
  const callers = [1, 2, 3].map(() => outcome(pool.acquire()));
  whenFirst('checkout', () => pool.suspend());
  pool.resume();
  await pass(0);
  expect(pool.stats).toMatchObject({ borrowed: 1, pending: 2, isSuspended: true });
  pool.resume();
  await pass(0);
  expect(callers.map(settled)).toHaveLength(3);
});

test('nothing is opened for waiting callers when a listener suspends the pool at a checkout', async () => {
  const pool = world.aPool({ max: 3 });
  await world.opened(pool, 1);
  pool.suspend();
  const callers = [1, 2, 3].map(() => outcome(pool.acquire()));
  whenFirst('checkout', () => pool.suspend());
  pool.resume();
  await pass(SECOND);
  expect(pool.stats).toMatchObject({ size: 1, borrowed: 1, pending: 2, logins: 1 });
  pool.resume();
  await pass(SECOND);
  expect(callers.map(settled)).toHaveLength(3);
});

test('callers are rejected when a listener closes the pool at the checkout of another one', async () => {
  const pool = world.aPool({ max: 3 });
  await world.opened(pool, 2);
  pool.suspend();
  const callers = [1, 2, 3].map(() => outcome(pool.acquire()));
  whenFirst('checkout', () => void pool.close());
  pool.resume();
  await pass(0);
  pool.release(settled(callers[0] ?? {}));
  await pass(SECOND);
  expect(callers.slice(1).map(({ error }) => error)).toMatchObject([
    { code: 'ERR_POOL_CLOSED' },
    { code: 'ERR_POOL_CLOSED' },
  ]);
  expect(pool.stats).toMatchObject({ size: 0, logins: 2 });
});

test.each(['release', 'destroy'] as const)(
  'a connection that a listener returns while it is being returned with %s is returned once',
  async (how) => {
    const pool = world.aPool({ max: 1 });
    const connection = await borrowOne(pool);
    const next = outcome(pool.acquire());
    whenFirst('checkin', () => pool.release(connection));
    expect(() => pool[how](connection)).toThrow(expect.objectContaining({ code: 'ERR_NOT_BORROWED' }));
    await pass(0);
    expect(settled(next)).toBe(connection);
    expect(pool.isBorrowed(connection)).toBe(true);
    expect(pool.stats).toMatchObject({ size: 1, borrowed: 1, logins: 1, evictions: {} });
  },
);

test('P2: a listener cannot borrow a connection whose token the server has refused on another one', async () => {
  const pool = world.aPool({ max: 4, idleTimeoutMillis: HOUR });
  const [refused, ...others] = await world.borrow(pool, 4);
  for (const connection of others) pool.release(connection);
  const borrowed = borrowedAt('connection:evicted', pool);
  driven(refused).emit('errorMessage', { number: 37396, class: 14, state: 1, message: 'The token has expired.' });
  await pass(SECOND);
  expect(others).not.toContain(borrowed.connection);
  expect(pool.stats.evictions).toEqual({ 'token-invalidated': 3 });
  pool.release(refused as Connection);
});

test('a listener cannot borrow a connection that is about to be closed after a failover', async () => {
  const pool = world.aPool({ max: 5, idleTimeoutMillis: HOUR });
  const [first, second, ...others] = await world.borrow(pool, 5);
  for (const connection of others) pool.release(connection);
  const borrowed = borrowedAt('pool:failover', pool);
  const early = borrowedAt('connection:evicted', pool);
  for (const connection of [first, second]) {
    driven(connection).emit('error', new Error('read ECONNRESET'));
    driven(connection).end();
  }
  await pass(SECOND);
  for (const connection of [first, second]) pool.release(connection as Connection);
  await pass(SECOND);
  expect(others).not.toContain(early.connection);
  expect(others).not.toContain(borrowed.connection);
  expect(pool.stats.evictions).toEqual({ failover: 3, broken: 2 });
});

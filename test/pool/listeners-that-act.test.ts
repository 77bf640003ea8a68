import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Connection } from 'tedious';
import { afterEach, expect, test, vi } from 'vitest';
import { CHANNEL_PREFIX, type ChannelName } from '../../src/channels.js';
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

const world = drivenWorld();

let stopListening: (() => void)[] = [];

afterEach(() => {
  for (const stop of stopListening) stop();
  stopListening = [];
});

/** At the first event only. */
function whenFirst(name: ChannelName, act: () => void): void {
  const channel = CHANNEL_PREFIX + name;
  const stop = (): boolean => unsubscribe(channel, listener);
  const listener = (): void => {
    stop();
    act();
  };
  subscribe(channel, listener);
  stopListening.push(stop);
}

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

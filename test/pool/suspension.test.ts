import type { Connection } from 'tedious';
import { expect, test } from 'vitest';
import { AbortedError, AcquireTimeoutError, PoolClosedError } from '../../src/errors.js';
import {
  borrowAtOnce,
  driven,
  drivenWorld,
  HOUR,
  MINUTE,
  outcome,
  pass,
  releaseAll,
  SECOND,
  settled,
} from '../support/driven-world.js';

const world = drivenWorld();
const { aPool, borrow, opened } = world;

test('callers wait while the pool is suspended, and continue in order', async () => {
  const pool = aPool({ max: 2 });
  await opened(pool, 2);
  pool.suspend();
  pool.suspend();
  expect(pool.stats.isSuspended).toBe(true);
  const order: number[] = [];
  const call = async (n: number): Promise<Connection> => {
    const connection = await pool.acquire();
    order.push(n);
    return connection;
  };
  const calls = [1, 2].map((n) => outcome(call(n)));
  await pass(10 * SECOND);
  expect(calls.every(({ at }) => at === undefined)).toBe(true);
  expect(pool.stats).toMatchObject({ pending: 2, borrowed: 0 });
  pool.resume();
  pool.resume();
  await pass(0);
  expect(order).toEqual([1, 2]);
  releaseAll(pool, calls.map(settled));
  const events = world.events.filter(({ name }) => name === 'pool:suspended' || name === 'pool:resumed');
  expect(events).toEqual([
    { name: 'pool:suspended', payload: { pool: pool.name } },
    { name: 'pool:resumed', payload: { pool: pool.name, waiting: 2 } },
  ]);
});

test('a connection that is returned meanwhile is kept, not handed over', async () => {
  const pool = aPool({ max: 1 });
  const [connection] = (await borrow(pool, 1)) as [Connection];
  const waiting = outcome(pool.acquire());
  pool.suspend();
  pool.release(connection);
  await pass(5 * SECOND);
  expect(waiting.at).toBeUndefined();
  expect(driven(connection).closed).toBe(false);
  pool.resume();
  await pass(0);
  expect(settled(waiting)).toBe(connection);
  pool.release(connection);
});

test('the error of a caller whose time is up says that the pool is suspended', async () => {
  const pool = aPool({ max: 1, acquireTimeoutMillis: 5 * SECOND });
  pool.suspend();
  const startedAt = performance.now();
  const waiting = outcome(pool.acquire());
  await pass(6 * SECOND);
  expect(waiting.error).toBeInstanceOf(AcquireTimeoutError);
  expect(waiting.error).toMatchObject({
    message: expect.stringMatching(/^The pool is suspended\./),
    hint: expect.stringContaining('resume'),
  });
  expect((waiting.at as number) - startedAt).toBeCloseTo(5 * SECOND, -2);
  pool.resume();
});

test('callers may give up, and closing rejects them', async () => {
  const pool = aPool();
  pool.suspend();
  const controller = new AbortController();
  const one = outcome(pool.acquire({ signal: controller.signal }));
  const other = outcome(pool.acquire());
  controller.abort();
  await pass(0);
  expect(one.error).toBeInstanceOf(AbortedError);
  const closed = outcome(pool.close());
  await pass(0);
  expect(other.error).toBeInstanceOf(PoolClosedError);
  settled(closed);
});

test('nothing is opened or renewed while it is suspended', async () => {
  const pool = aPool({ min: 2, max: 4, idleTimeoutMillis: 4 * HOUR });
  await pass(SECOND);
  expect(pool.stats.size).toBe(2);
  pool.suspend();
  world.server.dials = [];
  pool.evictAll();
  const waiting = outcome(pool.acquire());
  await pass(20 * SECOND);
  expect(world.server.dials).toEqual([]);
  expect(pool.stats).toMatchObject({ size: 0, pending: 1 });
  pool.resume();
  await pass(SECOND);
  pool.release(settled(waiting));
  await pass(SECOND);
  expect(pool.stats).toMatchObject({ size: 2 });
  // Past the end of the token.
  pool.suspend();
  world.server.dials = [];
  await pass(2 * HOUR);
  expect(world.server.dials).toEqual([]);
  pool.resume();
  const [late] = (await borrow(pool, 1)) as [Connection];
  expect(driven(late).closed).toBe(false);
  expect(world.server.dials.length).toBeGreaterThan(0);
  pool.release(late);
});

test('maintenance: suspend, evict all, resume; the server may be down in the meantime, and no caller notices', async () => {
  const pool = aPool({ max: 2, acquireTimeoutMillis: 5 * MINUTE });
  await opened(pool, 2);
  const dialing = [await borrowAtOnce(pool), await borrowAtOnce(pool)];
  releaseAll(pool, dialing);
  pool.evictAll();
  const early = outcome(pool.acquire());
  await pass(1);
  // The dial of this caller is under way, and fails.
  pool.suspend();
  world.server.isDown = true;
  await pass(MINUTE);
  const during = outcome(pool.acquire());
  await pass(MINUTE);
  expect([early.at, during.at]).toEqual([undefined, undefined]);
  world.server.isDown = false;
  pool.resume();
  await pass(10 * SECOND);
  releaseAll(pool, [settled(early), settled(during)]);
});

import type { Connection } from 'tedious';
import { expect, test, vi } from 'vitest';
import type { ChannelName, ChannelPayloads } from '../../src/channels.js';
import { AcquireTimeoutError, ConfigurationError } from '../../src/errors.js';
import { borrowAtOnce, drivenWorld, MINUTE, outcome, pass, releaseAll, SECOND } from '../support/driven-world.js';

const world = drivenWorld();
const { aPool, borrow, opened } = world;

const eventsOf = <N extends ChannelName>(name: N) =>
  world.events.filter((event) => event.name === name).map(({ payload }) => payload as ChannelPayloads[N]);

async function loadOrders(pool: ReturnType<typeof aPool>): Promise<Connection> {
  return await borrowAtOnce(pool);
}

test('a connection that is borrowed for too long is reported once, with the location of its checkout', async () => {
  const pool = aPool({ leakDetectionMillis: 10 * SECOND });
  await opened(pool, 1);
  const connection = await loadOrders(pool);
  await pass(9 * SECOND);
  expect(eventsOf('connection:leaked')).toEqual([]);
  await pass(2 * SECOND);
  const [leak, ...others] = eventsOf('connection:leaked');
  expect(leak).toMatchObject({ pool: pool.name });
  expect(leak?.borrowedMs).toBeGreaterThanOrEqual(10 * SECOND);
  expect(leak?.borrowedMs).toBeLessThan(10.1 * SECOND);
  expect(leak?.holder).toMatch(/borrowAtOnce .*driven-world\.ts:\d+:\d+/);
  expect(leak?.stack).toMatch(/loadOrders .*leak-detection\.test\.ts:\d+:\d+/);
  await pass(10 * MINUTE);
  expect(eventsOf('connection:leaked')).toHaveLength(1);
  expect(others).toEqual([]);
  expect(pool.stats.leaks).toBe(1);
  pool.release(connection);
  expect(eventsOf('connection:leak-returned')).toMatchObject([{ connection: leak?.connection, holder: leak?.holder }]);
});

test('a connection that is returned in time is not reported, however often it is borrowed', async () => {
  const pool = aPool({ leakDetectionMillis: SECOND });
  await opened(pool, 1);
  for (let i = 0; i < 20; i += 1) {
    const connection = await borrowAtOnce(pool);
    await pass(900);
    pool.release(connection);
    await pass(50);
  }
  expect(pool.stats.leaks).toBe(0);
  expect(eventsOf('connection:leaked')).toEqual([]);
  expect(eventsOf('connection:leak-returned')).toEqual([]);
});

test('a caller that had to wait is the holder, not the one whose return served it', async () => {
  const pool = aPool({ max: 1, leakDetectionMillis: 10 * SECOND });
  const [first] = (await borrow(pool, 1)) as [Connection];
  const waiting = (async function importCustomers() {
    return await pool.acquire();
  })();
  await pass(SECOND);
  pool.release(first);
  const connection = await waiting;
  expect(pool.stats.borrowers).toMatchObject([{ holder: expect.stringContaining('importCustomers') }]);
  pool.release(connection);
  expect(pool.stats.borrowers).toEqual([]);
});

test('stats name the borrowers, longest first', async () => {
  const pool = aPool({ leakDetectionMillis: MINUTE });
  await opened(pool, 2);
  const first = await borrowAtOnce(pool);
  await pass(5 * SECOND);
  const second = await borrowAtOnce(pool);
  await pass(SECOND);
  const { borrowers } = pool.stats;
  expect(borrowers.map(({ borrowedMs }) => Math.round(borrowedMs / SECOND))).toEqual([6, 1]);
  expect(JSON.stringify(borrowers)).toContain('leak-detection.test.ts');
  releaseAll(pool, [first, second]);
});

test('the error of a caller whose time is up names the holders of the connections', async () => {
  const pool = aPool({ max: 6, acquireTimeoutMillis: 20 * SECOND, leakDetectionMillis: MINUTE });
  await opened(pool, 6);
  const connections = [await loadOrders(pool)];
  await pass(5 * SECOND);
  const report = async function writeReport(): Promise<Connection> {
    return await pool.acquire();
  };
  connections.push(await report(), await report(), await pool.acquire(), await pool.acquire(), await pool.acquire());
  const waiting = outcome(pool.acquire());
  await pass(20 * SECOND);
  expect(waiting.error).toBeInstanceOf(AcquireTimeoutError);
  const { message } = waiting.error as AcquireTimeoutError;
  expect(message).toMatch(
    /6 of 6 borrowed, 0 other callers waiting\. Borrowed: 2 by writeReport \(.*leak-detection\.test/,
  );
  expect(message).toMatch(
    /:\d+:\d+\), longest 20\.0 s; 1 by borrowAtOnce \(.*driven-world\.ts:\d+:\d+\), longest 25\.0 s; 1 by/,
  );
  expect(message).toMatch(/; 2 by others\.$/);
  releaseAll(pool, connections);
});

test('under load, only some stacks are captured, and a leak is reported even without one', async () => {
  const pool = aPool({ max: 150, leakDetectionMillis: SECOND });
  const connections = await borrow(pool, 150);
  expect(pool.stats.borrowers.filter(({ stack }) => stack !== undefined)).toHaveLength(50);
  await pass(2 * SECOND);
  expect(eventsOf('connection:leaked')).toHaveLength(150);
  const { holder } = eventsOf('connection:leaked').find(({ stack }) => stack === undefined) ?? { holder: '?' };
  expect(holder).toBeUndefined();
  pool.release(connections.pop() as Connection);
  connections.push(await borrowAtOnce(pool));
  expect(pool.stats.borrowers.at(-1)?.stack).toBeDefined();
  releaseAll(pool, connections);
});

test('off, no stack is captured and no one is named', async () => {
  const capture = vi.spyOn(Error, 'captureStackTrace');
  const pool = aPool({ max: 1, acquireTimeoutMillis: SECOND });
  const [connection] = (await borrow(pool, 1)) as [Connection];
  const waiting = outcome(pool.acquire());
  await pass(10 * MINUTE);
  expect(capture).not.toHaveBeenCalled();
  expect(pool.stats).toMatchObject({ leaks: 0, borrowers: [] });
  expect((waiting.error as Error).message).toMatch(/0 other callers waiting\.$/);
  expect(eventsOf('connection:leaked')).toEqual([]);
  pool.release(connection);
});

test.each(['1000', -1, Number.NaN, {}])('pool.leakDetectionMillis: %j is refused with its name', (wrong) => {
  const make = () => aPool({ leakDetectionMillis: wrong as number });
  expect(make).toThrow(ConfigurationError);
  expect(make).toThrow('pool.leakDetectionMillis must be a number of ms, 0 (off) or more.');
});

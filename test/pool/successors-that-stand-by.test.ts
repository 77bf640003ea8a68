import type { Connection } from 'tedious';
import { expect, test, vi } from 'vitest';
import type { TokenPool } from '../../src/index.js';
import { SharedLimit } from '../../src/pool/connection-limit.js';
import {
  borrowAtOnce,
  driven,
  drivenWorld,
  HOUR,
  live,
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

const idleTimeoutMillis = HOUR;

/** So many borrowed connections, due one after the other, 5 s apart; the successor of the first stands by for it. */
async function borrowedAndDue(pool: TokenPool, count: number): Promise<Connection[]> {
  // Due 9.5 min after the login, at the end 10 min after it.
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  const connections: Connection[] = [];
  for (let i = 0; i < count; i += 1) {
    if (i > 0) await pass(5 * SECOND);
    connections.push(...(await borrow(pool, 1)));
  }
  releaseAll(pool, connections);
  await pass(9.5 * MINUTE - 5 * SECOND * (count - 1) - SECOND);
  for (const _ of connections) await borrowAtOnce(pool);
  // Housekeeping finds the first due, and its successor is opened when it is returned, to be borrowed again at once.
  await pass(2 * SECOND);
  const [first] = connections as [Connection];
  const waiting = outcome(pool.acquire());
  pool.release(first);
  await pass(SECOND);
  expect(settled(waiting)).toBe(first);
  expect(world.server.connections.size).toBe(count + 1);
  return connections;
}

test('P2: a borrowed connection whose successor went to a caller gets another before it is returned', async () => {
  const pool = aPool({ max: 2, maxAgeMillis: 10 * MINUTE, idleTimeoutMillis }, sqlLogin);
  const [first, second] = (await borrowedAndDue(pool, 2)) as [Connection, Connection];
  pool.destroy(second);
  const other = await borrowAtOnce(pool);
  expect(pool.stats).toMatchObject({ size: 2, borrowed: 2, logins: 3 });
  await pass(MINUTE);
  expect(pool.stats).toMatchObject({ size: 2, borrowed: 2, logins: 4 });
  pool.release(first);
  expect(driven(first).closed).toBe(true);
  expect(pool.stats).toMatchObject({ size: 2, available: 1, renewals: 1, evictions: { renewed: 1 } });
  pool.release(other);
});

test('P2: a connection returned past its limits is replaced by the successor that stands by for another', async () => {
  const pool = aPool({ max: 2, maxAgeMillis: 10 * MINUTE, idleTimeoutMillis }, sqlLogin);
  const [first, second] = (await borrowedAndDue(pool, 2)) as [Connection, Connection];
  await pass(MINUTE);
  pool.release(second);
  expect(driven(second).closed).toBe(true);
  expect(pool.stats).toMatchObject({ size: 2, available: 1, renewals: 1, evictions: { renewed: 1 } });
  // The one that it was for gets another.
  await pass(MINUTE);
  pool.release(first);
  expect(driven(first).closed).toBe(true);
  expect(pool.stats).toMatchObject({ size: 2, available: 2, renewals: 2, logins: 4, evictions: { renewed: 2 } });
});

test.each([
  ["the pool's own limit", { overlap: 1 }, undefined],
  ['a limit shared with other pools', { overlap: 3 }, 4],
])(
  'P6: a caller whose dial waits for a permit of %s gets a successor that stands by',
  async (_, overlap, sharedMax) => {
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    const limits = { max: 3, ...overlap, maxAgeMillis: 10 * MINUTE, idleTimeoutMillis };
    const limit = sharedMax === undefined ? undefined : new SharedLimit(sharedMax, () => {}).share(9);
    const pool = aPool(limits, sqlLogin, { limit });
    await opened(pool, 2);
    await live(pool, 9.5 * MINUTE - 20 * SECOND, 2);
    const borrowed = await borrow(pool, 2);
    world.server.loginMs = 20 * SECOND;
    await pass(20 * SECOND);
    releaseAll(pool, borrowed);
    for (const _ of borrowed) await borrowAtOnce(pool);
    // The successors of both are being opened, and nothing more may be.
    expect(world.server.connections.size).toBe(4);
    const waiting = outcome(pool.acquire());
    await pass(20 * SECOND);
    const third = settled(waiting);
    expect(borrowed).not.toContain(third);
    expect(pool.stats).toMatchObject({ size: 3, borrowed: 3, pending: 0, opening: 0, logins: 4 });
    releaseAll(pool, [...borrowed, third]);
    const next = outcome(Promise.all([pool.acquire(), pool.acquire(), pool.acquire()]));
    await pass(21 * SECOND);
    releaseAll(pool, settled(next));
    expect(pool.stats).toMatchObject({ size: 3, available: 3, pending: 0, opening: 0 });
    expect(world.server.mostOpen).toBe(4);
  },
);

test('a successor that took over at a return is closed after its idle time, counted from the return', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  const pool = aPool({ max: 1, maxAgeMillis: 10 * MINUTE, idleTimeoutMillis: 5 * MINUTE }, sqlLogin);
  await opened(pool, 1);
  await live(pool, 9 * MINUTE, 1);
  const old = await borrowAtOnce(pool);
  await pass(31 * SECOND);
  const waiting = outcome(pool.acquire());
  pool.release(old);
  await pass(4 * MINUTE);
  expect(settled(waiting)).toBe(old);
  pool.release(old);
  expect(pool.stats).toMatchObject({ size: 1, available: 1, renewals: 1 });
  await pass(5 * MINUTE - SECOND);
  expect(pool.stats).toMatchObject({ size: 1, evictions: { renewed: 1 } });
  await pass(2 * SECOND);
  expect(pool.stats).toMatchObject({ size: 0, evictions: { renewed: 1, idle: 1 } });
});

test('a successor that waits for a connection that is never returned is closed at its own limit', async () => {
  const pool = aPool({ max: 1, maxAgeMillis: 10 * MINUTE, idleTimeoutMillis }, sqlLogin);
  const [first] = (await borrowedAndDue(pool, 1)) as [Connection];
  await pass(9.9 * MINUTE);
  expect(world.server.connections.size).toBe(2);
  await pass(MINUTE);
  expect(world.server.connections.size).toBe(1);
  expect(pool.stats).toMatchObject({ size: 1, borrowed: 1, logins: 2, evictions: { 'max-age': 1 } });
  pool.release(first);
  expect(pool.stats).toMatchObject({ size: 0, evictions: { 'max-age': 2 } });
});

test('a caller whose connection fails its check gets the successor that stands by, without another login', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  const answers: ((isGood: boolean) => void)[] = [];
  const validate = (): Promise<boolean> => new Promise((resolve) => answers.push(resolve));
  const pool = aPool({ max: 1, maxAgeMillis: 10 * MINUTE, idleTimeoutMillis, validate }, sqlLogin);
  const first = outcome(pool.acquire());
  await pass(SECOND);
  answers[0]?.(true);
  await pass(0);
  const old = settled(first);
  await pass(9.5 * MINUTE - 2 * SECOND);
  pool.release(old);
  world.server.loginMs = 5 * SECOND;
  await pass(3 * SECOND);
  // Its successor is being opened, and is ready before the check has ended.
  expect(pool.stats).toMatchObject({ size: 1, opening: 1 });
  const waiting = outcome(pool.acquire());
  await pass(10 * SECOND);
  expect(world.server.connections.size).toBe(2);
  expect(pool.stats).toMatchObject({ size: 1, opening: 0, logins: 2, pending: 1 });
  answers[1]?.(false);
  await pass(0);
  answers[2]?.(true);
  await pass(0);
  expect(settled(waiting)).not.toBe(old);
  expect(pool.stats).toMatchObject({ size: 1, borrowed: 1, logins: 2, opening: 0, evictions: { broken: 1 } });
  await pass(SECOND);
  expect(world.server.connections.size).toBe(1);
});

test('the successor of a connection that its borrower destroys serves the next caller', async () => {
  const pool = aPool({ max: 1, maxAgeMillis: 10 * MINUTE, idleTimeoutMillis }, sqlLogin);
  const [first] = (await borrowedAndDue(pool, 1)) as [Connection];
  pool.destroy(first);
  const next = await borrowAtOnce(pool);
  expect(next).not.toBe(first);
  expect(pool.stats).toMatchObject({ size: 1, borrowed: 1, logins: 2, evictions: { 'destroyed-by-caller': 1 } });
});

test('a pool that is closed closes successors that stand by with the connections that they were for', async () => {
  const pool = aPool({ max: 1, maxAgeMillis: 10 * MINUTE, idleTimeoutMillis }, sqlLogin);
  await borrowedAndDue(pool, 1);
  const closed = outcome(pool.close({ timeoutMs: SECOND }));
  await pass(2 * SECOND);
  expect(closed.error).toBeUndefined();
  expect(world.server.connections.size).toBe(0);
  expect(pool.stats).toMatchObject({ size: 0, evictions: { 'pool-closed': 2 } });
});

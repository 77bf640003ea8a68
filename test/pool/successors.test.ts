import type { Connection } from 'tedious';
import { expect, test, vi } from 'vitest';
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
  withoutSpread,
} from '../support/driven-world.js';

const world = drivenWorld();
const { aPool, borrow, opened } = world;

const idleTimeoutMillis = HOUR;

test('a replacement for a connection that was destroyed meanwhile is closed if it is not needed', async () => {
  const pool = aPool({ max: 1, idleTimeoutMillis });
  const old = await world.borrowedWhileRenewed(pool);
  pool.destroy(old);
  await pass(20 * SECOND);
  expect(pool.stats).toMatchObject({ size: 0, renewals: 0, evictions: { 'destroyed-by-caller': 1, unneeded: 1 } });
  await pass(1);
  expect(world.server.connections.size).toBe(0);
});

test('a successor that waits stays when the connection that it is for is destroyed by its borrower', async () => {
  const pool = aPool({ max: 1, idleTimeoutMillis });
  const old = await world.borrowedWhileRenewed(pool);
  await pass(20 * SECOND);
  pool.destroy(old);
  await pass(1);
  expect(pool.stats).toMatchObject({ size: 1, available: 1, renewals: 0, evictions: { 'destroyed-by-caller': 1 } });
  expect(world.server.connections.size).toBe(1);
});

test('the replacement of a connection that broke while borrowed takes over', async () => {
  const pool = aPool({ max: 1, idleTimeoutMillis });
  const old = await world.borrowedWhileRenewed(pool);
  await pass(20 * SECOND);
  driven(old).end();
  pool.release(old);
  const next = await borrowAtOnce(pool);
  expect(next).not.toBe(old);
  expect(pool.stats).toMatchObject({ size: 1, logins: 2, renewals: 1 });
  pool.release(next);
});

test('a replacement that waits for a borrowed connection replaces another that is due', async () => {
  withoutSpread();
  const pool = aPool({ max: 2, maxRenewals: 1, idleTimeoutMillis });
  await opened(pool, 2);
  world.server.loginMs = 20 * SECOND;
  world.server.dials = [];
  await pass(51 * MINUTE);
  while (world.server.dials.length === 0) {
    releaseAll(pool, [await borrowAtOnce(pool), await borrowAtOnce(pool)]);
    await pass(SECOND);
  }
  // The successor of one of them is under way, the other waits for its turn.
  const borrowed = [await borrowAtOnce(pool), await borrowAtOnce(pool)] as [Connection, Connection];
  await pass(10 * SECOND);
  pool.release(borrowed[1]);
  await pass(11 * SECOND);
  // What is returned takes the successor, and the one that is still borrowed gets another.
  expect(pool.stats.renewals).toBe(1);
  expect(world.server.dials).toHaveLength(2);
  pool.release(borrowed[0]);
  await pass(45 * SECOND);
  expect(pool.stats).toMatchObject({ size: 2, available: 2, renewals: 2, logins: 4, evictions: { renewed: 2 } });
  expect(world.server.connections.size).toBe(2);
});

test('P8: a borrowed connection whose successor another has taken gets one of its own, and is not closed under its borrower', async () => {
  withoutSpread();
  const pool = aPool({ max: 3, overlap: 3, maxRenewals: 2, idleTimeoutMillis });
  await opened(pool, 3);
  await pass(51 * MINUTE);
  const [first, second, third] = (await borrow(pool, 3)) as [Connection, Connection, Connection];
  await pass(MINUTE);
  world.server.loginMs = 20 * SECOND;
  world.server.dials = [];
  // The successors of two of them are opened, and wait for their return; the third has to wait for its turn.
  for (const each of [first, second]) {
    pool.release(each);
    expect(await borrowAtOnce(pool)).toBe(each);
  }
  pool.release(third);
  await pass(21 * SECOND);
  expect(driven(third).closed).toBe(true);
  expect([first, second].map((each) => driven(each).closed)).toEqual([false, false]);
  expect(world.server.dials).toHaveLength(3);
  await pass(21 * SECOND);
  releaseAll(pool, [first, second]);
  expect(pool.stats).toMatchObject({ size: 3, available: 3, logins: 6, renewals: 3, evictions: { renewed: 3 } });
});

test('a connection that is due takes the replacement that waits for a borrowed one', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  const pool = aPool({ max: 2, maxAgeMillis: 10 * MINUTE, idleTimeoutMillis }, sqlLogin);
  const [elder] = (await borrow(pool, 1)) as [Connection];
  await pass(5 * SECOND);
  const [younger] = (await borrow(pool, 1)) as [Connection];
  releaseAll(pool, [elder, younger]);
  await pass(9.4 * MINUTE);
  world.server.loginMs = 20 * SECOND;
  releaseAll(pool, [await borrowAtOnce(pool), await borrowAtOnce(pool)]);
  while (world.server.dials.length < 3) await pass(100);
  // The successor of the elder is under way; the younger one's turn comes in 5 s, and the limit allows no other.
  await borrowAtOnce(pool);
  await borrowAtOnce(pool);
  pool.release(younger);
  await pass(21 * SECOND);
  // The elder lost its successor, and gets another although it is still borrowed.
  expect(world.server.dials).toHaveLength(4);
  expect([elder, younger].map((connection) => driven(connection).closed)).toEqual([false, true]);
  expect(pool.stats).toMatchObject({ size: 2, borrowed: 1, available: 1, renewals: 1, evictions: { renewed: 1 } });
  await pass(20 * SECOND);
  pool.release(elder);
  expect(driven(elder).closed).toBe(true);
  expect(pool.stats).toMatchObject({ size: 2, available: 2, renewals: 2, logins: 4 });
});

test('a successor that the server cut while it waited is not given to a caller who needs a connection', async () => {
  const pool = aPool({ max: 2, idleTimeoutMillis });
  const old = await world.borrowedWhileRenewed(pool);
  await pass(20 * SECOND);
  const successor = [...world.server.connections].at(-1);
  successor?.end();
  world.server.loginMs = 10;
  const [next] = (await borrow(pool, 1)) as [Connection];
  expect(driven(next)).not.toBe(successor);
  expect(driven(next).closed).toBe(false);
  expect(pool.stats).toMatchObject({ size: 2, borrowed: 2, logins: 3, evictions: { broken: 1 } });
  releaseAll(pool, [old, next]);
});

test('a connection that was handed out in place of a cut one is renewed in time like any other', async () => {
  const pool = aPool({ max: 2, idleTimeoutMillis: 10 * HOUR });
  const [one, two] = (await borrow(pool, 2)) as [Connection, Connection];
  releaseAll(pool, [one, two]);
  driven(two).end();
  await pass(SECOND);
  const moved = await borrowAtOnce(pool);
  expect(moved).toBe(one);
  pool.release(moved);
  await live(pool, 57 * MINUTE, 1);
  expect(pool.stats).toMatchObject({ size: 1, logins: 3, renewals: 1, evictions: { broken: 1, renewed: 1 } });
});

test('a connection that is never returned holds one replacement', async () => {
  const pool = aPool({ max: 2, idleTimeoutMillis });
  const old = await world.borrowedWhileRenewed(pool);
  await pass(20 * SECOND);
  world.server.loginMs = 10;
  const timers = vi.spyOn(globalThis, 'setTimeout');
  await pass(4 * MINUTE);
  expect(timers.mock.calls.length).toBeLessThanOrEqual(18);
  expect(pool.stats).toMatchObject({ size: 1, borrowed: 1, logins: 2, renewals: 0, evictions: {} });
  expect(world.server.connections.size).toBe(2);
  pool.release(old);
  expect(driven(old).closed).toBe(true);
  expect(pool.stats).toMatchObject({ size: 1, available: 1, renewals: 1, evictions: { renewed: 1 } });
});

test('a connection whose successor went to another caller gets a new one when it is returned', async () => {
  const pool = aPool({ max: 2, idleTimeoutMillis });
  const old = await world.borrowedWhileRenewed(pool);
  await pass(20 * SECOND);
  world.server.loginMs = 10;
  const other = await borrow(pool, 1);
  expect(pool.stats).toMatchObject({ size: 2, borrowed: 2, logins: 2, renewals: 0 });
  await pass(SECOND);
  pool.release(old);
  await pass(6 * SECOND);
  expect(pool.stats).toMatchObject({ size: 2, available: 1, logins: 3, renewals: 1, evictions: { renewed: 1 } });
  releaseAll(pool, other);
});

test('at the limit, the old connection keeps serving; its replacement is opened as soon as the limit allows', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  const pool = aPool({ max: 1, maxAgeMillis: 10 * MINUTE }, sqlLogin);
  await opened(pool, 1);
  // What is replaced at 9.5 min is not gone until 19.4 min; the next one is due at 19 min.
  world.server.closeMs = 9.9 * MINUTE;
  await live(pool, 9.5 * MINUTE + 20 * SECOND, 1);
  expect(pool.stats).toMatchObject({ logins: 2, renewals: 1 });
  await live(pool, 9.4 * MINUTE - 20 * SECOND, 1, 12 * SECOND);
  expect(performance.now()).toBeGreaterThan(19 * MINUTE);
  await live(pool, 12 * SECOND, 1, 4 * SECOND);
  expect(pool.stats).toMatchObject({ size: 1, logins: 2, renewals: 1 });
  world.server.closeMs = 0;
  await live(pool, 18 * SECOND, 1, SECOND);
  expect(pool.stats).toMatchObject({ size: 1, logins: 3, renewals: 2, evictions: { renewed: 2 } });
  expect(world.server.mostOpen).toBe(2);
});

test('the old connection is closed if the limit allows no replacement until its token expires', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  const pool = aPool({ max: 1, maxAgeMillis: 10 * MINUTE }, sqlLogin);
  await opened(pool, 1);
  world.server.closeMs = HOUR;
  await live(pool, 9.5 * MINUTE + 20 * SECOND, 1);
  expect(pool.stats).toMatchObject({ logins: 2, renewals: 1 });
  const [, young] = [...world.server.connections];
  const bornAt = world.server.dials[1] as number;
  while (performance.now() < bornAt + 10 * MINUTE - SECOND) {
    pool.release(await borrowAtOnce(pool));
    await pass(SECOND);
  }
  expect(young?.closed).toBe(false);
  await pass(3 * SECOND);
  expect(young?.closed).toBe(true);
  expect(pool.stats).toMatchObject({ size: 0, logins: 2, evictions: { renewed: 1, 'max-age': 1 } });
  world.server.cut();
});

test('the old connection is closed at its eviction margin if the limit allows no replacement', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  const pool = aPool({ max: 1, min: 1, idleTimeoutMillis: 10 * HOUR });
  await pass(MINUTE);
  world.server.closeMs = 2 * HOUR;
  await pass(55 * MINUTE);
  expect(pool.stats).toMatchObject({ logins: 2, renewals: 1 });
  const end = pool.stats.tokenExpiresOn ?? 0;
  await pass(end - 5 * MINUTE - SECOND - Date.now());
  expect(pool.stats).toMatchObject({ size: 1, evictions: { renewed: 1 } });
  await pass(7 * SECOND);
  expect(pool.stats).toMatchObject({ size: 0, logins: 2, evictions: { renewed: 1, 'token-expiry': 1 } });
  expect(world.server.mostOpen).toBe(2);
  world.server.cut();
});

test('with overlap 0, a successor is opened next to the old connection below max, and none at max', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  const pool = aPool({ max: 2, overlap: 0, maxAgeMillis: 10 * MINUTE }, sqlLogin);
  await opened(pool, 2);
  await live(pool, 9.5 * MINUTE - 10 * SECOND, 2);
  expect(pool.stats.logins).toBe(2);
  await pass(11 * SECOND);
  // The first has freed a permit for the replacement of the second.
  expect(pool.stats).toMatchObject({ evictions: { 'max-age': 1 } });
  expect(world.server.mostOpen).toBe(2);
  await pass(18 * SECOND);
  expect(pool.stats.size).toBe(1);
});

test('a connection that is destroyed while its successor is opened takes nothing from later renewals', async () => {
  const pool = aPool({ max: 1, maxRenewals: 1, idleTimeoutMillis });
  const old = await world.borrowedWhileRenewed(pool);
  const waiting = outcome(pool.acquire());
  pool.destroy(old);
  await pass(20 * SECOND);
  pool.release(settled(waiting));
  world.server.loginMs = 10;
  await live(pool, 2 * HOUR, 1);
  expect(pool.stats.renewals).toBeGreaterThanOrEqual(2);
  expect(pool.stats).toMatchObject({ size: 1, evictions: { 'destroyed-by-caller': 1, renewed: pool.stats.renewals } });
});

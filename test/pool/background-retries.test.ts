import type { Connection } from 'tedious';
import { expect, test, vi } from 'vitest';
import { renewalShares } from '../../src/connections/renewal-share.js';
import { LoginRefusedError } from '../../src/errors.js';
import {
  borrowAtOnce,
  drivenWorld,
  HOUR,
  LOGIN_FAILED,
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

/** When dials began, ms since then, to a tenth of a second. */
const since = (at: number): number[] => world.server.dials.map((dial) => Math.round((dial - at) / 100) * 100);

test('connections of min that are refused together count as one failure: 1 s, 2 s, 4 s, ... from then on', async () => {
  const pool = aPool({ max: 5, min: 3 }, sqlLogin);
  await pass(SECOND);
  world.server.dials = [];
  world.server.refusals = Array.from({ length: 20 }, () => LOGIN_FAILED);
  world.server.loginMs = 0;
  const startedAt = performance.now();
  world.server.cut();
  await pass(40 * SECOND);
  expect(since(startedAt)).toEqual([0, 0, 0, 1_000, 3_000, 7_000, 15_000, 31_000]);
  expect(pool.stats).toMatchObject({ size: 0, failedLogins: 8 });
  world.server.refusals = [];
  await pass(25 * SECOND);
  // The one that tried has found the server working, and the others follow.
  expect(pool.stats.size).toBe(3);
});

test('the longest pause between two tries is 60 s', async () => {
  aPool({ max: 1, min: 1 }, sqlLogin);
  await pass(SECOND);
  world.server.dials = [];
  world.server.refusals = Array.from({ length: 20 }, () => LOGIN_FAILED);
  world.server.loginMs = 0;
  const startedAt = performance.now();
  world.server.cut();
  await pass(5 * MINUTE);
  const at = since(startedAt);
  expect(at.slice(0, 7)).toEqual([0, 1_000, 3_000, 7_000, 15_000, 31_000, 63_000]);
  expect(at.slice(7).map((ms, i) => ms - (at[i + 6] as number))).toEqual([60_000, 60_000, 60_000]);
});

test('after a success that has lasted, the next failure counts from the beginning', async () => {
  const pool = aPool({ max: 1, min: 1 }, sqlLogin);
  await pass(SECOND);
  for (let i = 0; i < 2; i += 1) {
    world.server.dials = [];
    world.server.refusals = [LOGIN_FAILED, LOGIN_FAILED, LOGIN_FAILED];
    world.server.loginMs = 0;
    const startedAt = performance.now();
    world.server.cut();
    await pass(20 * SECOND);
    expect(since(startedAt)).toEqual([0, 1_000, 3_000, 7_000]);
    expect(pool.stats.size).toBe(1);
  }
});

test('a caller that arrives while min is being restored waits for that login, and gets its error', async () => {
  const pool = aPool({ max: 1, min: 1 });
  await pass(SECOND);
  world.server.loginMs = SECOND;
  world.server.refusals = [LOGIN_FAILED];
  world.server.cut();
  await pass(501);
  const acquired = outcome(pool.acquire());
  await pass(499);
  expect(acquired.at).toBeUndefined();
  await pass(1);
  expect(acquired.error).toBeInstanceOf(LoginRefusedError);
  expect(pool.stats).toMatchObject({ logins: 1, failedLogins: 1, pending: 0, borrowed: 0 });
});

test('a caller that arrives while min is being restored gets the connection that is being opened', async () => {
  const pool = aPool({ max: 2, min: 1 });
  await pass(SECOND);
  world.server.loginMs = SECOND;
  world.server.cut();
  await pass(501);
  const acquired = outcome(pool.acquire());
  await pass(500);
  pool.release(settled(acquired));
  expect(pool.stats).toMatchObject({ size: 1, logins: 2 });
});

test('a failure to restore min does not reject a caller that arrives later', async () => {
  const pool = aPool({ max: 2, min: 1 });
  await pass(SECOND);
  world.server.refusals = [LOGIN_FAILED];
  world.server.cut();
  await pass(500);
  expect(pool.stats).toMatchObject({ size: 0, failedLogins: 1 });
  await opened(pool, 1);
  expect(pool.stats.size).toBe(1);
});

test('an idle connection whose renewal fails is tried again after 1 s, 2 s, 4 s, and stays until then', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  const pool = aPool({ max: 1, min: 1, maxAgeMillis: 10 * MINUTE, idleTimeoutMillis: HOUR }, sqlLogin);
  await pass(MINUTE);
  world.server.dials = [];
  world.server.loginMs = 0;
  world.server.refusals = [LOGIN_FAILED, LOGIN_FAILED, LOGIN_FAILED];
  await pass(8.5 * MINUTE + 6 * SECOND);
  const [first = 0] = world.server.dials;
  expect(since(first)).toEqual([0, 1_000, 3_000]);
  expect(pool.stats).toMatchObject({ size: 1, available: 1, renewals: 0, failedLogins: 3, evictions: {} });
  await pass(2 * SECOND);
  expect(since(first)).toEqual([0, 1_000, 3_000, 7_000]);
  expect(pool.stats).toMatchObject({ size: 1, renewals: 1, evictions: { renewed: 1 } });
});

test('while the server is down a connection of min stays past its eviction time, and is renewed when it is up', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  const pool = aPool({ max: 1, min: 1, idleTimeoutMillis: HOUR * 10 });
  await pass(51 * MINUTE);
  world.server.isDown = true;
  await pass(7 * MINUTE);
  expect(pool.stats).toMatchObject({ size: 1, logins: 1, renewals: 0, evictions: {} });
  expect(pool.stats.failedLogins).toBeGreaterThan(3);
  world.server.isDown = false;
  await pass(66 * SECOND);
  expect(pool.stats).toMatchObject({ size: 1, logins: 2, renewals: 1, evictions: { renewed: 1 } });
});

test('a renewal that fails is tried again after a pause, by one connection, and the old ones stay in use', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  // All are due at one moment.
  vi.spyOn(renewalShares, 'next').mockReturnValue(0.5);
  const pool = aPool({ max: 3, maxRenewals: 2, overlap: 3 });
  await opened(pool, 3);
  await live(pool, 51 * MINUTE, 3);
  world.server.dials = [];
  world.server.refusals = Array.from({ length: 20 }, () => LOGIN_FAILED);
  while (world.server.dials.length === 0) await live(pool, SECOND, 3, SECOND);
  const [first = 0] = world.server.dials;
  await live(pool, 40 * SECOND, 3, SECOND);
  const at = since(first);
  // Two at once at the start; after that, one at a time, less and less often.
  expect(at.slice(0, 2)).toEqual([0, 0]);
  const pauses = at.slice(2).map((ms, i) => ms - (at[i + 1] as number));
  for (const ms of pauses) expect(ms).toBeGreaterThanOrEqual(SECOND);
  expect(at.length).toBeGreaterThanOrEqual(4);
  expect(at.length).toBeLessThanOrEqual(9);
  expect(pool.stats).toMatchObject({ size: 3, renewals: 0, evictions: {} });
  world.server.refusals = [];
  await live(pool, 66 * SECOND, 3, 2 * SECOND);
  expect(pool.stats).toMatchObject({ size: 3, renewals: 3, evictions: { renewed: 3 } });
});

test('a later token obtained by another pool of the identity is used within 5 s', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0);
  const pool = aPool({ max: 1, min: 1, idleTimeoutMillis: HOUR });
  await opened(pool, 1);
  world.provider.sticky = new Error('HTTP 503');
  // Due since 50.5 min.
  await pass(52 * MINUTE);
  expect(pool.stats.renewals).toBe(0);
  const requests = world.provider.requests.length;
  expect(requests).toBeGreaterThan(2);
  world.provider.sticky = undefined;
  while (world.provider.requests.length === requests) await pass(250);
  await pass(5 * SECOND + 250);
  expect(pool.stats).toMatchObject({ size: 1, renewals: 1 });
});

test('with tokens of a minute, it is used within 1.5 s', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0);
  world.provider.lifeMs = MINUTE;
  const pool = aPool({ max: 1, min: 1, idleTimeoutMillis: HOUR });
  await opened(pool, 1);
  world.provider.delayMs = 5.2 * SECOND;
  // Requested when it is due, at 30 s, and there 5.2 s later; the connection is due since 31.5 s, a tenth of the way to its margin.
  await pass(35 * SECOND);
  expect(pool.stats).toMatchObject({ logins: 1, renewals: 0 });
  await pass(1.8 * SECOND);
  expect(pool.stats).toMatchObject({ logins: 2, renewals: 1 });
});

test('while no later token is available, the pool checks every 5 s', async () => {
  const pool = aPool({ max: 1, min: 1, idleTimeoutMillis: HOUR });
  await opened(pool, 1);
  world.provider.sticky = new Error('HTTP 503');
  await pass(56 * MINUTE);
  const timers = vi.spyOn(globalThis, 'setTimeout');
  await pass(MINUTE);
  // Twelve checks, and a token request now and then.
  expect(timers.mock.calls.length).toBeLessThanOrEqual(30);
  expect(timers.mock.calls.length).toBeGreaterThanOrEqual(11);
});

test('a pool with nothing to do sleeps 30 s at a time', async () => {
  const pool = aPool({ max: 3, min: 3 });
  await pass(5 * MINUTE);
  const timers = vi.spyOn(globalThis, 'setTimeout');
  await pass(10 * MINUTE);
  expect(pool.stats.size).toBe(3);
  expect(timers.mock.calls.length).toBeLessThanOrEqual(21);
});

test('a connection borrowed past its renewal time is checked every 30 s', async () => {
  const pool = aPool({ max: 1 });
  const [borrowed] = (await borrow(pool, 1)) as [Connection];
  await pass(56 * MINUTE);
  const timers = vi.spyOn(globalThis, 'setTimeout');
  await pass(10 * MINUTE);
  expect(timers.mock.calls.length).toBeLessThanOrEqual(42);
  pool.release(borrowed);
});

test('while the server asks to try again later, nothing is opened in the background', async () => {
  const BUSY = { number: 40501, state: 1, class: 20, message: 'The service is currently busy.' };
  const pool = aPool({ max: 3, min: 1, createTimeoutMillis: 4 * SECOND }, sqlLogin);
  await pass(SECOND);
  const [borrowed] = (await borrow(pool, 1)) as [Connection];
  world.server.loginMs = 0;
  world.server.refusals = [BUSY];
  const startedAt = performance.now();
  world.server.dials = [];
  const refused = outcome(pool.acquire());
  await pass(100);
  expect(refused.error).toMatchObject({ number: 40501 });
  pool.destroy(borrowed);
  await pass(4 * SECOND);
  expect(since(startedAt)).toEqual([0]);
  await pass(2.1 * SECOND);
  expect(pool.stats.size).toBe(1);
  expect(since(startedAt)[1]).toBeGreaterThanOrEqual(5 * SECOND);
});

test('a clock that is set back is noticed, and what was due by the clock before is not lost', async () => {
  const pool = aPool({ max: 1, min: 1, maxAgeMillis: 10 * MINUTE, idleTimeoutMillis: HOUR }, sqlLogin);
  await pass(MINUTE);
  world.clock.jump(-5 * MINUTE);
  await pass(16 * MINUTE);
  expect(pool.stats).toMatchObject({ size: 1, renewals: 1 });
});

test('each connection has its own idle time', async () => {
  const pool = aPool({ max: 3, idleTimeoutMillis: 10 * SECOND }, sqlLogin);
  const [one, two, three] = (await borrow(pool, 3)) as [Connection, Connection, Connection];
  pool.release(one);
  await pass(3 * SECOND);
  pool.release(two);
  await pass(3 * SECOND);
  pool.release(three);
  const sizes: number[] = [];
  for (const ms of [3_999, 1, 2_999, 1, 2_999, 1]) {
    await pass(ms);
    sizes.push(pool.stats.size);
  }
  expect(sizes).toEqual([3, 2, 2, 1, 1, 0]);
});

test('a connection that is used now and then is not closed as idle', async () => {
  const pool = aPool({ max: 1, idleTimeoutMillis: 10 * SECOND }, sqlLogin);
  await opened(pool, 1);
  for (let i = 0; i < 20; i += 1) {
    await pass(9 * SECOND);
    releaseAll(pool, [await borrowAtOnce(pool)]);
  }
  expect(pool.stats).toMatchObject({ size: 1, logins: 1, evictions: {} });
});

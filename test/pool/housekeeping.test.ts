import type { Connection } from 'tedious';
import { expect, test, vi } from 'vitest';
import type { TokenPool } from '../../src/index.js';
import type { DrivenConnection } from '../support/driven-server.js';
import {
  drivenWorld,
  HOUR,
  live,
  MINUTE,
  pass,
  releaseAll,
  SECOND,
  sqlLogin,
  withoutSpread,
} from '../support/driven-world.js';

const world = drivenWorld();
const { aPool, borrow, opened } = world;

const since = (at: number) => world.server.dials.map((dial) => Math.round(dial - at));

test('connections beyond min are closed after their idle time, not sooner; those of min stay', async () => {
  const pool = aPool({ max: 5, min: 2, idleTimeoutMillis: 10 * SECOND });
  await pass(SECOND);
  expect(pool.stats).toMatchObject({ size: 2, logins: 2 });
  const five = await borrow(pool, 5);
  await pass(MINUTE);
  releaseAll(pool, five);
  await pass(10 * SECOND - 1);
  expect(pool.stats.size).toBe(5);
  await pass(1);
  expect(pool.stats).toMatchObject({ size: 2, evictions: { idle: 3 } });
  await pass(30 * MINUTE);
  expect(pool.stats).toMatchObject({ size: 2, logins: 5, evictions: { idle: 3 } });
});

test('idle time counts from the latest return', async () => {
  const pool = aPool({ max: 2, idleTimeoutMillis: 10 * SECOND }, sqlLogin);
  await opened(pool, 2);
  await pass(6 * SECOND);
  await opened(pool, 1);
  await pass(4 * SECOND);
  expect(pool.stats).toMatchObject({ size: 1, evictions: { idle: 1 } });
  await pass(6 * SECOND - 1);
  expect(pool.stats.size).toBe(1);
  await pass(1);
  expect(pool.stats.size).toBe(0);
});

test('a busy connection stays for its idle time after its last return, and at most a second longer', async () => {
  const pool = aPool({ max: 2, idleTimeoutMillis: 10 * SECOND }, sqlLogin);
  for (let used = 0; used < 25; used += 1) {
    await opened(pool, 1);
    await pass(0.1 * SECOND);
  }
  await pass(9.8 * SECOND);
  expect(pool.stats).toMatchObject({ size: 1, logins: 1 });
  await pass(1.1 * SECOND);
  expect(pool.stats).toMatchObject({ size: 0, evictions: { idle: 1 } });
});

test('idle connections do not keep the process alive for more than a second, until they are handed out again', async () => {
  const pool = aPool({ max: 2, min: 1, idleTimeoutMillis: 10 * SECOND });
  await pass(SECOND);
  const [connection] = [...world.server.connections] as [DrivenConnection];
  expect(connection.held).toBe(true);
  await pass(2 * SECOND);
  expect(connection.held).toBe(false);
  const [borrowed] = await borrow(pool, 1);
  expect(borrowed).toBe(connection);
  expect(connection.held).toBe(true);
  releaseAll(pool, [borrowed as Connection]);
  await pass(999);
  expect(connection.held).toBe(true);
  await pass(1);
  expect(connection.held).toBe(false);
});

test('idle connections that the server cut are noticed at once, and those of min restored', async () => {
  const pool = aPool({ max: 5, min: 3 });
  await opened(pool, 5);
  await pass(SECOND);
  world.server.cut();
  await pass(world.server.loginMs + 1);
  expect(pool.stats).toMatchObject({ size: 3, logins: 8, evictions: { broken: 5 } });
});

test('while the server is down, one connection of min is tried, after pauses of 1 s, 2 s, ... up to 60 s', async () => {
  const pool = aPool({ max: 5, min: 3 });
  await pass(SECOND);
  world.server.isDown = true;
  world.server.dials = [];
  const startedAt = performance.now();
  world.server.cut();
  await pass(5 * MINUTE);
  const at = since(startedAt);
  // The three that were open are dialled together, 1 ms later: Node has no shorter timer.
  expect(at.slice(0, 3)).toEqual([1, 1, 1]);
  const pauses = at.slice(3).map((ms, i) => ms - (at[i + 2] as number));
  const expected = [1, 2, 4, 8, 16, 32, 60, 60, 60];
  expect(pauses.length).toBeGreaterThanOrEqual(8);
  for (const [i, ms] of pauses.entries()) {
    const wanted = (expected[i] as number) * SECOND;
    expect(ms, `pause ${i}`).toBeGreaterThanOrEqual(wanted);
    expect(ms, `pause ${i}`).toBeLessThanOrEqual(wanted + 5 * SECOND + 2 * world.server.loginMs);
  }
  world.server.isDown = false;
  await pass(66 * SECOND);
  expect(pool.stats.size).toBe(3);
  // Past failures are forgotten.
  world.server.isDown = true;
  world.server.dials = [];
  const again = performance.now();
  world.server.cut();
  await pass(1.5 * SECOND);
  expect(since(again).at(-1)).toBeLessThan(1.2 * SECOND);
});

test('a caller that finds the server up causes min to be restored at once', async () => {
  const pool = aPool({ max: 5, min: 3 });
  await pass(SECOND);
  world.server.isDown = true;
  world.server.cut();
  await pass(20 * MINUTE);
  world.server.isDown = false;
  await opened(pool, 1);
  await pass(61 * SECOND);
  expect(pool.stats.size).toBe(3);
});

test('connections in use are replaced before their token expires: two at a time, spread out, without a waiting caller', async () => {
  world.server.loginMs = 100;
  const pool = aPool({ max: 8, min: 0 });
  await opened(pool, 8);
  const [old] = [[...world.server.connections]];
  world.server.dials = [];
  const startedAt = performance.now();
  await live(pool, 57 * MINUTE, 8);
  expect(pool.stats).toMatchObject({ size: 8, renewals: 8, evictions: { renewed: 8 } });
  for (const connection of old) expect(connection.closed).toBe(true);
  expect(world.server.mostOpen).toBe(9);
  const at = since(startedAt);
  expect(at[0]).toBeGreaterThan(44 * MINUTE);
  expect(at.at(-1)).toBeLessThan(55 * MINUTE);
  expect((at.at(-1) ?? 0) - (at[0] ?? 0)).toBeGreaterThan(MINUTE);
});

test.each([1, 2, 3])('of many that are due together, %i are opened at once', async (maxRenewals) => {
  withoutSpread();
  world.server.loginMs = SECOND;
  const pool = aPool({ max: 6, overlap: 6, maxRenewals });
  await opened(pool, 6);
  world.server.dials = [];
  await live(pool, 57 * MINUTE, 6);
  expect(pool.stats).toMatchObject({ size: 6, renewals: 6, evictions: { renewed: 6 } });
  // Half of the way between refresh (50 min less 5 %) and the eviction margin, and the next one in the queue follows.
  const [first = 0] = world.server.dials;
  const rounds = Array.from({ length: 6 }, (_, i) => Math.floor(i / maxRenewals) * SECOND);
  for (const [i, wanted] of rounds.entries()) {
    const late = since(first)[i] as number;
    expect(late).toBeGreaterThanOrEqual(wanted);
    expect(late).toBeLessThanOrEqual(wanted + 20);
  }
});

test('connections idle for 30 s are closed instead, but not below min', async () => {
  const idleTimeoutMillis = 10 * HOUR;
  const [unused, used] = [aPool({ max: 3, min: 1, idleTimeoutMillis }), aPool({ max: 3, idleTimeoutMillis })];
  await opened(unused, 3);
  await opened(used, 3);
  await live(used, 57 * MINUTE, 3, 29 * SECOND);
  expect(used.stats).toMatchObject({ size: 3, evictions: { renewed: 3 } });
  expect(unused.stats).toMatchObject({ size: 1, evictions: { renewed: 1, 'token-expiry': 2 } });
});

test('without overlap, the old connection is closed first', async () => {
  const pool = aPool({ max: 1, min: 1, overlap: 0 });
  await opened(pool, 1);
  await live(pool, 44 * MINUTE, 1);
  for (let passed = 0; passed < 12 * MINUTE; passed += 5 * SECOND) {
    await pass(5 * SECOND);
    await opened(pool, 1);
  }
  expect(pool.stats).toMatchObject({ size: 1, renewals: 0, logins: 2, evictions: { 'token-expiry': 1 } });
  expect(world.server.mostOpen).toBe(1);
});

test('below max, a renewal needs no overlap', async () => {
  const pool = aPool({ max: 2, overlap: 0 });
  await opened(pool, 1);
  await live(pool, 57 * MINUTE, 1);
  expect(pool.stats).toMatchObject({ size: 1, renewals: 1, evictions: { renewed: 1 } });
});

test('P8: a borrowed connection is not touched at its renewal time; its successor takes over when it is returned', async () => {
  const pool = aPool({ max: 3 });
  const [connection] = await borrow(pool, 1);
  await pass(55 * MINUTE - SECOND);
  expect((connection as unknown as DrivenConnection).closed).toBe(false);
  expect(pool.stats).toMatchObject({ size: 1, renewals: 0, logins: 1 });
  releaseAll(pool, [connection as Connection]);
  await pass(SECOND);
  expect((connection as unknown as DrivenConnection).closed).toBe(true);
  expect(pool.stats).toMatchObject({ size: 1, available: 1, renewals: 1, logins: 2, evictions: { renewed: 1 } });
});

test('P8: a borrowed connection may outlive its token; it is closed when it is returned', async () => {
  const pool = aPool({ max: 3 });
  const [connection] = await borrow(pool, 1);
  await pass(90 * MINUTE);
  expect((connection as unknown as DrivenConnection).closed).toBe(false);
  releaseAll(pool, [connection as Connection]);
  await pass(SECOND);
  expect((connection as unknown as DrivenConnection).closed).toBe(true);
  expect(pool.stats).toMatchObject({ size: 0, logins: 1, evictions: { 'token-expiry': 1 } });
});

test('a connection returned past its maximum age is closed if the limit allows no replacement', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  const pool = aPool({ max: 1, overlap: 0, maxAgeMillis: 10 * MINUTE }, sqlLogin);
  const [connection] = await borrow(pool, 1);
  await pass(10 * MINUTE - SECOND);
  releaseAll(pool, [connection as Connection]);
  await pass(SECOND);
  expect(pool.stats).toMatchObject({ size: 0, evictions: { 'max-age': 1 } });
});

const idleTimeoutMillis = HOUR;

/** Its connection is borrowed and its successor, opened meanwhile, waits. */
async function withSuccessor(pool: TokenPool): Promise<Connection> {
  const connection = await world.borrowedWhileRenewed(pool);
  await pass(20 * SECOND);
  expect(pool.stats).toMatchObject({ size: 1, borrowed: 1, logins: 2, renewals: 0 });
  expect(world.server.connections.size).toBe(2);
  return connection;
}

test('a replacement that was opened while the connection was borrowed takes over when it is returned', async () => {
  const pool = aPool({ max: 1, idleTimeoutMillis });
  const old = await withSuccessor(pool);
  releaseAll(pool, [old]);
  const successor = await pool.acquire();
  expect(successor).not.toBe(old);
  pool.release(successor);
  expect(pool.stats).toMatchObject({ size: 1, logins: 2, renewals: 1, evictions: { renewed: 1 } });
});

test('a replacement that waits to take over goes to a waiting caller', async () => {
  const pool = aPool({ max: 2, idleTimeoutMillis });
  const old = await withSuccessor(pool);
  const [next] = await borrow(pool, 1);
  expect(next).not.toBe(old);
  expect(pool.stats).toMatchObject({ size: 2, borrowed: 2, logins: 2 });
  releaseAll(pool, [old, next as Connection]);
  await pass(25 * SECOND);
  expect(pool.stats.size).toBe(2);
  expect(world.server.connections.size).toBe(pool.stats.size);
});

test('a successor that the server cut while it waited is not used', async () => {
  const pool = aPool({ max: 1, idleTimeoutMillis });
  const old = await withSuccessor(pool);
  [...world.server.connections].at(-1)?.end();
  world.server.loginMs = 10;
  releaseAll(pool, [old]);
  expect((old as unknown as DrivenConnection).closed).toBe(false);
  expect(pool.stats).toMatchObject({ size: 1, renewals: 0, evictions: { broken: 1 } });
  await pass(SECOND);
  const [connection] = await borrow(pool, 1);
  expect((connection as unknown as DrivenConnection).closed).toBe(false);
  expect(pool.stats.evictions).toMatchObject({ broken: 1 });
  releaseAll(pool, [connection as Connection]);
});

test('connections past their maximum age are replaced, including SQL logins', async () => {
  const pool = aPool({ max: 4, maxAgeMillis: 10 * MINUTE }, sqlLogin);
  await opened(pool, 4);
  world.server.dials = [];
  const startedAt = performance.now();
  await live(pool, 10 * MINUTE + 10 * SECOND, 4);
  expect(pool.stats).toMatchObject({ size: 4, renewals: 4, evictions: { renewed: 4 } });
  const at = since(startedAt);
  expect(at[0]).toBeGreaterThanOrEqual(9 * MINUTE);
  expect(at.at(-1)).toBeLessThanOrEqual(10 * MINUTE + SECOND);
});

test('idle connections past their maximum age are closed because of it', async () => {
  const pool = aPool({ max: 4, maxAgeMillis: 10 * MINUTE, idleTimeoutMillis: HOUR }, sqlLogin);
  await opened(pool, 4);
  await pass(9 * MINUTE - SECOND);
  expect(pool.stats.size).toBe(4);
  await pass(MINUTE + 2 * SECOND);
  expect(pool.stats).toMatchObject({ size: 0, renewals: 0, evictions: { 'max-age': 4 } });
});

test('without an age limit or a token, nothing is ever replaced', async () => {
  const pool = aPool({ max: 1, maxAgeMillis: 0 }, sqlLogin);
  await opened(pool, 1);
  await live(pool, 12 * HOUR, 1, 29 * SECOND);
  expect(pool.stats).toMatchObject({ logins: 1, renewals: 0, evictions: {} });
});

test('a clock that jumps an hour ahead is noticed within 30 s; a small adjustment does not count', async () => {
  const pool = aPool({ max: 1, min: 1, idleTimeoutMillis: 10 * HOUR });
  await pass(10 * MINUTE);
  world.clock.jump(999);
  await pass(31 * SECOND);
  expect(pool.stats.logins).toBe(1);
  world.clock.jump(HOUR);
  await pass(30 * SECOND);
  // The token was asked for; a connection looks for it every 5 s.
  expect(world.provider.requests).toHaveLength(2);
  await pass(6 * SECOND);
  expect(pool.stats).toMatchObject({ size: 1, logins: 2, renewals: 1 });
});

test('a clock that is set back does not delay what is idle', async () => {
  const pool = aPool({ max: 1, idleTimeoutMillis: MINUTE });
  await opened(pool, 1);
  world.clock.jump(-HOUR);
  await pass(MINUTE + SECOND);
  expect(pool.stats.size).toBe(0);
});

test('while the provider has no later token, connections stay in use, and are replaced when it does', async () => {
  const pool = aPool({ max: 3 });
  await opened(pool, 3);
  world.provider.sticky = new Error('HTTP 503');
  await live(pool, 52 * MINUTE, 3);
  expect(pool.stats).toMatchObject({ logins: 3, renewals: 0, size: 3 });
  world.provider.sticky = undefined;
  await live(pool, 3 * MINUTE - 20 * SECOND, 3);
  expect(pool.stats).toMatchObject({ size: 3, logins: 6, renewals: 3 });
});

test('while the server is down at renewal time, the old connections stay in use; then they are replaced', async () => {
  // Half-way between refresh (47.5 min) and the eviction margin (55 min).
  withoutSpread();
  const pool = aPool({ max: 3 });
  await opened(pool, 3);
  await live(pool, 51 * MINUTE, 3);
  world.server.isDown = true;
  world.server.dials = [];
  await live(pool, 3 * MINUTE, 3);
  expect(pool.stats).toMatchObject({ size: 3, renewals: 0, evictions: {} });
  const tries = world.server.dials.length;
  expect(tries).toBeGreaterThan(3);
  expect(tries).toBeLessThan(12);
  world.server.isDown = false;
  await live(pool, 66 * SECOND, 3);
  expect(pool.stats).toMatchObject({ size: 3, renewals: 3, evictions: { renewed: 3 } });
});

test('P11: a later token that arrives late does not cause all connections to be replaced at once', async () => {
  const pool = aPool({ max: 20, overlap: 20, maxRenewals: 20 });
  await opened(pool, 20);
  world.provider.sticky = new Error('HTTP 503');
  await live(pool, 53 * MINUTE, 20);
  world.provider.sticky = undefined;
  world.server.dials = [];
  await live(pool, 3 * MINUTE, 20);
  expect(pool.stats.renewals).toBe(20);
  const [first = 0] = world.server.dials;
  expect(since(first).filter((ms) => ms < 5 * SECOND).length).toBeLessThan(15);
});

test('close() leaves no timer, and discards what is being opened in the background', async () => {
  const pool = aPool({ max: 3, min: 3 });
  await opened(pool, 3);
  world.server.loginMs = MINUTE;
  world.server.cut();
  await pass(SECOND);
  expect(pool.stats.opening).toBe(3);
  const closed = pool.close();
  await pass(0);
  await closed;
  await pass(2 * MINUTE);
  expect(world.server.connections.size).toBe(0);
  expect(world.clock.pending.size).toBe(0);
  world.server.dials = [];
  await pass(HOUR);
  expect(world.server.dials).toEqual([]);
});

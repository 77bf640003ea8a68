import type { Connection } from 'tedious';
import { expect, test } from 'vitest';
import type { TokenPool } from '../../src/index.js';
import { driven, drivenWorld, outcome, pass, SECOND, settled } from '../support/driven-world.js';

const world = drivenWorld();

/** Two connections for both pools together. */
function poolWithFallback(max = 2): TokenPool {
  return world.aPool({ max, overlap: 0 }, { readOnly: { fallback: true } });
}

function isReplicas(connection: Connection): boolean {
  return driven(connection).config.options?.readOnlyIntent === true;
}

const fallbacks = () => world.events.filter(({ name }) => name === 'pool:fallback');

test('a caller that waits only because all connections are borrowed stays in the queue, and the replica its reputation', async () => {
  const pool = poolWithFallback();
  const borrowed = await world.borrow(pool, 2);
  const waiting = outcome(pool.readOnly.acquire());
  await pass(20 * SECOND);
  expect(waiting.at).toBeUndefined();
  for (const connection of borrowed) pool.release(connection);
  await pass(SECOND);
  expect(isReplicas(settled(waiting))).toBe(true);
  expect(fallbacks()).toEqual([]);
  pool.readOnly.release(settled(waiting));
});

test('a suspended pool is no failure of the replica', async () => {
  const pool = poolWithFallback();
  pool.suspend();
  const waiting = outcome(pool.readOnly.acquire());
  await pass(20 * SECOND);
  pool.resume();
  await pass(SECOND);
  expect(isReplicas(settled(waiting))).toBe(true);
  expect(fallbacks()).toEqual([]);
  pool.readOnly.release(settled(waiting));
});

test('a replica whose login hangs: the primary serves after half of the time, and from then on at once', async () => {
  const pool = poolWithFallback();
  await world.opened(pool, 1);
  world.server.loginMs = 60 * SECOND;
  const first = outcome(pool.readOnly.acquire());
  await pass(14 * SECOND);
  expect(first.at).toBeUndefined();
  await pass(2 * SECOND);
  expect(isReplicas(settled(first))).toBe(false);
  pool.readOnly.release(settled(first));
  const second = outcome(pool.readOnly.acquire());
  await pass(0);
  expect(isReplicas(settled(second))).toBe(false);
  expect(fallbacks()).toHaveLength(1);
  pool.readOnly.release(settled(second));
  world.server.loginMs = 10;
});

test('the signal of a caller ends the wait for the replica, and the primary is not tried', async () => {
  const pool = poolWithFallback();
  world.server.loginMs = 60 * SECOND;
  const left = new AbortController();
  const waiting = outcome(pool.readOnly.acquire({ signal: left.signal }));
  await pass(SECOND);
  left.abort();
  await pass(0);
  expect(() => settled(waiting)).toThrow(expect.objectContaining({ code: 'ERR_ABORTED' }));
  await pass(20 * SECOND);
  expect(world.server.dials).toHaveLength(1);
  expect(fallbacks()).toEqual([]);
});

test('a closed pool reports that, also to a caller of the replica', async () => {
  const pool = poolWithFallback();
  await pool.close();
  await expect(pool.readOnly.acquire()).rejects.toMatchObject({ code: 'ERR_POOL_CLOSED' });
  expect(fallbacks()).toEqual([]);
});

test('its health is that of the replica', async () => {
  const pool = poolWithFallback();
  await world.opened(pool, 1);
  world.server.isDown = true;
  const failed = outcome(pool.readOnly.ready());
  await pass(SECOND);
  expect(() => settled(failed)).toThrow();
  expect(pool.readOnly.health()).toMatchObject({ status: 'down', reasons: [{ code: 'cannot-connect' }] });
  expect(pool.health().status).toBe('ok');
});

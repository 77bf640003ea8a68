import type { Connection } from 'tedious';
import { expect, test } from 'vitest';
import { type HealthReason, healthOfAll } from '../../src/pool/health.js';
import {
  borrowAtOnce,
  drivenWorld,
  HOUR,
  LOGIN_FAILED,
  MINUTE,
  outcome,
  pass,
  releaseAll,
  SECOND,
  settled,
} from '../support/driven-world.js';

const world = drivenWorld();
const { aPool, borrow, opened } = world;

const codes = (reasons: readonly HealthReason[]) => reasons.map(({ code }) => code);

test('a pool is ok before its first use, and while it works', async () => {
  const pool = aPool();
  expect(pool.health()).toEqual({ status: 'ok', reasons: [] });
  await opened(pool, 1);
  expect(pool.health()).toEqual({ status: 'ok', reasons: [] });
  expect(world.server.queries).toEqual([]);
});

test('without a connection and with an unreachable server, it is down, with the error; it recovers', async () => {
  const pool = aPool({ acquireTimeoutMillis: 2 * SECOND });
  world.server.isDown = true;
  const waiting = outcome(pool.acquire());
  await pass(5 * SECOND);
  expect(waiting.error).toBeDefined();
  expect(pool.health()).toMatchObject({
    status: 'down',
    reasons: [{ code: 'cannot-connect', message: expect.stringContaining('ERR_SERVER_UNAVAILABLE') }],
  });
  world.server.isDown = false;
  await pass(10 * SECOND);
  releaseAll(pool, await borrow(pool, 1));
  expect(pool.health()).toEqual({ status: 'ok', reasons: [] });
});

test('while logins hang and callers time out, it is down, and ok again when the server answers', async () => {
  const pool = aPool({ max: 2, acquireTimeoutMillis: 2 * SECOND });
  world.server.loginMs = 20 * SECOND;
  const waiting = outcome(pool.acquire());
  await pass(2 * SECOND);
  expect(waiting.error).toBeDefined();
  expect(pool.health()).toMatchObject({
    status: 'down',
    reasons: [{ code: 'logins-hang', message: 'A login has not ended for 2.0 s.' }],
  });
  await pass(19 * SECOND);
  expect(pool.health()).toEqual({ status: 'ok', reasons: [] });
});

test('logins that wait for their turn do not hang', async () => {
  const pool = aPool({ max: 12, maxOpening: 1 });
  world.server.loginMs = SECOND;
  const calls = Array.from({ length: 12 }, () => outcome(pool.acquire()));
  await pass(10.5 * SECOND);
  expect(codes(pool.health().reasons)).toEqual(['callers-wait']);
  await pass(2 * SECOND);
  releaseAll(pool, calls.map(settled));
});

test('a timeout while all connections were in use says nothing about the next login', async () => {
  const pool = aPool({ max: 1, overlap: 0, acquireTimeoutMillis: 2 * SECOND }, { readOnly: true });
  const replicas = outcome(pool.readOnly.acquire());
  await pass(world.server.loginMs);
  world.server.loginMs = 500;
  const first = outcome(pool.acquire());
  await pass(1.5 * SECOND);
  const second = outcome(pool.acquire());
  await pass(SECOND);
  expect(first.error).toBeDefined();
  pool.readOnly.destroy(settled(replicas));
  await pass(100);
  expect(codes(pool.health().reasons)).toEqual(['callers-wait']);
  await pass(SECOND);
  pool.release(settled(second));
});

test('with connections, it is degraded if no further one can be opened', async () => {
  const pool = aPool({ max: 2, idleTimeoutMillis: HOUR });
  await opened(pool, 1);
  const busy = await borrowAtOnce(pool);
  world.server.refusals = [LOGIN_FAILED];
  const refused = outcome(pool.acquire());
  await pass(SECOND);
  expect(refused.error).toBeDefined();
  expect(pool.health()).toMatchObject({ status: 'degraded', reasons: [{ code: 'cannot-connect' }] });
  pool.release(busy);
});

test('an identity provider that fails degrades a pool with connections, and takes down one without', async () => {
  const [used, unused] = [aPool({ idleTimeoutMillis: 4 * HOUR, min: 1 }), aPool({ acquireTimeoutMillis: SECOND })];
  await opened(used, 1);
  world.provider.sticky = new Error('the provider is away');
  await pass(54 * MINUTE);
  expect(used.health()).toMatchObject({ status: 'degraded', reasons: [{ code: 'token-refresh-fails' }] });
  await pass(10 * MINUTE);
  const waiting = outcome(unused.acquire());
  await pass(5 * SECOND);
  expect(waiting.error).toBeDefined();
  const { status, reasons } = unused.health();
  expect(status).toBe('down');
  expect(codes(reasons)).toContain('no-token');
  expect(used.health().status).toBe('degraded');
  world.provider.sticky = undefined;
});

test('callers that wait for a second, leaks and a suspension are reasons', async () => {
  const pool = aPool({ max: 1, leakDetectionMillis: 10 * SECOND });
  const [connection] = (await borrow(pool, 1)) as [Connection];
  const waiting = outcome(pool.acquire());
  await pass(500);
  expect(pool.health().status).toBe('ok');
  await pass(SECOND);
  expect(pool.health()).toMatchObject({
    status: 'degraded',
    reasons: [{ code: 'callers-wait', message: expect.stringMatching(/^1 waiting .* 1\.5 s; 1 of 1 are borrowed\.$/) }],
  });
  await pass(10 * SECOND);
  pool.suspend();
  expect(codes(pool.health().reasons)).toEqual(['suspended', 'callers-wait', 'connections-leak']);
  pool.resume();
  pool.release(connection);
  await pass(0);
  pool.release(settled(waiting));
  expect(pool.health()).toEqual({ status: 'ok', reasons: [] });
});

test('a closed pool is down', async () => {
  const pool = aPool();
  const closed = outcome(pool.close());
  await pass(0);
  settled(closed);
  expect(pool.health()).toMatchObject({ status: 'down', reasons: [{ code: 'closed' }] });
});

test('many pools: down if all are, degraded if some are not ok', () => {
  const ok = { status: 'ok', reasons: [] } as const;
  const down = { status: 'down', reasons: [{ code: 'cannot-connect', message: 'why' }] } as const;
  expect(healthOfAll([])).toEqual(ok);
  expect(healthOfAll([ok, ok])).toEqual(ok);
  expect(healthOfAll([ok, down, down])).toEqual({
    status: 'degraded',
    reasons: [{ code: 'cannot-connect', message: '2 of 3 pools, for instance: why' }],
  });
  expect(healthOfAll([down, down]).status).toBe('down');
});

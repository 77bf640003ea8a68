import type { Connection } from 'tedious';
import { expect, test } from 'vitest';
import { PoolClosedError, type TokenCredential } from '../../src/index.js';
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
} from '../support/driven-world.js';

const world = drivenWorld();

interface Issuer extends TokenCredential {
  asked: number;
  delayMs: number;
  failure: Error | undefined;
}

let serial = 0;

/** A credential of one principal. */
function credential(delayMs = 0): Issuer {
  const issuer: Issuer = {
    asked: 0,
    delayMs,
    failure: undefined,
    async getToken() {
      issuer.asked += 1;
      serial += 1;
      if (issuer.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, issuer.delayMs));
      if (issuer.failure !== undefined) throw issuer.failure;
      const claims = Buffer.from(JSON.stringify({ tid: 't', oid: 'a', uti: serial })).toString('base64url');
      return { token: `e30.${claims}.s`, expiresOnTimestamp: Date.now() + HOUR };
    },
  };
  return issuer;
}

const SLOW = 5 * SECOND;

async function poolOf(count: number) {
  const before = credential();
  const pool = world.aPool({ max: count, idleTimeoutMillis: HOUR }, { authentication: before });
  await world.opened(pool, count);
  return { pool, before };
}

const replacements = () => world.events.filter(({ name }) => name === 'pool:credential-replaced');

test('close() during replaceCredential() rejects it, and leaves nothing behind', async () => {
  const { pool } = await poolOf(2);
  const replaced = outcome(pool.replaceCredential(credential(SLOW)));
  await pass(SECOND);
  const closed = outcome(pool.close());
  await pass(SLOW);
  settled(closed);
  expect(replaced.error).toBeInstanceOf(PoolClosedError);
  expect(world.server.connections.size).toBe(0);
  expect(replacements()).toEqual([]);
});

test('replaceCredential() during close() is refused at once, without a token request', async () => {
  const { pool } = await poolOf(1);
  const held = await borrowAtOnce(pool);
  const closed = outcome(pool.close());
  await pass(0);
  const after = credential();
  await expect(pool.replaceCredential(after)).rejects.toBeInstanceOf(PoolClosedError);
  expect(after.asked).toBe(0);
  pool.release(held);
  await pass(SECOND);
  settled(closed);
});

test('replaceCredential() in a suspended pool: resolves, and connections are replaced after resume()', async () => {
  const { pool, before } = await poolOf(2);
  const old = [...world.server.connections];
  pool.suspend();
  const after = credential();
  const replaced = outcome(pool.replaceCredential(after));
  await pass(SECOND);
  settled(replaced);
  expect([...world.server.connections]).toEqual(old);
  pool.resume();
  await live(pool, 10 * SECOND, 2, 100);
  expect([...world.server.connections].some((connection) => old.includes(connection))).toBe(false);
  expect(pool.stats).toMatchObject({ size: 2, renewals: 2, failedLogins: 0 });
  expect([before.asked, after.asked]).toEqual([1, 1]);
});

test('suspend() during replaceCredential(): callers wait, and continue with the new credential', async () => {
  const { pool, before } = await poolOf(1);
  const after = credential(SLOW);
  const replaced = outcome(pool.replaceCredential(after));
  await pass(SECOND);
  pool.suspend();
  pool.evictAll();
  const waiting = outcome(pool.acquire());
  await pass(SLOW);
  settled(replaced);
  expect(waiting.at).toBeUndefined();
  pool.resume();
  await pass(SECOND);
  pool.release(settled(waiting));
  expect([before.asked, after.asked]).toEqual([1, 1]);
  expect(pool.stats).toMatchObject({ size: 1, logins: 2, failedLogins: 0 });
});

test('evictAll() during replaceCredential(): callers are served with the old credential until the new one has a token', async () => {
  const { pool } = await poolOf(2);
  const busy = await borrowAtOnce(pool);
  const replaced = outcome(pool.replaceCredential(credential(SLOW)));
  await pass(SECOND);
  pool.evictAll();
  const waiting = outcome(pool.acquire());
  await pass(world.server.loginMs + 1);
  const between = settled(waiting);
  expect(between).not.toBe(busy);
  await pass(SLOW);
  settled(replaced);
  releaseAll(pool, [busy, between]);
  await live(pool, 10 * SECOND, 1, 100);
  expect(driven(busy).closed).toBe(true);
  expect(driven(between).closed).toBe(true);
  expect(pool.stats).toMatchObject({ failedLogins: 0, evictions: { 'evicted-by-caller': 2 } });
});

test('evictAll() at the moment when the new credential takes over: no connection from before is handed out', async () => {
  const { pool } = await poolOf(3);
  const old = new Set<unknown>(world.server.connections);
  const after = credential();
  const replaced = pool.replaceCredential(after).then(() => pool.evictAll());
  const seen = outcome(replaced);
  await pass(1);
  settled(seen);
  const acquired = outcome(Promise.all([pool.acquire(), pool.acquire(), pool.acquire()]));
  await pass(SECOND);
  const connections = settled(acquired) as Connection[];
  expect(connections.some((connection) => old.has(connection))).toBe(false);
  releaseAll(pool, connections);
  expect(pool.stats).toMatchObject({ size: 3, failedLogins: 0 });
});

test.each([
  ['the slow one first', SLOW, 0],
  ['the slow one second', 0, SLOW],
  ['both at the same time', SECOND, SECOND],
])('two calls of replaceCredential() at once, %s: the later call counts', async (_, first, second) => {
  const { pool } = await poolOf(2);
  const [earlier, later] = [credential(first), credential(second)];
  const results = [outcome(pool.replaceCredential(earlier)), outcome(pool.replaceCredential(later))];
  await pass(10 * SECOND);
  results.map(settled);
  const asked = [earlier.asked, later.asked] as const;
  await live(pool, 2 * HOUR, 2);
  expect(earlier.asked).toBe(asked[0]);
  expect(later.asked).toBeGreaterThan(asked[1]);
  expect(pool.stats).toMatchObject({ size: 2, failedLogins: 0 });
});

test('of two calls at once, if the later one fails, the earlier one counts', async () => {
  const { pool, before } = await poolOf(1);
  const [earlier, later] = [credential(SLOW), credential()];
  later.failure = new Error('wrong secret');
  const results = [outcome(pool.replaceCredential(earlier)), outcome(pool.replaceCredential(later))];
  await pass(MINUTE);
  expect(results[1]?.error).toBeDefined();
  settled(results[0] as never);
  await live(pool, 2 * HOUR, 1);
  expect(before.asked).toBe(1);
  expect(earlier.asked).toBeGreaterThan(1);
  expect(pool.stats).toMatchObject({ size: 1, failedLogins: 0 });
});

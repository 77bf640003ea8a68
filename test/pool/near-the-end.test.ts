import type { Connection } from 'tedious';
import { expect, test, vi } from 'vitest';
import { AbortedError, AcquireTimeoutError, TokenExpiredError } from '../../src/errors.js';
import type { TokenPool } from '../../src/index.js';
import type { DrivenConnection } from '../support/driven-server.js';
import {
  drivenWorld,
  LOGIN_FAILED,
  MINUTE,
  outcome,
  pass,
  SECOND,
  settled,
  sqlLogin,
} from '../support/driven-world.js';

const world = drivenWorld();
const { aPool, borrow, opened } = world;

/** The wall clock jumps, and nothing in the background has noticed yet. */
const jump = (ms: number): void => {
  world.clock.jump(ms);
};

/** One idle connection, this many ms before its one-hour token expires. */
async function idleBeforeItsEnd(pool: TokenPool, ms: number): Promise<DrivenConnection> {
  const [connection] = (await borrow(pool, 1)) as [Connection];
  // A provider that has just answered gets no request for a while.
  await pass(10 * SECOND);
  pool.release(connection);
  jump(60 * MINUTE - 10 * SECOND - world.server.loginMs - ms);
  return connection as unknown as DrivenConnection;
}

test('P2: inside the eviction margin, a caller waits for the token in flight, and gets a connection with it', async () => {
  const pool = aPool({ max: 1 });
  const old = await idleBeforeItsEnd(pool, 5 * MINUTE);
  world.provider.delayMs = 500;
  const startedAt = performance.now();
  const acquired = outcome(pool.acquire());
  await pass(499);
  expect(acquired.at).toBeUndefined();
  await pass(1 + world.server.loginMs);
  expect(settled(acquired)).not.toBe(old);
  expect(acquired.at).toBe(startedAt + 500 + world.server.loginMs);
  expect(old.closed).toBe(true);
  expect(pool.stats).toMatchObject({ size: 1, logins: 2, evictions: { 'token-expiry': 1 } });
  expect(world.provider.requests).toHaveLength(2);
  pool.release(settled(acquired));
});

test('P4: a slow token request delays a caller by at most a second; then the cached token serves at once', async () => {
  const pool = aPool({ max: 1 });
  const old = await idleBeforeItsEnd(pool, 5 * MINUTE);
  world.provider.delayMs = 5 * SECOND;
  const startedAt = performance.now();
  const first = outcome(pool.acquire());
  await pass(SECOND);
  expect(settled(first)).toBe(old);
  expect(first.at).toBe(startedAt + SECOND);
  pool.release(settled(first));
  for (let i = 0; i < 2; i += 1) {
    const later = outcome(pool.acquire());
    await pass(0);
    expect(settled(later)).toBe(old);
    pool.release(settled(later));
  }
  expect(old.closed).toBe(false);
  const borrowed = outcome(pool.acquire());
  await pass(4.5 * SECOND);
  pool.release(settled(borrowed));
  await pass(5 * SECOND);
  expect(old.closed).toBe(true);
  const [next] = (await borrow(pool, 1)) as [Connection];
  expect(next).not.toBe(old);
  expect(world.provider.requests).toHaveLength(2);
  pool.release(next);
});

test('P4: once a request has failed, a session whose token is still valid does not wait for the next', async () => {
  const pool = aPool({ max: 1 });
  const old = await idleBeforeItsEnd(pool, 5 * MINUTE);
  world.provider.sticky = new Error('HTTP 503');
  pool.release(await pool.acquire());
  world.provider.sticky = 'hang';
  for (let passed = 0; passed < MINUTE; passed += SECOND) {
    const acquired = outcome(pool.acquire());
    await pass(0);
    expect(settled(acquired)).toBe(old);
    pool.release(settled(acquired));
    await pass(SECOND);
  }
});

test('fault 4: a token of 20 s, and a process that wakes 3.5 s before its end', async () => {
  for (const strictExpiry of [false, true]) {
    world.provider.lifeMs = 20 * SECOND;
    const pool = aPool({ max: 2 }, { strictExpiry });
    const [old] = (await borrow(pool, 1)) as [Connection];
    await pass(2.5 * SECOND);
    pool.release(old);
    jump(16.5 * SECOND - 2.5 * SECOND - world.server.loginMs);
    world.provider.delayMs = 200;
    const callers = [outcome(pool.acquire()), outcome(pool.acquire())];
    await pass(200 + 2 * world.server.loginMs);
    for (const caller of callers) {
      expect(settled(caller)).not.toBe(old);
      pool.release(settled(caller));
    }
    world.provider.delayMs = 0;
  }
});

test('outside the margin, it is handed out at once', async () => {
  const pool = aPool({ max: 1 });
  const old = await idleBeforeItsEnd(pool, 5 * MINUTE + SECOND);
  const acquired = outcome(pool.acquire());
  await pass(0);
  expect(settled(acquired)).toBe(old);
  expect(world.provider.requests).toHaveLength(1);
  pool.release(settled(acquired));
});

test('while no later token is available, the connection is handed out even after its token has expired, within a second', async () => {
  const pool = aPool({ max: 1 });
  const old = await idleBeforeItsEnd(pool, -MINUTE);
  world.provider.sticky = 'hang';
  const startedAt = performance.now();
  const acquired = outcome(pool.acquire());
  await pass(999);
  expect(acquired.at).toBeUndefined();
  await pass(1);
  expect(settled(acquired)).toBe(old);
  expect(acquired.at).toBe(startedAt + SECOND);
  pool.release(settled(acquired));
  expect(pool.stats).toMatchObject({ size: 1, evictions: {} });
});

test('past its expiry, it is replaced if a later token arrives within that second', async () => {
  const pool = aPool({ max: 1 });
  const old = await idleBeforeItsEnd(pool, -MINUTE);
  world.provider.delayMs = 500;
  const acquired = outcome(pool.acquire());
  await pass(500 + world.server.loginMs + 1);
  expect(settled(acquired)).not.toBe(old);
  expect(old.closed).toBe(true);
  expect(pool.stats.evictions).toEqual({ 'token-expiry': 1 });
  pool.release(settled(acquired));
});

test('strictExpiry rejects the checkout when no later token is available, and keeps the connection', async () => {
  const pool = aPool({ max: 1 }, { strictExpiry: true });
  await idleBeforeItsEnd(pool, 4 * MINUTE);
  world.provider.sticky = new Error('HTTP 503');
  const acquired = outcome(pool.acquire());
  await pass(SECOND);
  expect(acquired.error).toBeInstanceOf(TokenExpiredError);
  expect(acquired.error).toMatchObject({
    message: 'The token of every connection is near its end, and no later one is available.',
    hint: 'strictExpiry is on: without it, the session would have remained in use.',
    cause: { code: 'ERR_TOKEN_UNAVAILABLE' },
  });
  expect(pool.stats).toMatchObject({ size: 1, borrowed: 0, available: 1, logins: 1, evictions: {} });
});

test('strictExpiry waits for a later token, and then for a login with it', async () => {
  const pool = aPool({ max: 1 }, { strictExpiry: true });
  const old = await idleBeforeItsEnd(pool, 30 * SECOND);
  world.provider.delayMs = 5 * SECOND;
  const acquired = outcome(pool.acquire());
  await pass(5 * SECOND - 1);
  expect(acquired.at).toBeUndefined();
  await pass(world.server.loginMs + 2);
  expect(settled(acquired)).not.toBe(old);
  pool.release(settled(acquired));
});

test('a caller that leaves during the wait for a token leaves the connection in the pool', async () => {
  const pool = aPool({ max: 1 }, { strictExpiry: true });
  const old = await idleBeforeItsEnd(pool, 30 * SECOND);
  world.provider.sticky = 'hang';
  const controller = new AbortController();
  const acquired = outcome(pool.acquire({ signal: controller.signal }));
  await pass(SECOND);
  expect(pool.stats).toMatchObject({ size: 1, pending: 1 });
  controller.abort();
  await pass(0);
  expect(acquired.error).toBeInstanceOf(AbortedError);
  expect(old.closed).toBe(false);
  expect(pool.stats).toMatchObject({ size: 1, borrowed: 0, available: 1, pending: 0 });
});

test('a wait for a token counts as waiting', async () => {
  const pool = aPool({ max: 1, acquireTimeoutMillis: 3 * SECOND }, { strictExpiry: true });
  await idleBeforeItsEnd(pool, 30 * SECOND);
  world.provider.sticky = 'hang';
  const acquired = outcome(pool.acquire());
  await pass(3 * SECOND - 1);
  expect(acquired.at).toBeUndefined();
  await pass(1);
  expect(acquired.error).toBeInstanceOf(AcquireTimeoutError);
});

test('one past its maximum age is replaced because of its age', async () => {
  const pool = aPool({ max: 1, maxAgeMillis: 10 * MINUTE, idleTimeoutMillis: 60 * MINUTE }, sqlLogin);
  const [connection] = (await borrow(pool, 1)) as [Connection];
  pool.release(connection);
  jump(10 * MINUTE - 1);
  const early = outcome(pool.acquire());
  await pass(0);
  expect(settled(early)).toBe(connection);
  pool.release(connection);
  jump(2);
  const [next] = (await borrow(pool, 1)) as [Connection];
  expect(next).not.toBe(connection);
  expect(pool.stats).toMatchObject({ size: 1, evictions: { 'max-age': 1 } });
  pool.release(next);
});

/** A login of these tests takes 5 min. */
const slowLogins = { connectionTimeout: 10 * MINUTE };

test('inside the margin, a caller waits for the replacement under way, not for a login of its own', async () => {
  // Half-way between refresh (47.5 min) and the eviction margin (55 min): 51.25 min.
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  const pool = aPool(
    { max: 1, idleTimeoutMillis: 120 * MINUTE, min: 1, acquireTimeoutMillis: 10 * MINUTE },
    slowLogins,
  );
  await opened(pool, 1);
  world.server.loginMs = 5 * MINUTE;
  while (world.server.dials.length < 2) await pass(SECOND);
  const [old] = [...world.server.connections] as [DrivenConnection];
  // Before the margin: no reason to wait.
  const early = outcome(pool.acquire());
  await pass(0);
  expect(settled(early)).toBe(old);
  pool.release(settled(early));
  await pass(4 * MINUTE);
  const late = outcome(pool.acquire());
  await pass(0);
  expect(late.at).toBeUndefined();
  await pass(MINUTE);
  expect(settled(late)).not.toBe(old);
  expect(pool.stats).toMatchObject({ size: 1, logins: 2, renewals: 1, evictions: { renewed: 1 } });
  pool.release(settled(late));
});

test('if the successor under way fails, the old connection is not handed out inside its margin', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  const pool = aPool(
    { max: 1, idleTimeoutMillis: 120 * MINUTE, min: 1, acquireTimeoutMillis: 10 * MINUTE },
    slowLogins,
  );
  await opened(pool, 1);
  world.server.loginMs = 5 * MINUTE;
  while (world.server.dials.length < 2) await pass(SECOND);
  const [old] = [...world.server.connections] as [DrivenConnection];
  await pass(4 * MINUTE);
  world.server.refusals = [LOGIN_FAILED];
  const late = outcome(pool.acquire());
  await pass(MINUTE);
  expect(old.closed).toBe(true);
  world.server.loginMs = 10;
  await pass(6 * MINUTE);
  expect(settled(late)).not.toBe(old);
  pool.release(settled(late));
});

test('P2: a connection that enters its eviction margin while it is tested is not handed out', async () => {
  let tests = 0;
  const validate = async (): Promise<boolean> => {
    tests += 1;
    if (tests === 2) await new Promise((resolve) => setTimeout(resolve, 2 * SECOND));
    return true;
  };
  const pool = aPool({ max: 1, validate });
  const old = await idleBeforeItsEnd(pool, 5 * MINUTE + SECOND);
  const acquired = outcome(pool.acquire());
  await pass(2 * SECOND + world.server.loginMs + SECOND);
  expect(settled(acquired)).not.toBe(old);
  expect(old.closed).toBe(true);
  expect(pool.stats).toMatchObject({ size: 1, logins: 2 });
  pool.release(settled(acquired));
});

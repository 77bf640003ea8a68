import type { Connection } from 'tedious';
import { expect, test } from 'vitest';
import {
  AbortedError,
  AcquireTimeoutError,
  LoginRefusedError,
  PoolClosedError,
  ServerUnavailableError,
  TokenTimeoutError,
} from '../../src/errors.js';
import type { DrivenConnection } from '../support/driven-server.js';
import {
  drivenWorld,
  HOUR,
  LOGIN_FAILED,
  MINUTE,
  outcome,
  pass,
  releaseAll,
  SECOND,
  sqlLogin,
  undecidedTest,
} from '../support/driven-world.js';

const world = drivenWorld();
const { aPool, borrow, opened } = world;

test('hands out an idle connection at once, the last one returned', async () => {
  const pool = aPool({ max: 3 });
  const [one, two, three] = (await borrow(pool, 3)) as [Connection, Connection, Connection];
  releaseAll(pool, [one, three, two]);
  const startedAt = performance.now();
  expect(await pool.acquire()).toBe(two);
  expect(await pool.acquire()).toBe(three);
  expect(await pool.acquire()).toBe(one);
  expect(performance.now()).toBe(startedAt);
  releaseAll(pool, [one, two, three]);
});

test('hands a returned connection to the caller that has waited longest', async () => {
  const pool = aPool({ max: 1 });
  const [connection] = (await borrow(pool, 1)) as [Connection];
  const [first, second] = [outcome(pool.acquire()), outcome(pool.acquire())];
  await pass(5 * SECOND);
  expect(pool.stats).toMatchObject({ pending: 2, borrowed: 1, available: 0 });
  expect([first.at, second.at]).toEqual([undefined, undefined]);
  pool.release(connection);
  await pass(0);
  expect(first.value).toBe(connection);
  expect(second.at).toBeUndefined();
  pool.release(connection);
  await pass(0);
  expect(second.value).toBe(connection);
  pool.release(connection);
  expect(world.server.dials).toHaveLength(1);
});

test('a wait ends after acquireTimeoutMillis, not sooner, and the error describes the state of the pool', async () => {
  const pool = aPool({ max: 2, acquireTimeoutMillis: 5 * SECOND });
  const borrowed = await borrow(pool, 2);
  const startedAt = performance.now();
  const [one, other] = [outcome(pool.acquire()), outcome(pool.acquire())];
  await pass(5 * SECOND - 1);
  expect([one.at, other.at]).toEqual([undefined, undefined]);
  await pass(1);
  expect(one.at).toBe(startedAt + 5 * SECOND);
  expect(one.error).toBeInstanceOf(AcquireTimeoutError);
  expect(one.error).toMatchObject({
    message: expect.stringMatching(/within 5000 ms: 2 of 2 borrowed, [01] other callers? waiting\./),
    hint: 'Return connections sooner, look for one that is never returned, or raise pool.max.',
  });
  expect((one.error as Error).cause).toBeUndefined();
  expect(other.error).toBeInstanceOf(AcquireTimeoutError);
  expect(world.events.filter(({ name }) => name === 'checkout:timed-out')).toEqual([
    { name: 'checkout:timed-out', payload: { pool: pool.name, waitedMs: 5 * SECOND, error: one.error } },
    { name: 'checkout:timed-out', payload: { pool: pool.name, waitedMs: 5 * SECOND, error: other.error } },
  ]);
  releaseAll(pool, borrowed);
});

test('time already waited elsewhere counts against acquireTimeoutMillis', async () => {
  const pool = aPool({ max: 1, acquireTimeoutMillis: 5 * SECOND });
  const [borrowed] = (await borrow(pool, 1)) as [Connection];
  const waiting = outcome(pool.acquire({ startedAt: performance.now() - 4 * SECOND }));
  await pass(SECOND - 1);
  expect(waiting.at).toBeUndefined();
  await pass(1);
  expect(waiting.error).toBeInstanceOf(AcquireTimeoutError);
  pool.release(borrowed);
  expect(pool.stats).toMatchObject({ borrowed: 0, available: 1 });
  await opened(pool, 1);
});

test.each(['new', 'used before'])(
  'a login that takes too long rejects the caller at its timeout: a %s connection',
  async (place) => {
    const pool = aPool({ max: 1, acquireTimeoutMillis: 5 * SECOND });
    if (place !== 'new') {
      await opened(pool, 1);
      world.server.cut();
      await pass(SECOND);
      expect(pool.stats.size).toBe(0);
    }
    world.server.loginMs = 7 * SECOND;
    const waiting = outcome(pool.acquire());
    await pass(5 * SECOND - 1);
    expect(waiting.at).toBeUndefined();
    expect(pool.stats.opening).toBe(1);
    await pass(1);
    expect(waiting.error).toBeInstanceOf(AcquireTimeoutError);
    // The login continues, and the next caller gets its result.
    await pass(2 * SECOND);
    expect(pool.stats).toMatchObject({ size: 1, available: 1, borrowed: 0, opening: 0 });
    const startedAt = performance.now();
    pool.release(await pool.acquire());
    expect(performance.now()).toBe(startedAt);
  },
);

test('a timeout names the last failure to connect as its cause, until a login succeeds', async () => {
  const pool = aPool({ max: 1, acquireTimeoutMillis: SECOND });
  world.server.refusals = [LOGIN_FAILED];
  const failed = outcome(pool.acquire());
  await pass(world.server.loginMs);
  expect(failed.error).toBeInstanceOf(LoginRefusedError);
  world.server.loginMs = 10 * SECOND;
  const late = outcome(pool.acquire());
  await pass(SECOND);
  expect(late.error).toMatchObject({
    code: 'ERR_ACQUIRE_TIMEOUT',
    cause: failed.error,
    hint: 'No new connection could be opened; the cause says why.',
  });
  await pass(10 * SECOND);
  const borrowed = await pool.acquire();
  const later = outcome(pool.acquire());
  await pass(SECOND);
  expect(later.error).toBeInstanceOf(AcquireTimeoutError);
  expect((later.error as Error).cause).toBeUndefined();
  pool.release(borrowed);
});

test("rejects the waiting caller with the login's error at once, and leaves the pool as before", async () => {
  const pool = aPool({ max: 2 });
  world.server.isDown = true;
  const startedAt = performance.now();
  const waiting = outcome(pool.acquire());
  await pass(world.server.loginMs);
  expect(waiting.error).toBeInstanceOf(ServerUnavailableError);
  expect(waiting.at).toBe(startedAt + world.server.loginMs);
  expect(pool.stats).toMatchObject({ size: 0, borrowed: 0, pending: 0, opening: 0, logins: 0, failedLogins: 1 });
  world.server.isDown = false;
  await opened(pool, 1);
  await opened(pool, 2);
  expect(pool.stats).toMatchObject({ size: 2, borrowed: 0, logins: 2, failedLogins: 1 });
});

test('logins that fail again and again take nothing from the pool', async () => {
  const pool = aPool({ max: 2, overlap: 0 });
  for (let i = 0; i < 20; i += 1) {
    world.server.refusals = [LOGIN_FAILED];
    const waiting = outcome(pool.acquire());
    await pass(world.server.loginMs);
    expect(waiting.error).toBeInstanceOf(LoginRefusedError);
  }
  const borrowed = await borrow(pool, 2);
  expect(pool.stats).toMatchObject({ size: 2, failedLogins: 20 });
  releaseAll(pool, borrowed);
});

test('a failed login rejects the callers that waited for it, not later ones', async () => {
  const pool = aPool({ max: 2 });
  await opened(pool, 1);
  world.server.cut();
  await pass(SECOND);
  const controller = new AbortController();
  world.server.loginMs = SECOND;
  const gone = outcome(pool.acquire({ signal: controller.signal }));
  await pass(500);
  controller.abort();
  world.server.refusals = [LOGIN_FAILED];
  await pass(SECOND);
  expect(gone.error).toBeInstanceOf(AbortedError);
  expect(pool.stats.failedLogins).toBe(1);
  expect(await borrow(pool, 1).then((borrowed) => releaseAll(pool, borrowed))).toBeUndefined();
});

test('a missing token is the cause of the acquire timeout', async () => {
  world.provider.sticky = 'hang';
  const pool = aPool({ max: 1, acquireTimeoutMillis: 2 * MINUTE });
  const waiting = outcome(pool.acquire());
  await pass(MINUTE);
  expect(waiting.error).toBeInstanceOf(TokenTimeoutError);
  expect(world.server.dials).toEqual([]);
  expect(pool.stats).toMatchObject({ failedLogins: 1, opening: 0, pending: 0 });
});

test('an AbortSignal ends a wait at once, in the queue as well as during a login', async () => {
  const pool = aPool({ max: 1 });
  const controller = new AbortController();
  const reason = new Error('request cancelled');
  world.server.loginMs = SECOND;
  const [during, queued] = [controller.signal, controller.signal].map((signal) => outcome(pool.acquire({ signal })));
  const patient = outcome(pool.acquire());
  await pass(100);
  controller.abort(reason);
  const abortedAt = performance.now();
  await pass(0);
  for (const left of [during, queued]) {
    expect(left?.error).toBeInstanceOf(AbortedError);
    expect(left).toMatchObject({ at: abortedAt, error: { cause: reason } });
  }
  await pass(SECOND);
  expect(patient.value).toBeDefined();
  pool.release(patient.value as Connection);
  expect(pool.stats).toMatchObject({ size: 1, borrowed: 0, pending: 0, logins: 1 });
});

test('a caller that has left is not reported as timed out later', async () => {
  const pool = aPool({ max: 1, acquireTimeoutMillis: 5 * SECOND });
  const borrowed = await borrow(pool, 1);
  const controller = new AbortController();
  const left = outcome(pool.acquire({ signal: controller.signal }));
  await pass(SECOND);
  controller.abort();
  await pass(5 * SECOND);
  expect(left.error).toBeInstanceOf(AbortedError);
  expect(world.events.filter(({ name }) => name === 'checkout:timed-out')).toEqual([]);
  releaseAll(pool, borrowed);
});

test('an aborted signal opens no connection', async () => {
  const pool = aPool({ max: 1 });
  await expect(pool.acquire({ signal: AbortSignal.abort() })).rejects.toBeInstanceOf(AbortedError);
  await pass(SECOND);
  expect(world.server.dials).toEqual([]);
});

test('a caller that aborts at the moment it is served leaves the connection in the pool', async () => {
  const pool = aPool({ max: 1 });
  const [borrowed] = (await borrow(pool, 1)) as [Connection];
  const controller = new AbortController();
  const waiting = outcome(pool.acquire({ signal: controller.signal }));
  await pass(0);
  const push = world.events.push.bind(world.events);
  world.events.push = (...events) => {
    if (events[0]?.name === 'checkout') controller.abort();
    return push(...events);
  };
  pool.release(borrowed);
  await pass(0);
  expect(waiting.error).toBeInstanceOf(AbortedError);
  expect(pool.stats).toMatchObject({ size: 1, available: 1, borrowed: 0, pending: 0 });
  world.events.push = push;
  expect(await pool.acquire()).toBe(borrowed);
  pool.release(borrowed);
});

test('a caller whose connection turns out to be broken keeps its position in the queue', async () => {
  const undecided = undecidedTest();
  const pool = aPool({ max: 1, validate: undecided.validate });
  await opened(pool, 1);
  const first = outcome(pool.acquire());
  const second = outcome(pool.acquire());
  await pass(SECOND);
  undecided.answer(false);
  await pass(world.server.loginMs + 1);
  expect(first.value).toBeDefined();
  expect(second.at).toBeUndefined();
  expect(pool.stats.evictions).toEqual({ broken: 1 });
  pool.release(first.value as Connection);
  await pass(0);
  expect(second.value).toBe(first.value);
  pool.release(second.value as Connection);
});

test('an idle connection that has failed is not handed out, although its socket is still open', async () => {
  const pool = aPool({ max: 1 });
  const [borrowed] = (await borrow(pool, 1)) as [Connection];
  pool.release(borrowed);
  borrowed.emit('error', new Error('read ECONNRESET'));
  const [next] = (await borrow(pool, 1)) as [Connection];
  expect(next).not.toBe(borrowed);
  expect((borrowed as unknown as DrivenConnection).closed).toBe(true);
  expect(pool.stats).toMatchObject({ size: 1, logins: 2, evictions: { broken: 1 } });
  pool.release(next);
});

test('idle connections are handed out before another is opened, even if some were cut', async () => {
  const pool = aPool({ max: 4 });
  const borrowed = (await borrow(pool, 4)) as Connection[];
  releaseAll(pool, borrowed);
  for (const connection of borrowed.slice(2)) (connection as unknown as DrivenConnection).end();
  await pass(SECOND);
  expect(pool.stats).toMatchObject({ size: 2, available: 2 });
  world.server.loginMs = SECOND;
  const callers = [1, 2, 3, 4].map(() => outcome(pool.acquire()));
  await pass(0);
  expect(callers.map(({ value }) => value !== undefined)).toEqual([true, true, false, false]);
  expect(new Set(callers.slice(0, 2).map(({ value }) => value))).toEqual(new Set(borrowed.slice(0, 2)));
  for (const { value } of callers.slice(0, 2)) expect(pool.isBorrowed(value as Connection)).toBe(true);
  await pass(SECOND);
  expect(callers.every(({ value }) => value !== undefined)).toBe(true);
  expect(pool.stats).toMatchObject({ size: 4, borrowed: 4, logins: 6 });
  releaseAll(
    pool,
    callers.map(({ value }) => value as Connection),
  );
  expect(pool.stats).toMatchObject({ size: 4, available: 4 });
});

test('a connection that was handed out in place of a cut one is still closed when it is idle for long', async () => {
  const pool = aPool({ max: 2, idleTimeoutMillis: MINUTE }, sqlLogin);
  const [one, two] = (await borrow(pool, 2)) as [Connection, Connection];
  releaseAll(pool, [one, two]);
  (two as unknown as DrivenConnection).end();
  await pass(SECOND);
  expect(await pool.acquire()).toBe(one);
  pool.release(one);
  await pass(MINUTE - 1);
  expect(pool.stats.size).toBe(1);
  await pass(1);
  expect(pool.stats).toMatchObject({ size: 0, evictions: { broken: 1, idle: 1 } });
});

test('twenty callers at once have one token request, twenty logins and no warning', async () => {
  const warnings: unknown[] = [];
  const onWarning = (warning: Error): unknown => warnings.push(warning);
  process.on('warning', onWarning);
  const pool = aPool({ max: 20 });
  const borrowed = await borrow(pool, 20);
  await new Promise<void>((resolve) => process.nextTick(resolve));
  expect(new Set(borrowed).size).toBe(20);
  expect(world.provider.requests).toHaveLength(1);
  expect(pool.stats).toMatchObject({ size: 20, borrowed: 20, logins: 20 });
  releaseAll(pool, borrowed);
  process.off('warning', onWarning);
  expect(warnings).toEqual([]);
});

test('never more than max and the overlap are open, however slow those are that close', async () => {
  const pool = aPool({ max: 2, overlap: 1, acquireTimeoutMillis: HOUR });
  world.server.closeMs = 10 * SECOND;
  const borrowed = await borrow(pool, 2);
  for (const connection of borrowed) pool.destroy(connection);
  const callers = [1, 2].map(() => outcome(pool.acquire()));
  await pass(world.server.loginMs);
  expect(callers.map(({ value }) => value !== undefined)).toEqual([true, false]);
  expect(world.server.connections.size).toBe(3);
  await pass(10 * SECOND + world.server.loginMs);
  expect(callers.map(({ value }) => value !== undefined)).toEqual([true, true]);
  expect(world.server.mostOpen).toBe(3);
  releaseAll(
    pool,
    callers.map(({ value }) => value as Connection),
  );
});

test('a closed pool rejects all callers', async () => {
  const pool = aPool();
  const closing = pool.close();
  await expect(pool.acquire()).rejects.toBeInstanceOf(PoolClosedError);
  await pass(0);
  await closing;
  await expect(pool.acquire()).rejects.toBeInstanceOf(PoolClosedError);
});

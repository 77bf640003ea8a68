import { syncBuiltinESMExports } from 'node:module';
import timers from 'node:timers/promises';
import type { Connection } from 'tedious';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { AbortedError, ConfigurationError, LoginRefusedError, StaleTokenError } from '../../src/errors.js';
import { type RetryOptions, withRetry } from '../../src/index.js';
import type { TokenPool } from '../../src/pool/token-pool.js';
import type { DrivenConnection } from '../support/driven-server.js';
import { driven, drivenWorld, LOGIN_FAILED, MINUTE, outcome, pass, SECOND, settled } from '../support/driven-world.js';

const real = { ...timers };

// Waits on the test's own clock, which that module does not know.
beforeEach(() => {
  timers.setImmediate = (() => new Promise((resolve) => setTimeout(resolve, 0))) as never;
  timers.setTimeout = ((ms: number, value: unknown, { signal }: { signal?: AbortSignal } = {}) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) reject(signal.reason);
      setTimeout(resolve, ms, value);
      signal?.addEventListener('abort', () => reject(signal.reason));
    })) as never;
  syncBuiltinESMExports();
});

afterEach(() => {
  Object.assign(timers, real);
  syncBuiltinESMExports();
});

const world = drivenWorld();
const { aPool, opened } = world;

const busy = (): Error => Object.assign(new Error('The service is currently busy.'), { number: 40501 });

/** Work that fails this often, with when it ran, ms since the start, and where. */
function failing(times: number, fail: (connection: Connection) => void) {
  const startedAt = performance.now();
  const ran = { at: [] as number[], on: [] as Connection[] };
  const work = async (connection: Connection): Promise<string> => {
    ran.at.push(Math.round((performance.now() - startedAt) / 100) * 100);
    ran.on.push(connection);
    if (ran.at.length <= times) fail(connection);
    return 'done';
  };
  return { ran, work };
}

async function aWarmPool(): Promise<TokenPool> {
  vi.spyOn(Math, 'random').mockReturnValue(0);
  const pool = aPool({ max: 3 });
  await opened(pool, 1);
  return pool;
}

test('work that succeeds runs once', async () => {
  const pool = await aWarmPool();
  const { ran, work } = failing(0, () => {});
  const tried = outcome(withRetry(pool, work));
  await pass(0);
  expect(settled(tried)).toBe('done');
  expect(ran.at).toEqual([0]);
  expect(pool.stats).toMatchObject({ size: 1, available: 1, logins: 1, evictions: {} });
});

test('a transient error: the work runs again after 5 s, 10 s, 20 s and 40 s, each time on a new connection, five tries in all', async () => {
  const pool = await aWarmPool();
  const { ran, work } = failing(9, () => {
    throw busy();
  });
  const tried = outcome(withRetry(pool, work));
  await pass(10 * MINUTE);
  expect(tried.error).toMatchObject({ number: 40501 });
  expect(ran.at).toEqual([0, 5_000, 15_000, 35_000, 75_000]);
  expect(new Set(ran.on).size).toBe(5);
  expect(pool.stats).toMatchObject({ borrowed: 0, size: 0, evictions: { 'destroyed-by-caller': 5 } });
});

test.each<[RetryOptions, number[]]>([
  [{ firstWaitMs: 20 * SECOND, maxTries: 6 }, [0, 20_000, 60_000, 120_000, 180_000, 240_000]],
  [{ firstWaitMs: SECOND, maxTries: 2 }, [0, 1_000]],
  [{ firstWaitMs: 0, maxTries: 3 }, [0, 0, 0]],
  [{ maxTries: 1 }, [0]],
])('%j sets how soon and how often', async (options, at) => {
  const pool = await aWarmPool();
  world.server.loginMs = 0;
  const { ran, work } = failing(99, () => {
    throw busy();
  });
  const tried = outcome(withRetry(pool, work, options));
  await pass(10 * MINUTE);
  expect(tried.error).toBeDefined();
  expect(ran.at).toEqual(at);
});

test('waits are longer by up to a tenth, so that clients do not retry in step', async () => {
  const pool = await aWarmPool();
  vi.spyOn(Math, 'random').mockReturnValue(0.999);
  const { ran, work } = failing(1, () => {
    throw busy();
  });
  const tried = outcome(withRetry(pool, work));
  await pass(6 * SECOND);
  expect(settled(tried)).toBe('done');
  expect(ran.at).toEqual([0, 5_500]);
});

test("the number of an error that another library wrapped is known from the server's messages", async () => {
  const pool = await aWarmPool();
  const { ran, work } = failing(1, (connection) => {
    driven(connection).emit('errorMessage', { number: 208, state: 1, class: 16, message: 'a warning before' });
    driven(connection).emit('errorMessage', { number: 40613, state: 1, class: 20, message: 'not available' });
    throw new Error('wrapped');
  });
  const tried = outcome(withRetry(pool, work));
  await pass(6 * SECOND);
  expect(settled(tried)).toBe('done');
  expect(ran.at).toEqual([0, 5_000]);
});

test('a single server confirmation is enough', async () => {
  const pool = await aWarmPool();
  const { ran, work } = failing(1, (connection) => {
    driven(connection).emit('errorMessage', { number: 49920, state: 1, class: 16, message: 'too many operations' });
    throw new Error('wrapped');
  });
  const tried = outcome(withRetry(pool, work));
  await pass(6 * SECOND);
  expect(settled(tried)).toBe('done');
  expect(ran.at).toEqual([0, 5_000]);
});

test("messages before the server's last one do not make an error transient", async () => {
  const pool = await aWarmPool();
  const { ran, work } = failing(9, (connection) => {
    driven(connection).emit('errorMessage', { number: 40613, state: 1, class: 20, message: 'not available' });
    driven(connection).emit('errorMessage', { number: 208, state: 1, class: 16, message: 'no such table' });
    throw new Error('wrapped');
  });
  const tried = outcome(withRetry(pool, work));
  await pass(MINUTE);
  expect(tried.error).toMatchObject({ message: 'wrapped' });
  expect(ran.at).toEqual([0]);
});

test('a session whose token is no longer accepted: the work runs again at once, then after a wait', async () => {
  const pool = await aWarmPool();
  const { ran, work } = failing(2, (connection) => {
    driven(connection).emit('errorMessage', { number: 37396, state: 1, class: 16, message: 'token is expired' });
    throw new Error('37396');
  });
  const tried = outcome(withRetry(pool, work));
  await pass(30 * SECOND);
  expect(settled(tried)).toBe('done');
  expect(ran.at).toEqual([0, 0, 10_000]);
  expect(new Set(ran.on).size).toBe(3);
});

test.each(['ESOCKET', 'ECLOSE', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT'])(
  '%s: again, if the connection is gone',
  async (code) => {
    const pool = await aWarmPool();
    const { ran, work } = failing(1, (connection) => {
      // The statement fails a moment before the connection notices.
      setTimeout(() => driven(connection).end(), 0);
      throw Object.assign(new Error('lost'), { code });
    });
    const tried = outcome(withRetry(pool, work));
    await pass(6 * SECOND);
    expect(settled(tried)).toBe('done');
    expect(ran.at).toEqual([0, 5_000]);
  },
);

test.each<[string, unknown]>([
  ['the code of a lost connection, of another socket than that of the connection', { code: 'ECONNRESET' }],
  ['a code of something else', { code: 'EREQUEST' }],
  ['an error of the server about the statement', { number: 208 }],
  ['undefined', undefined],
  ['null', null],
  ['a string', 'no'],
])('final: %s', async (_, error) => {
  const pool = await aWarmPool();
  const { ran, work } = failing(9, () => {
    throw error;
  });
  const tried = outcome(withRetry(pool, work).catch((thrown: unknown) => ({ thrown })));
  await pass(MINUTE);
  expect(settled(tried)).toEqual({ thrown: error });
  expect(ran.at).toEqual([0]);
  // The connection works, and returns to the pool.
  expect(pool.stats).toMatchObject({ borrowed: 0, logins: 1 });
  expect(pool.stats.evictions['destroyed-by-caller']).toBeUndefined();
});

test('a connection is not borrowed again if its error code says that it was lost, or if it is broken after another error', async () => {
  const pool = await aWarmPool();
  const { work } = failing(9, (connection) => {
    driven(connection).end();
    throw new Error('mine');
  });
  const tried = outcome(withRetry(pool, work));
  await pass(MINUTE);
  expect(tried.error).toMatchObject({ message: 'mine' });
  expect(pool.stats).toMatchObject({ borrowed: 0, size: 0, evictions: { broken: 1 } });
});

test('work may return its connection itself, whether it succeeds or fails', async () => {
  const pool = await aWarmPool();
  const well = outcome(withRetry(pool, (connection) => pool.release(connection)));
  await pass(0);
  settled(well);
  const { ran, work } = failing(1, (connection) => {
    pool.destroy(connection);
    throw busy();
  });
  const tried = outcome(withRetry(pool, work));
  await pass(6 * SECOND);
  expect(settled(tried)).toBe('done');
  expect(ran.at).toEqual([0, 5_000]);
  expect(pool.stats.borrowed).toBe(0);
});

test('a connection keeps no listener of the work that used it', async () => {
  const pool = await aWarmPool();
  const [connection] = [...world.server.connections] as [DrivenConnection];
  const before = connection.listenerCount('errorMessage');
  for (let i = 0; i < 3; i += 1) {
    const tried = outcome(withRetry(pool, () => i));
    await pass(0);
    expect(settled(tried)).toBe(i);
  }
  expect(connection.listenerCount('errorMessage')).toBe(before);
});

test('logins wait for a server that is unreachable', async () => {
  const pool = await aWarmPool();
  world.server.isDown = true;
  world.server.cut();
  await pass(SECOND);
  const { ran, work } = failing(0, () => {});
  const tried = outcome(withRetry(pool, work));
  await pass(4 * SECOND);
  world.server.isDown = false;
  await pass(6 * SECOND);
  expect(settled(tried)).toBe('done');
  expect(ran.at).toHaveLength(1);
});

test('a server that calls even fresh tokens expired is waited for', async () => {
  const pool = aPool({ max: 1 });
  const STALE = { number: 18456, state: 233, class: 14, message: 'Token is expired.' };
  world.server.refusals = [STALE, STALE];
  const tried = outcome(withRetry(pool, () => 'done'));
  await pass(SECOND);
  expect(tried.at).toBeUndefined();
  await pass(6 * SECOND);
  expect(settled(tried)).toBe('done');
  world.server.refusals = [STALE, STALE, STALE, STALE];
  world.server.cut();
  await pass(10 * SECOND);
  const last = outcome(withRetry(pool, () => 'done', { maxTries: 1 }));
  await pass(SECOND);
  expect(last.error).toBeInstanceOf(StaleTokenError);
});

test('a login that is refused permanently is not', async () => {
  const pool = aPool({ max: 1 });
  world.server.refusals = [LOGIN_FAILED];
  const tried = outcome(withRetry(pool, () => 'done'));
  await pass(SECOND);
  expect(tried.error).toBeInstanceOf(LoginRefusedError);
});

test('a signal ends the wait for a connection and the wait for the next try', async () => {
  const pool = await aWarmPool();
  const reason = new Error('enough');
  const controller = new AbortController();
  const { ran, work } = failing(9, () => {
    throw busy();
  });
  const tried = outcome(withRetry(pool, work, { signal: controller.signal }));
  await pass(SECOND);
  controller.abort(reason);
  await pass(0);
  expect(tried.error).toBeInstanceOf(AbortedError);
  expect(tried.error).toMatchObject({ message: 'The wait for the next attempt was aborted.', cause: reason });
  await pass(MINUTE);
  expect(ran.at).toEqual([0]);
  const late = outcome(withRetry(pool, work, { signal: controller.signal }));
  await pass(0);
  expect(late.error).toBeInstanceOf(AbortedError);
  expect(ran.at).toEqual([0]);
});

test.each([
  [{ maxTries: 0 }, 'maxTries must be 1 or more.'],
  [{ maxTries: Number.NaN }, 'maxTries must be 1 or more.'],
  [{ firstWaitMs: -1 }, 'firstWaitMs must be 0 or more, in ms.'],
  [{ firstWaitMs: Number.NaN }, 'firstWaitMs must be 0 or more, in ms.'],
])('%j is refused before anything is done', async (options, message) => {
  const pool = aPool({ max: 1 });
  const tried = outcome(withRetry(pool, () => 1, options));
  await pass(SECOND);
  expect(tried.error).toBeInstanceOf(ConfigurationError);
  expect(tried.error).toMatchObject({ message });
  expect(world.server.dials).toEqual([]);
});

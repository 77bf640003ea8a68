import type { Connection } from 'tedious';
import { beforeEach, expect, test, vi } from 'vitest';
import { type RetryOptions, withRetry } from '../../src/index.js';
import { driven, drivenWorld, MINUTE, outcome, pass, SECOND, settled } from '../support/driven-world.js';

const world = drivenWorld();

beforeEach(() => void vi.spyOn(Math, 'random').mockReturnValue(0));

const DEADLOCK = { number: 1205, state: 1, class: 13, message: 'Transaction was deadlocked.' };
const BUSY = { number: 40501, state: 1, class: 16, message: 'The service is busy.' };
const EXPIRED = { number: 37396, state: 1, class: 16, message: 'The token has expired.' };

/** Work that fails with each of these messages of the server in turn, and what it saw. */
function work(...failures: (typeof DEADLOCK)[]) {
  const tries: { at: number; connection: Connection }[] = [];
  return {
    tries,
    run(connection: Connection): string {
      tries.push({ at: performance.now(), connection });
      const failure = failures[tries.length - 1];
      if (failure === undefined) return 'done';
      driven(connection).emit('errorMessage', failure);
      // The libraries hide the number.
      throw new Error(failure.message);
    },
  };
}

async function retried(run: (connection: Connection) => unknown, options?: RetryOptions) {
  const pool = world.aPool({ max: 2 });
  const result = outcome(withRetry(pool, run, options));
  await pass(10 * MINUTE);
  expect(pool.stats.borrowed).toBe(0);
  return { pool, result };
}

const waits = (tries: { at: number }[]) => tries.slice(1).map(({ at }, i) => Math.round(at - (tries[i]?.at ?? 0)));

test('a deadlock victim runs again on the same connection, after short pauses that double', async () => {
  const { tries, run } = work(DEADLOCK, DEADLOCK, DEADLOCK);
  const { pool, result } = await retried(run);
  expect(settled(result)).toBe('done');
  expect(waits(tries)).toEqual([25, 50, 100]);
  expect(new Set(tries.map(({ connection }) => connection)).size).toBe(1);
  expect(pool.stats.logins).toBe(1);
  expect(tries[0]?.connection.listenerCount('errorMessage')).toBe(0);
});

test('where Azure SQL asks to try again later, the next try is on a fresh connection, after 5 s, 10 s, ...', async () => {
  const { tries, run } = work(BUSY, BUSY);
  const { pool, result } = await retried(run);
  expect(settled(result)).toBe('done');
  expect(waits(tries)).toEqual([5_010, 10_010]);
  expect(pool.stats.logins).toBe(3);
});

test('a session whose token is refused is replaced at once', async () => {
  const { tries, run } = work(EXPIRED);
  const { result } = await retried(run);
  expect(settled(result)).toBe('done');
  expect(waits(tries)).toEqual([world.server.loginMs]);
});

test.each<[options: RetryOptions | undefined, tries: number]>([
  [undefined, 5],
  [{ maxTries: 2 }, 2],
  [{ maxTries: 1 }, 1],
  [{ maxTries: 3, firstWaitMs: 0 }, 3],
])('with %j it gives up after %i tries, with the error of the last', async (options, count) => {
  const { tries, run } = work(...Array(9).fill(BUSY));
  const { result } = await retried(run, options as RetryOptions);
  expect(result.error).toMatchObject({ message: BUSY.message });
  expect(tries).toHaveLength(count);
  if (options?.firstWaitMs === 0) expect(waits(tries)).toEqual([10, 10]);
});

test('an error of the application is final, and the connection stays in the pool', async () => {
  let tries = 0;
  const { pool, result } = await retried(() => {
    tries += 1;
    throw new TypeError('no such property');
  });
  expect([tries, pool.stats.logins]).toEqual([1, 1]);
  expect(result.error).toBeInstanceOf(TypeError);
});

test('work may close or return its connection itself', async () => {
  const pool = world.aPool({ max: 1 });
  const destroyed = outcome(withRetry(pool, (connection) => pool.destroy(connection)));
  await pass(SECOND);
  settled(destroyed);
  const failed = outcome(
    withRetry(
      pool,
      (connection) => {
        pool.release(connection);
        driven(connection).emit('errorMessage', BUSY);
        throw new Error(BUSY.message);
      },
      { maxTries: 1 },
    ),
  );
  await pass(SECOND);
  expect(failed.error).toMatchObject({ message: BUSY.message });
  expect(pool.stats).toMatchObject({ borrowed: 0, available: 1 });
});

test('a server that cannot be reached is tried again', async () => {
  world.server.isDown = true;
  const pool = world.aPool({ max: 1, acquireTimeoutMillis: SECOND });
  const result = outcome(withRetry(pool, () => 'done'));
  await pass(3 * SECOND);
  world.server.isDown = false;
  await pass(MINUTE);
  expect(settled(result)).toBe('done');
});

test('a refused login is final', async () => {
  world.server.refusals = Array(9).fill({ number: 18470, state: 1, class: 14, message: 'The account is disabled.' });
  const { result } = await retried(() => 'done');
  expect(result.error).toMatchObject({ code: 'ERR_LOGIN_REFUSED', number: 18470 });
});

test('a signal ends the wait for a connection, and for the next try', async () => {
  const pool = world.aPool({ max: 1 });
  const end = new AbortController();
  const waiting = outcome(withRetry(pool, work(BUSY).run, { signal: end.signal }));
  await pass(2 * SECOND);
  const [only] = await world.borrow(pool, 1);
  const queued = outcome(withRetry(pool, () => 'done', { signal: end.signal }));
  await pass(0);
  end.abort(new Error('shutting down'));
  await pass(0);
  for (const { error } of [waiting, queued]) expect(error).toMatchObject({ code: 'ERR_ABORTED' });
  pool.release(only as Connection);
});

test.each([
  [{ maxTries: 0 }, 'maxTries must be 1 or more.'],
  [{ maxTries: Number.NaN }, 'maxTries must be 1 or more.'],
  [{ firstWaitMs: -1 }, 'firstWaitMs must be 0 or more, in ms.'],
  [{ firstWaitMs: Number.NaN }, 'firstWaitMs must be 0 or more, in ms.'],
  [{ retries: 1 }, "withRetry() has no option 'retries'; it has maxTries, firstWaitMs, signal."],
])('%j is refused', async (options, message) => {
  const { tries, run } = work();
  const { result } = await retried(run, options as RetryOptions);
  expect(result.error).toMatchObject({ code: 'ERR_CONFIGURATION', message });
  expect(tries).toEqual([]);
});

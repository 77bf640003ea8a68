import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { AcquireTimeoutError, ConfigurationError, PoolClosedError, TokenExpiredError } from '../../src/errors.js';
import { site } from '../support/pool.js';
import { query } from '../support/query.js';

test('a validate that never answers costs one caller a timeout, not the pool a connection', async () => {
  await using s = await site();
  let hang = true;
  const validate = (): boolean | Promise<boolean> => (hang ? new Promise<boolean>(() => {}) : true);
  const pool = s.pool({ pool: { max: 1, acquireTimeoutMillis: 1_000, validate } });
  await expect(pool.acquire()).rejects.toBeInstanceOf(AcquireTimeoutError);
  hang = false;
  expect(await pool.use((c) => query(c, 'SELECT 1'))).toEqual([[1]]);
  expect(pool.stats).toMatchObject({ size: 1, borrowed: 0, pending: 0 });
});

test('close() rejects a caller whose connection is being validated, and does not wait for the validation', async () => {
  await using s = await site();
  const asked = withResolvers();
  const validate = (): Promise<boolean> => {
    asked.resolve(undefined);
    return new Promise(() => {});
  };
  const pool = s.pool({ pool: { validate } });
  const caller = pool.acquire();
  await asked.promise;
  const closing = pool.close();
  await expect(caller).rejects.toBeInstanceOf(PoolClosedError);
  await closing;
  await expect.poll(() => s.server.connections.open).toBe(0);
});

test('near expiry, strictExpiry refuses without opening one connection after another', async () => {
  await using s = await site();
  // A provider that has only this one token, already inside its eviction margin (5 min) but still valid for a login.
  const token = s.entra.issueToken({ expiresInSeconds: 3600 });
  const expiresOnTimestamp = Date.now() + 3_600_000;
  const clock = { shift: 0 };
  const realNow = Date.now;
  Date.now = () => realNow() + clock.shift;
  try {
    const authentication = { getToken: async () => ({ token, expiresOnTimestamp }) };
    const pool = s.pool({ authentication, strictExpiry: true });
    pool.release(await pool.acquire());
    clock.shift = 56 * 60_000;
    for (let i = 0; i < 5; i += 1) await expect(pool.acquire()).rejects.toBeInstanceOf(TokenExpiredError);
  } finally {
    Date.now = realNow;
  }
  expect(s.server.logins).toHaveLength(1);
});

test('rejects with the error of a throwing beforeConnect, and leaves no connection open', async () => {
  await using s = await site();
  const pool = s.pool({
    beforeConnect: () => {
      throw new Error('mine');
    },
  });
  const error = await pool.acquire().catch((e: unknown) => e);
  expect(error).toBeInstanceOf(ConfigurationError);
  expect((error as Error).message).toContain('mine');
  expect(s.server.logins).toEqual([]);
  await expect.poll(() => s.server.connections.open).toBe(0);
});

test('acquireTimeoutMillis: Infinity waits, it does not fail at once', async () => {
  await using s = await site();
  const pool = s.pool({ pool: { max: 1, acquireTimeoutMillis: Number.POSITIVE_INFINITY } });
  const connection = await pool.acquire();
  const second = pool.acquire();
  await sleep(50);
  pool.release(connection);
  pool.release(await second);
});

test('min connections that the server refuses are tried less and less often', async () => {
  await using s = await site();
  s.server.failLogins({ number: 18456, state: 1, class: 14, message: 'Login failed for user.' });
  s.pool({ pool: { max: 5, min: 5 } });
  await sleep(3_500);
  // All five at the start; then one tries, after 1 s and after 2 s more.
  expect(s.server.logins.length).toBeGreaterThan(5);
  expect(s.server.logins.length).toBeLessThanOrEqual(8);
});

test('min is restored although the caller that waited for the connection gave up', async () => {
  await using s = await site();
  s.server.pause();
  const pool = s.pool({ pool: { max: 1, min: 1, acquireTimeoutMillis: 200 } });
  await expect(pool.acquire()).rejects.toBeInstanceOf(AcquireTimeoutError);
  s.server.dropConnections();
  s.server.resume();
  await expect.poll(() => pool.stats.size, { timeout: 10_000 }).toBe(1);
});

test('a connection that is borrowed for long does not keep others from a second one', async () => {
  await using s = await site({ entra: { tokenLifetimeSeconds: 1 } });
  const pool = s.pool({ pool: { max: 2, overlap: 0 } });
  const forgotten = await pool.acquire();
  const until = Date.now() + 2_500;
  while (Date.now() < until) {
    expect(await pool.use((c) => query(c, 'SELECT 1'))).toEqual([[1]]);
    await sleep(20);
  }
  pool.release(forgotten);
  expect(s.server.connections.most).toBeLessThanOrEqual(2);
});

function withResolvers(): { promise: Promise<unknown>; resolve: (value: unknown) => void } {
  let resolve: (value: unknown) => void = () => {};
  const promise = new Promise((r) => {
    resolve = r;
  });
  return { promise, resolve };
}

test('a successor that goes to another caller has renewed nothing', async () => {
  await using s = await site({ entra: { tokenLifetimeSeconds: 4 } });
  const pool = s.pool({ pool: { max: 2 } });
  let held = await pool.acquire();
  // Each return may start its renewal, but it is borrowed again before the successor is there; where that takes longer than
  // the old token lasts, it is replaced on its return, and the next one's successor is awaited.
  const successors = (): number => {
    const { logins, evictions, size } = pool.stats;
    return logins - Object.values(evictions).reduce((sum, closed) => sum + closed, 0) - size;
  };
  const borrowAgain = async (): Promise<number> => {
    if (successors() > 0) return successors();
    pool.release(held);
    held = await pool.acquire();
    return 0;
  };
  await expect.poll(borrowAgain, { timeout: 30_000 }).toBe(1);
  const { logins, renewals } = pool.stats;
  const other = await pool.acquire();
  expect(pool.stats).toMatchObject({ logins, renewals });
  for (const connection of [held, other]) pool.release(connection);
});

import { expect, test } from 'vitest';
import { AbortedError, PoolClosedError } from '../../src/index.js';
import { tarnFacade } from '../../src/pool/tarn-facade.js';
import { site } from '../support/pool.js';
import { query } from '../support/query.js';

test("a pool with tarn's interface: acquire, use, release", async () => {
  await using s = await site();
  const pool = tarnFacade(s.pool({ pool: { max: 1 } }));
  expect(pool.isEmpty()).toBe(true);
  const first = pool.acquire();
  expect(pool.numPendingAcquires() + pool.numPendingCreates()).toBeGreaterThan(0);
  const connection = await first.promise;
  expect([pool.numUsed(), pool.numFree(), pool.numPendingCreates()]).toEqual([1, 0, 0]);
  expect(await query(connection, 'SELECT 1')).toEqual([[1]]);

  const second = pool.acquire();
  expect(pool.numPendingAcquires()).toBe(1);
  expect(pool.release(connection)).toBe(true);
  expect(await second.promise).toBe(connection);
  pool.release(connection);
  expect([pool.numUsed(), pool.numFree()]).toEqual([0, 1]);
});

test('release of what is not borrowed is false, as in tarn, and never throws', async () => {
  await using s = await site();
  const pool = tarnFacade(s.pool());
  const { promise } = pool.acquire();
  const connection = await promise;
  expect(pool.release(connection)).toBe(true);
  expect(pool.release(connection)).toBe(false);
  expect(pool.release(undefined as never)).toBe(false);
});

test('a caller that gives up waiting leaves its connection to the next', async () => {
  await using s = await site();
  const pool = tarnFacade(s.pool({ pool: { max: 1 } }));
  const connection = await pool.acquire().promise;
  const impatient = pool.acquire();
  impatient.abort();
  await expect(impatient.promise).rejects.toBeInstanceOf(AbortedError);
  const next = pool.acquire();
  pool.release(connection);
  expect(await next.promise).toBe(connection);
  pool.release(connection);
  await expect.poll(() => pool.numUsed()).toBe(0);
});

test('destroy() waits for borrowed connections, and rejects new callers at once', async () => {
  await using s = await site();
  const pool = tarnFacade(s.pool());
  const connection = await pool.acquire().promise;
  const destroyed = pool.destroy();
  expect(pool.destroyed).toBe(true);
  await expect(pool.acquire().promise).rejects.toBeInstanceOf(PoolClosedError);
  expect(pool.release(connection)).toBe(true);
  await destroyed;
  await expect.poll(() => s.server.connections.open).toBe(0);
});

test('errors can be shown as those of the calling library', async () => {
  await using s = await site();
  s.server.failLogins({ number: 18456, state: 1, class: 14, message: 'no' });
  const pool = tarnFacade(s.pool(), { mapError: (error) => new TypeError('mapped', { cause: error }) });
  await expect(pool.acquire().promise).rejects.toBeInstanceOf(TypeError);
});

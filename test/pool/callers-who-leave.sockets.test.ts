import { expect, test } from 'vitest';
import { AbortedError } from '../../src/errors.js';
import { oneTokenOf } from '../support/one-token.js';
import { site } from '../support/pool.js';

test('an AbortSignal that fires right after the call ends the wait for a login', async () => {
  await using s = await site();
  const pool = s.pool({ pool: { max: 1 } });
  await pool.ready();
  // The permit stays in use.
  s.server.dropConnections();
  await expect.poll(() => pool.stats.size).toBe(0);
  s.server.pause();
  const controller = new AbortController();
  const waiting = pool.acquire({ signal: controller.signal });
  controller.abort();
  await expect(waiting).rejects.toBeInstanceOf(AbortedError);
});

test('pool.validate is not called for a caller that has left, and the connection stays', async () => {
  await using s = await site({ entra: { tokenLifetimeSeconds: 1 } });
  let asked = 0;
  const validate = async () => {
    asked += 1;
    // An unhandled rejection would end the process, and this test.
    if (asked > 1) throw new Error('asked again');
    return true;
  };
  const pool = s.pool({ authentication: oneTokenOf(s.entra.credential()), pool: { max: 1, validate } });
  await pool.ready();
  const end = s.server.logins[0]?.tokenExpiry ?? 0;
  await expect.poll(() => Date.now(), { timeout: 5_000 }).toBeGreaterThan(end);
  const controller = new AbortController();
  const waiting = pool.acquire({ signal: controller.signal });
  setImmediate(() => controller.abort());
  await expect(waiting).rejects.toBeInstanceOf(AbortedError);
  await new Promise(setImmediate);
  expect(asked).toBe(1);
  expect(pool.stats).toMatchObject({ size: 1, available: 1, evictions: {} });
});

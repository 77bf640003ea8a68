import { expect, test } from 'vitest';
import { PoolClosedError } from '../../src/errors.js';
import { oneTokenOf } from '../support/one-token.js';
import { site } from '../support/pool.js';

test('close() does not wait for a later token that a caller was waiting for', async () => {
  await using s = await site({ entra: { tokenLifetimeSeconds: 5 } });
  const authentication = oneTokenOf(s.entra.credential());
  const pool = s.pool({ authentication, strictExpiry: true, pool: { max: 1 } });
  await pool.ready();
  const end = s.server.logins[0]?.tokenExpiry ?? 0;
  await expect.poll(() => Date.now()).toBeGreaterThan(end);
  const waiting = pool.acquire();
  waiting.catch(() => undefined);
  await new Promise(setImmediate);
  const startedAt = performance.now();
  await pool.close({ timeoutMs: 60_000 });
  expect(performance.now() - startedAt).toBeLessThan(30_000);
  await expect(waiting).rejects.toBeInstanceOf(PoolClosedError);
});

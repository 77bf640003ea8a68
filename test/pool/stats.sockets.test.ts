import { expect, test } from 'vitest';
import { site } from '../support/pool.js';

test('reading stats requests no token: that could open a browser, or keep an idle pool busy at the identity provider', async () => {
  await using s = await site({ entra: { tokenLifetimeSeconds: 1 } });
  const credential = s.entra.credential();
  let asked = 0;
  let end: number | undefined;
  const getToken: typeof credential.getToken = async (...request) => {
    asked += 1;
    const token = await credential.getToken(...request);
    end = token.expiresOnTimestamp;
    return token;
  };
  const pool = s.pool({ authentication: { getToken } });
  expect(pool.stats.tokenExpiresOn).toBeUndefined();
  await new Promise(setImmediate);
  expect(asked).toBe(0);
  await pool.ready();
  expect(end).toBeDefined();
  expect(pool.stats.tokenExpiresOn).toBe(end);
  await pool.close();
  const before = asked;
  await expect.poll(() => Date.now(), { timeout: 5_000 }).toBeGreaterThan(end as number);
  expect(pool.stats.tokenExpiresOn).toBeUndefined();
  await new Promise(setImmediate);
  expect(asked).toBe(before);
});

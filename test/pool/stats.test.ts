import { expect, test } from 'vitest';
import { site } from '../support/pool.js';

test('reading stats does not ask for a token: that may open a browser, or keep an idle pool at the identity provider', async () => {
  await using s = await site({ entra: { tokenLifetimeSeconds: 1 } });
  const credential = s.entra.credential();
  let asked = 0;
  const getToken: typeof credential.getToken = (...request) => {
    asked += 1;
    return credential.getToken(...request);
  };
  const pool = s.pool({ authentication: { getToken } });
  expect(pool.stats.tokenExpiresOn).toBeUndefined();
  await new Promise(setImmediate);
  expect(asked).toBe(0);
  await pool.ready();
  const end = s.server.logins[0]?.tokenExpiry ?? 0;
  expect(pool.stats.tokenExpiresOn).toBe(end);
  await pool.close();
  const before = asked;
  await expect.poll(() => Date.now(), { timeout: 5_000 }).toBeGreaterThan(end);
  expect(pool.stats.tokenExpiresOn).toBeUndefined();
  await new Promise(setImmediate);
  expect(asked).toBe(before);
});

import { expect, test } from 'vitest';
import { site } from '../support/pool.js';
import { SocketsClock } from '../support/sockets-clock.js';

const MINUTE = 60_000;

test('a provider that returns the same token until it has nearly expired: each connection is replaced once per token', async () => {
  using clock = new SocketsClock();
  await using s = await site({ entra: { tokenLifetimeSeconds: 3_600 }, server: clock.serverOptions });
  // As a managed identity may: no new token before the last two minutes of the old one.
  const credential = s.entra.credential();
  let held = { token: '', expiresOnTimestamp: 0 };
  let asked = 0;
  const authentication = {
    getToken: async (scopes: string | string[]) => {
      asked += 1;
      if (Date.now() > held.expiresOnTimestamp - 2 * MINUTE) held = await credential.getToken(scopes);
      return held;
    },
  };
  const pool = s.pool({ ...clock.config, authentication, pool: { max: 4, min: 4 } });
  await clock.passUntil(() => pool.stats.size === 4, 10_000);
  await clock.pass(57 * MINUTE, 5_000);
  // Inside the eviction margin, but there is nothing better: no login, and few requests to the provider.
  expect(clock.dials).toHaveLength(4);
  expect(asked).toBeLessThanOrEqual(20);

  await clock.pass(110 * MINUTE, 5_000);
  expect(s.entra.requests).toHaveLength(3);
  expect(clock.dials).toHaveLength(12);
  expect(pool.stats).toMatchObject({ size: 4, failedLogins: 0 });
});

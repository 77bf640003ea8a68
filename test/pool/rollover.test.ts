import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { site } from '../support/pool.js';
import { query } from '../support/query.js';

test('a busy pool lives through many tokens: no query fails, no login is refused, never more than max + 1 connections', async () => {
  await using s = await site({ entra: { tokenLifetimeSeconds: 1 } });
  const pool = s.pool({ pool: { max: 5 } });
  const tokens = (): number => s.entra.requests.length;
  let queries = 0;

  await Promise.all(
    Array.from({ length: 20 }, async () => {
      while (tokens() < 8) {
        expect(await pool.use((connection) => query(connection, 'SELECT 1'))).toEqual([[1]]);
        queries += 1;
        await sleep(5);
      }
    }),
  );

  expect(queries).toBeGreaterThan(100);
  expect(pool.stats).toMatchObject({ failedLogins: 0 });
  expect(pool.stats.renewals).toBeGreaterThan(0);
  expect(s.server.logins.filter((login) => login.error !== undefined)).toEqual([]);
  expect(s.server.connections.most).toBeLessThanOrEqual(6);
  await pool.close();
  await expect.poll(() => s.server.connections.open).toBe(0);
});

test('no connection outlives its token by being idle: it is closed or renewed in the background', async () => {
  await using s = await site({ entra: { tokenLifetimeSeconds: 1 } });
  const pool = s.pool({ pool: { max: 3, min: 1 } });
  const lent = await Promise.all([pool.acquire(), pool.acquire(), pool.acquire()]);
  for (const connection of lent) pool.release(connection);
  const [first] = s.server.logins;

  // Nobody asks for a connection any more. The one of `min` is renewed again and again, by its own doing.
  await expect
    .poll(() => s.server.logins.at(-1)?.tokenExpiry ?? 0, { timeout: 10_000 })
    .toBeGreaterThan((first?.tokenExpiry ?? 0) + 1_000);
  expect(s.server.connections.open).toBeLessThanOrEqual(4);
});

import { expect, test } from 'vitest';
import { createCredential } from '../../src/credentials/create-credential.js';
import { DrivenClock } from '../support/driven-clock.js';
import { type Site, site } from '../support/pool.js';
import { query } from '../support/query.js';
import { SocketsClock } from '../support/sockets-clock.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const ONE_HOUR_TOKENS = { tokenLifetimeSeconds: 3_600 };

/** Entra says how long a token lives (`expires_in`), not until when: a wrong clock does not make it too long. */
function application({ entra }: Site): object {
  const { tenantId, clientId, clientSecret, url } = entra;
  return createCredential({ tenantId, clientId, clientSecret, authority: url });
}

test('a process that was frozen for two hours: its callers get new connections on one new token', async () => {
  using clock = new DrivenClock(Date.now()).install({ timers: false });
  await using s = await site({ entra: ONE_HOUR_TOKENS, server: { now: () => Date.now() } });
  const pool = s.pool({ authentication: application(s), pool: { max: 5 } });
  const borrowed = await Promise.all(Array.from({ length: 5 }, () => pool.acquire()));
  for (const connection of borrowed) pool.release(connection);

  clock.suspend(2 * HOUR);
  const served = await Promise.all(
    Array.from({ length: 50 }, () => pool.use(async (c) => [c, await query(c, 'SELECT 1')] as const)),
  );
  for (const [connection, rows] of served) {
    expect(borrowed).not.toContain(connection);
    expect(rows).toEqual([[1]]);
  }
  expect(s.entra.requests).toHaveLength(2);
  expect(s.server.logins.length).toBeLessThanOrEqual(10);
  for (const { accepted, time, tokenExpiry } of s.server.logins) {
    expect(accepted).toBe(true);
    expect((tokenExpiry ?? 0) - time).toBeGreaterThan(HOUR / 60);
  }
});

test('connections that are kept idle are replaced within half a minute of the jump, without a caller', async () => {
  using clock = new SocketsClock();
  await using s = await site({ entra: ONE_HOUR_TOKENS, server: { ...clock.serverOptions, now: () => Date.now() } });
  const pool = s.pool({ ...clock.config, authentication: application(s), pool: { max: 4, min: 4 } });
  await clock.passUntil(() => pool.stats.size === 4, 10_000);
  // Until nothing is due for the next 40 minutes.
  await clock.pass(60_000);

  clock.jump(2 * HOUR);
  clock.restart();
  await clock.passUntil(() => s.server.logins.length >= 8, 40_000);
  await clock.passUntil(() => pool.stats.available === 4, 5_000);
  expect(s.server.logins.slice(4).every(({ accepted }) => accepted)).toBe(true);
  expect(s.server.logins).toHaveLength(8);
  expect(s.entra.requests).toHaveLength(2);
});

test('a clock that was set back by two hours: an expired token is refused once and replaced, unnoticed by callers', async () => {
  using clock = new DrivenClock(Date.now()).install({ timers: false });
  const now = (): number => clock.trueTime;
  await using s = await site({ entra: { ...ONE_HOUR_TOKENS, now }, server: { now } });
  const pool = s.pool({ authentication: application(s), pool: { max: 3 } });
  const first = await pool.acquire();
  clock.jump(-2 * HOUR);
  // An hour and a half passes; by this clock, the token is as good as new, or better.
  clock.suspend(1.5 * HOUR);

  const others = await Promise.all([pool.acquire(), pool.acquire()]);
  expect(await Promise.all(others.map((c) => query(c, 'SELECT 1')))).toEqual([[[1]], [[1]]]);
  // P8: the borrowed connection keeps serving, and is closed when it is returned.
  expect(await query(first, 'SELECT 1')).toEqual([[1]]);
  pool.release(first);
  expect(pool.stats.evictions).toEqual({ 'token-invalidated': 1 });
  expect(s.entra.requests).toHaveLength(2);
  expect(s.server.logins.filter(({ accepted }) => !accepted).length).toBeLessThanOrEqual(2);
  for (const connection of others) pool.release(connection);
});

test("a clock that is fast by more than a token's lifetime is named as the reason, and does no harm once it is corrected", async () => {
  using clock = new DrivenClock(Date.now()).install({ timers: false });
  const now = (): number => clock.trueTime;
  await using s = await site({ entra: { ...ONE_HOUR_TOKENS, now }, server: { now } });
  clock.jump(2 * HOUR);
  const pool = s.pool({ authentication: application(s), pool: { max: 3 } });
  await expect(pool.acquire()).rejects.toMatchObject({
    code: 'ERR_TOKEN_EXPIRED',
    hint: expect.stringContaining('clock'),
  });
  clock.jump(-2 * HOUR);
  clock.freeze(MINUTE);
  const connection = await pool.acquire();
  expect(await query(connection, 'SELECT 1')).toEqual([[1]]);
  pool.release(connection);
});

import { expect, test } from 'vitest';
import { LoginRefusedError, StaleTokenError } from '../../src/errors.js';
import { DrivenClock } from '../support/driven-clock.js';
import { site } from '../support/pool.js';
import { query } from '../support/query.js';
import { SocketsClock } from '../support/sockets-clock.js';

const MINUTE = 60_000;
const ONE_HOUR_TOKENS = { tokenLifetimeSeconds: 3_600 };
const STALE = { number: 18456, state: 233, class: 14, message: 'Token is expired.' };
const ANONYMOUS = {
  ...{ number: 18456, state: 1, class: 14 },
  message: "Login failed for user 'NT AUTHORITY\\ANONYMOUS LOGON'.",
};
const NO_USER = { ...ANONYMOUS, message: "Login failed for user '<token-identified principal>'." };

test.each([ANONYMOUS, NO_USER])(
  '$message of a token that is not fresh: once more, with a fresh one',
  async (refusal) => {
    using clock = new DrivenClock(Date.now()).install({ timers: false });
    await using s = await site({ entra: ONE_HOUR_TOKENS, server: { now: () => Date.now() } });
    const pool = s.pool({ pool: { max: 3 } });
    const first = await pool.acquire();
    clock.suspend(10 * MINUTE);
    s.server.failLogins({ ...refusal, count: 1 });
    const second = await pool.acquire();
    expect(await query(second, 'SELECT 1')).toEqual([[1]]);
    expect(s.entra.requests).toHaveLength(2);
    expect(s.server.logins).toHaveLength(3);
    pool.release(second);
    pool.release(first);
    expect(pool.stats.evictions).toEqual({ 'token-invalidated': 1 });
  },
);

test('rejects after two attempts when a fresh token does not help, without requesting another', async () => {
  using clock = new DrivenClock(Date.now()).install({ timers: false });
  await using s = await site({ entra: ONE_HOUR_TOKENS, server: { now: () => Date.now() } });
  const pool = s.pool();
  const first = await pool.acquire();
  clock.suspend(10 * MINUTE);
  s.server.failLogins(NO_USER);
  await expect(pool.acquire()).rejects.toBeInstanceOf(LoginRefusedError);
  expect(s.server.logins).toHaveLength(3);
  expect(s.entra.requests).toHaveLength(2);
  clock.suspend(10 * MINUTE);
  for (let i = 0; i < 3; i += 1) await expect(pool.acquire()).rejects.toMatchObject({ number: 18456, state: 1 });
  expect(s.server.logins).toHaveLength(6);
  expect(s.entra.requests).toHaveLength(2);
  pool.release(first);
});

test('a hang-up after a token near its end was sent is an expired token: once more, with a fresh one', async () => {
  using clock = new DrivenClock(Date.now()).install({ timers: false });
  await using s = await site({ entra: ONE_HOUR_TOKENS, server: { now: () => Date.now() } });
  const credential = s.entra.credential();
  let answers = 0;
  // The background refresh takes time; the old token is valid for logins until a minute before its expiry.
  const authentication = {
    getToken: async (scopes: string | string[]) => {
      answers += 1;
      if (answers === 2) await expect.poll(() => s.server.logins.length).toBe(2);
      return credential.getToken(scopes);
    },
  };
  const pool = s.pool({ authentication, pool: { max: 2 } });
  const first = await pool.acquire();
  clock.suspend(57 * MINUTE);
  s.server.failLogins({ drop: 'after-fedauth', count: 1 });
  const second = await pool.acquire();
  expect(await query(second, 'SELECT 1')).toEqual([[1]]);
  expect(s.server.logins.map(({ accepted }) => accepted)).toEqual([true, false, true]);
  expect(s.server.logins[2]?.tokenExpiry).toBeGreaterThan(Date.now() + 59 * MINUTE);
  expect(answers).toBe(2);
  pool.release(first);
  pool.release(second);
});

test('a token that is refused before its expiry is discarded for all pools of its identity, with one request', async () => {
  await using s = await site({ entra: ONE_HOUR_TOKENS });
  const authentication = s.entra.credential();
  const [one, other] = [s.pool({ authentication }), s.pool({ authentication })];
  const [borrowed, theirs] = [await one.acquire(), await other.acquire()];
  s.server.failLogins({ ...STALE, count: 1 });
  const second = await one.acquire();
  const theirSecond = await other.acquire();
  expect(s.entra.requests).toHaveLength(2);
  const [refused, ...later] = s.server.logins.slice(2);
  expect(refused?.accepted).toBe(false);
  expect(new Set(later.map(({ tokenExpiry }) => tokenExpiry)).size).toBe(1);
  for (const connection of [borrowed, second]) one.release(connection);
  for (const connection of [theirs, theirSecond]) other.release(connection);
});

test('a server that calls every token expired: one forced refresh every 5 s, however many callers there are', async () => {
  using clock = new SocketsClock();
  await using s = await site({ entra: ONE_HOUR_TOKENS, server: clock.serverOptions });
  const pool = s.pool({ ...clock.config, pool: { max: 3 } });
  s.server.failLogins(STALE);
  let over = false;
  const callers = Array.from({ length: 5 }, async () => {
    while (!over) {
      const error = await pool.acquire().catch((e: unknown) => e);
      if (!over) expect(error).toBeInstanceOf(StaleTokenError);
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
  });
  await clock.pass(21_000);
  over = true;
  await clock.pass(1_000);
  await Promise.all(callers);
  // The first token, a fresh one at once, and then one each 5 s: at 5, 10, 15 and 20.
  const [first = 0, ...refreshes] = s.entra.requests.map(({ time }) => time);
  expect(refreshes.length).toBeGreaterThanOrEqual(4);
  for (const [i, time] of refreshes.entries()) expect(time - first).toBeGreaterThanOrEqual(i * 5_000);
  expect(pool.stats).toMatchObject({ size: 0, borrowed: 0, pending: 0 });
});

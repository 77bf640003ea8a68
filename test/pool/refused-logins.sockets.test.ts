import { expect, test } from 'vitest';
import { LoginRefusedError, ServerUnavailableError, StaleTokenError, TokenPoolError } from '../../src/errors.js';
import { site } from '../support/pool.js';
import { query } from '../support/query.js';
import { unusedPort } from '../support/unused-port.js';

test('a server that is down: every waiting caller gets the real error at once', async () => {
  await using s = await site();
  const pool = s.pool({ port: await unusedPort(), pool: { max: 3 } });
  const results = await Promise.allSettled(Array.from({ length: 10 }, () => pool.acquire()));
  for (const result of results) {
    const { reason } = result as PromiseRejectedResult;
    expect(reason).toBeInstanceOf(ServerUnavailableError);
    expect(reason.message).toContain('ECONNREFUSED');
    expect(reason.hint).toMatch(/server is running/);
  }
  expect(pool.stats).toMatchObject({ size: 0, borrowed: 0, pending: 0 });
});

test.each([
  [{ number: 18456, state: 1, message: "Login failed for user '<token-identified principal>'." }, /CREATE USER/],
  [
    { number: 18456, state: 235, message: 'The server is not currently configured to accept this token.' },
    /Entra admin/,
  ],
  [{ number: 18456, state: 1, message: "Login failed for user 'NT AUTHORITY\\ANONYMOUS LOGON'." }, /Entra admin/],
  [{ number: 4060, state: 1, message: 'Cannot open database "x" requested by the login.' }, /database name/],
  [
    { number: 40615, state: 1, message: "Cannot open server 'x': client with IP address '1.2.3.4' is not allowed." },
    /firewall/,
  ],
])('refusal %o keeps number, state and text, says what to do, and is not tried again', async (refusal, hint) => {
  await using s = await site();
  s.server.failLogins({ class: 14, ...refusal });
  const error = await s
    .pool()
    .acquire()
    .catch((e: unknown) => e);
  expect(error).toBeInstanceOf(LoginRefusedError);
  expect(error).toMatchObject({ number: refusal.number, state: refusal.state, class: 14, message: refusal.message });
  expect((error as TokenPoolError).hint).toMatch(hint);
  expect(s.server.logins).toHaveLength(1);
});

test('retries a login refused as stale once, with a fresh token, unnoticed by the caller', async () => {
  await using s = await site();
  const pool = s.pool();
  s.server.failLogins({ number: 18456, state: 233, class: 14, message: 'Token is expired.', count: 1 });
  expect(await pool.use((connection) => query(connection, 'SELECT 1'))).toEqual([[1]]);
  expect(s.entra.requests).toHaveLength(2);
  expect(s.server.logins.map((login) => login.accepted)).toEqual([false, true]);
});

test('when a token is refused before its expiry, idle connections on it are closed too', async () => {
  await using s = await site();
  const pool = s.pool({ pool: { max: 3 } });
  const borrowed = await Promise.all([pool.acquire(), pool.acquire()]);
  for (const connection of borrowed) pool.release(connection);
  const held = [await pool.acquire(), await pool.acquire()];
  pool.release(held[0] as (typeof held)[0]);
  const inUse = held[1] as (typeof held)[0];
  // Both idle and borrowed connections live on the first token; a third login with it is refused.
  const idle = await pool.acquire();
  s.server.failLogins({ number: 18456, state: 233, class: 14, message: 'Token is expired.', count: 1 });
  const third = await pool.acquire();
  expect(pool.stats.logins).toBe(3);
  pool.release(third);
  pool.release(idle);
  // P8: the borrowed connection still works, and is closed when it is returned.
  expect(await query(inUse, 'SELECT 1')).toEqual([[1]]);
  pool.release(inUse);
  expect(pool.stats).toMatchObject({ size: 1, evictions: { 'token-invalidated': 2 } });
});

test('a login that stays stale is a StaleTokenError after exactly two tries', async () => {
  await using s = await site();
  s.server.failLogins({ number: 18456, state: 233, class: 14, message: 'Token is expired.' });
  const error = await s
    .pool()
    .acquire()
    .catch((e: unknown) => e);
  expect(error).toBeInstanceOf(StaleTokenError);
  expect(error).toMatchObject({ code: 'ERR_STALE_TOKEN', number: 18456, state: 233 });
  expect(s.server.logins).toHaveLength(2);
  expect(s.entra.requests).toHaveLength(2);
});

test.each(['before-login7', 'after-login7', 'after-fedauth'] as const)(
  'a server that drops the connection %s: a typed error with the cause',
  async (drop) => {
    await using s = await site();
    s.server.failLogins({ drop });
    const error = await s
      .pool()
      .acquire()
      .catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ServerUnavailableError);
    expect((error as Error).message).not.toBe('');
    expect((error as Error).cause).toBeInstanceOf(Error);
  },
);

test('an identity provider that fails: one typed error with the cause for all waiters, and no login', async () => {
  await using s = await site();
  s.entra.fail({ status: 500, count: 1 });
  const pool = s.pool();
  const results = await Promise.allSettled(Array.from({ length: 20 }, () => pool.acquire()));
  const reasons = new Set(results.map((result) => (result as PromiseRejectedResult).reason.code));
  expect([...reasons]).toHaveLength(1);
  for (const result of results) {
    const { reason } = result as PromiseRejectedResult;
    expect(reason).toBeInstanceOf(TokenPoolError);
    expect(reason.retryAfterMs).toBeGreaterThan(0);
    expect(reason.cause).toBeInstanceOf(Error);
  }
  expect(s.entra.requests).toHaveLength(1);
  expect(s.server.logins).toHaveLength(0);
});

test('a login that fails after its caller has left does not reject the next caller', async () => {
  await using s = await site();
  const pool = s.pool({ pool: { max: 2 } });
  const first = await pool.acquire();
  s.server.failLogins({ drop: true, count: 1 });
  const second = pool.acquire();
  await new Promise(setImmediate); // The login for the second caller has begun; one that is not needed any more would not.
  // Serves the second caller before that login has failed.
  pool.release(first);
  const served = await second;
  await expect.poll(() => pool.stats.failedLogins).toBe(1);

  const third = await pool.acquire();
  expect(await query(third, 'SELECT 1')).toEqual([[1]]);
  pool.release(third);
  pool.release(served);
});

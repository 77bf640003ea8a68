import { expect, test } from 'vitest';
import { createCredential } from '../../src/credentials/create-credential.js';
import { type CredentialError, TokenUnavailableError } from '../../src/errors.js';
import type { Fault } from '../../src/testing/index.js';
import { DrivenClock } from '../support/driven-clock.js';
import { type Site, site } from '../support/pool.js';
import { query } from '../support/query.js';

const MINUTE = 60_000;

const TROUBLES: [name: string, fault: () => Fault][] = [
  ['answers 500', () => ({ status: 500 })],
  ['answers 429 with Retry-After in seconds', () => ({ status: 429, retryAfter: 7 })],
  ['answers 429 with Retry-After as a date', () => ({ status: 429, retryAfter: new Date(Date.now() + 20_000) })],
  ['answers HTML', () => ({ status: 503, body: '<html>Sorry</html>' })],
  ['resets the connection', () => ({ reset: true })],
  ['hangs', () => ({ hang: true })],
  ['is slow', () => ({ delayMs: 5_000 })],
];

/** Real MSAL over HTTP; a request is given up after 1 s instead of 10. */
function impatient({ entra }: Site): object {
  const { tenantId, clientId, clientSecret, url } = entra;
  return { ...createCredential({ tenantId, clientId, clientSecret, authority: url }), requestTimeoutMs: 1_000 };
}

test.each(TROUBLES)(
  'with a valid token no caller waits or fails while the identity provider %s',
  async (_name, fault) => {
    // Only the clocks are driven; sockets and timers are real.
    using clock = new DrivenClock(Date.now()).install({ timers: false });
    await using s = await site({ entra: { tokenLifetimeSeconds: 3_600 } });
    const pool = s.pool({ authentication: impatient(s), pool: { max: 5, acquireTimeoutMillis: 3_000 } });
    await pool.ready();
    expect(s.entra.requests).toHaveLength(1);

    clock.freeze(51 * MINUTE);
    s.entra.fail(fault());
    // Each round needs new logins, which take the token that is still good for nine minutes.
    for (let round = 0; round < 3; round += 1) {
      const borrowed = await Promise.all(Array.from({ length: 5 }, () => pool.acquire()));
      for (const connection of borrowed) {
        expect(await query(connection, 'SELECT 1')).toEqual([[1]]);
        pool.destroy(connection);
      }
    }
    expect(s.server.logins.filter((login) => !login.accepted)).toEqual([]);
    // One refresh was tried; after it failed the provider is left alone for 5 s or as long as it asked.
    expect(s.entra.requests).toHaveLength(2);
  },
);

test.each(TROUBLES)(
  'without a token all waiters get one typed error when the identity provider %s',
  async (_name, fault) => {
    await using s = await site();
    s.entra.fail(fault());
    const pool = s.pool({ authentication: impatient(s) });
    const results = await Promise.allSettled(Array.from({ length: 30 }, () => pool.acquire()));
    const reasons = results.map((result) => (result as PromiseRejectedResult).reason as CredentialError);
    for (const reason of reasons) {
      expect(reason).toBeInstanceOf(TokenUnavailableError);
      expect(reason.message).not.toBe('');
    }
    expect(new Set(reasons.map((reason) => reason.message)).size).toBe(1);
    expect(s.server.logins).toHaveLength(0);

    // The next caller is rejected at once, without another request.
    const again = await pool.acquire().catch((error: CredentialError) => error);
    expect(again).toMatchObject({ code: reasons[0]?.code, retryAfterMs: expect.any(Number) });
    expect((again as CredentialError).retryAfterMs).toBeGreaterThan(3_000);
    expect(s.entra.requests).toHaveLength(1);
  },
);

test('rejects callers with the Retry-After of the provider', async () => {
  await using s = await site();
  s.entra.fail({ status: 429, retryAfter: 33 });
  const pool = s.pool({ authentication: impatient(s) });
  const error = (await pool.acquire().catch((e: unknown) => e)) as CredentialError;
  expect(error).toMatchObject({ code: 'ERR_TOKEN_THROTTLED', status: 429 });
  expect(error.retryAfterMs).toBeGreaterThanOrEqual(32_000);
});

test('a wrong secret rejects callers without repeated requests to the provider', async () => {
  await using s = await site();
  const { tenantId, clientId, url } = s.entra;
  const secret = 'a-wrong-secret-value';
  const pool = s.pool({ authentication: { tenantId, clientId, clientSecret: secret, authority: url } });
  for (let i = 0; i < 5; i += 1) {
    const error = (await pool.acquire().catch((e: unknown) => e)) as CredentialError;
    expect(error).toMatchObject({ code: 'ERR_CREDENTIAL_REJECTED', aadsts: 7000215 });
    expect(JSON.stringify(error) + error.stack + String(error.cause)).not.toContain(secret);
  }
  expect(s.entra.requests).toHaveLength(1);
});

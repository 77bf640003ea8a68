import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, expect, onTestFinished, test, vi } from 'vitest';
import { createCredential } from '../../src/credentials/create-credential.js';
import { ClientSockets } from '../support/client-sockets.js';
import { type Site, site } from '../support/pool.js';
import { query } from '../support/query.js';

const realSetTimeout = globalThis.setTimeout;
const pause = (ms: number): Promise<void> => new Promise((resolve) => realSetTimeout(resolve, ms));

afterEach(() => void vi.useRealTimers());

/** Clocks and timers are driven, sockets are real: an hour passes in a second, but never in the middle of a login. */
function driveClock(): void {
  vi.useFakeTimers({
    toFake: ['Date', 'performance', 'setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'],
    now: Date.now(),
  });
}

const PATIENT = { connectionTimeout: 86_400_000, requestTimeout: 0 };

/** A credential, and whether somebody is waiting for it: no clock moves then either. */
function watched({ entra }: Site): { authentication: object; asking: () => boolean } {
  const { tenantId, clientId, clientSecret, url } = entra;
  const credential = createCredential({ tenantId, clientId, clientSecret, authority: url });
  let asking = 0;
  subscribe('mssql-token-pool:token:requested', () => (asking += 1));
  for (const end of ['refreshed', 'failed']) subscribe(`mssql-token-pool:token:${end}`, () => (asking -= 1));
  return { authentication: { ...credential, requestTimeoutMs: 2 ** 31 - 1 }, asking: () => asking > 0 };
}

test('a busy pool lives through many tokens: no query fails, no login is refused, never more than max + 1 connections', async () => {
  driveClock();
  await using s = await site({ entra: { tokenLifetimeSeconds: 3_600 }, server: { loginTimeoutMs: 2 ** 31 - 1 } });
  using sockets = new ClientSockets(s.server.port);
  const { authentication, asking } = watched(s);
  const pool = s.pool({ ...PATIENT, authentication, pool: { max: 5, acquireTimeoutMillis: 2 ** 31 - 1 } });
  await pool.ready();
  const enough = (): boolean => s.entra.requests.length >= 4;
  let queries = 0;

  const callers = Array.from({ length: 10 }, async () => {
    while (!enough()) {
      expect(await pool.use((connection) => query(connection, 'SELECT 1'))).toEqual([[1]]);
      queries += 1;
      await pause(1);
    }
  });
  while (!enough()) {
    if (pool.stats.opening === 0 && !asking()) await vi.advanceTimersByTimeAsync(5_000);
    await pause(2);
  }
  await Promise.all(callers);

  expect(queries).toBeGreaterThan(100);
  expect(pool.stats).toMatchObject({ failedLogins: 0 });
  expect(pool.stats.renewals).toBeGreaterThan(0);
  expect(s.server.logins.filter((login) => login.error !== undefined)).toEqual([]);
  expect(sockets.most).toBeLessThanOrEqual(6);
  expect(s.server.connections.most).toBeLessThanOrEqual(6);
  vi.useRealTimers();
  await pool.close();
  await expect.poll(() => s.server.connections.open).toBe(0);
});

test('a connection of min that nobody uses is renewed in the background, again and again', async () => {
  driveClock();
  await using s = await site({ entra: { tokenLifetimeSeconds: 3_600 }, server: { loginTimeoutMs: 2 ** 31 - 1 } });
  const { authentication, asking } = watched(s);
  const pool = s.pool({ ...PATIENT, authentication, pool: { max: 3, min: 1 } });
  await pool.ready();
  while (s.server.logins.length < 4) {
    if (pool.stats.opening === 0 && !asking()) await vi.advanceTimersByTimeAsync(5_000);
    await pause(2);
  }
  expect(pool.stats).toMatchObject({ size: 1, failedLogins: 0, renewals: expect.any(Number) });
  expect(pool.stats.renewals).toBeGreaterThanOrEqual(2);
  const lives = s.server.logins.filter(({ accepted }) => accepted).map((login) => login.tokenExpiry ?? 0);
  expect(lives).toEqual([...lives].sort((a, b) => a - b));
  vi.useRealTimers();
});

test('idle connections whose turn for renewal does not come before their margin are closed there', async () => {
  driveClock();
  await using s = await site({ entra: { tokenLifetimeSeconds: 3_600 }, server: { loginTimeoutMs: 2 ** 31 - 1 } });
  const { authentication, asking } = watched(s);
  const endOf = new Map<unknown, number>();
  const onOpened = (message: unknown): void => {
    const { connection, tokenExpiresOn } = message as { connection: number; tokenExpiresOn: number };
    endOf.set(connection, tokenExpiresOn);
  };
  const onEvicted = (message: unknown): void => void endOf.delete((message as { connection: number }).connection);
  subscribe('mssql-token-pool:connection:opened', onOpened);
  subscribe('mssql-token-pool:connection:evicted', onEvicted);
  onTestFinished(() => {
    unsubscribe('mssql-token-pool:connection:opened', onOpened);
    unsubscribe('mssql-token-pool:connection:evicted', onEvicted);
  });

  // No turn ever comes, as when logins take longer than there is time for.
  const pool = s.pool({ ...PATIENT, authentication, pool: { max: 5, min: 5, maxRenewals: 0 } });
  let latest = Number.POSITIVE_INFINITY;
  while (s.entra.requests.length < 3) {
    if (pool.stats.opening === 0 && !asking()) await vi.advanceTimersByTimeAsync(5_000);
    await pause(2);
    for (const end of endOf.values()) latest = Math.min(latest, end - Date.now());
  }
  expect(endOf.size).toBeGreaterThan(0);
  // The eviction margin of an hour's token is 5 min; it is looked at every 5 s.
  expect(latest).toBeGreaterThan(300_000 - 15_000);
  vi.useRealTimers();
});

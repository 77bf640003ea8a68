import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { expect, onTestFinished, test } from 'vitest';
import { createCredential } from '../../src/credentials/create-credential.js';
import { ClientSockets } from '../support/client-sockets.js';
import { type Site, site } from '../support/pool.js';
import { query } from '../support/query.js';
import { moment, SocketsClock } from '../support/sockets-clock.js';

const NEVER_MS = 2 ** 31 - 1;
const STEP_MS = 10_000;

/** An application that always waits for the identity provider. */
function application({ entra }: Site): object {
  const { tenantId, clientId, clientSecret, url } = entra;
  return {
    ...createCredential({ tenantId, clientId, clientSecret, authority: url }),
    requestTimeoutMs: NEVER_MS,
  };
}

/** Its eviction margin is 5 min, a quarter of its life, and renewals have as long before that. */
const TOKEN_SECONDS = 1_200;

function siteOf(clock: SocketsClock): Promise<Site> {
  return site({ entra: { tokenLifetimeSeconds: TOKEN_SECONDS }, server: clock.serverOptions });
}

test('a busy pool survives many tokens: no query fails, no login is refused, never more than max + 1 connections', async () => {
  using clock = new SocketsClock();
  await using s = await siteOf(clock);
  using sockets = new ClientSockets(s.server.port);
  const pool = s.pool({
    ...clock.config,
    authentication: application(s),
    pool: { max: 5, acquireTimeoutMillis: NEVER_MS },
  });
  await pool.ready();
  const enough = (): boolean => s.entra.requests.length >= 4;
  let queries = 0;

  const callers = Array.from({ length: 10 }, async () => {
    while (!enough()) {
      expect(await pool.use((connection) => query(connection, 'SELECT 1'))).toEqual([[1]]);
      queries += 1;
      await moment(5);
    }
  });
  while (!enough()) await clock.pass(STEP_MS, STEP_MS);
  await Promise.all(callers);

  expect(queries).toBeGreaterThan(100);
  expect(pool.stats).toMatchObject({ failedLogins: 0 });
  expect(pool.stats.renewals).toBeGreaterThan(0);
  expect(s.server.logins.filter((login) => login.error !== undefined)).toEqual([]);
  expect(sockets.most).toBeLessThanOrEqual(6);
  expect(s.server.connections.most).toBeLessThanOrEqual(6);
  clock.uninstall();
  await pool.close();
  await expect.poll(() => s.server.connections.open).toBe(0);
});

test('an unused connection of min is renewed in the background, again and again', async () => {
  using clock = new SocketsClock();
  await using s = await siteOf(clock);
  const pool = s.pool({ ...clock.config, authentication: application(s), pool: { max: 3, min: 1 } });
  await pool.ready();
  while (s.server.logins.length < 4) await clock.pass(STEP_MS, STEP_MS);
  expect(pool.stats).toMatchObject({ size: 1, failedLogins: 0, renewals: expect.any(Number) });
  expect(pool.stats.renewals).toBeGreaterThanOrEqual(2);
  const lives = s.server.logins.filter(({ accepted }) => accepted).map((login) => login.tokenExpiry ?? 0);
  expect(lives).toEqual([...lives].sort((a, b) => a - b));
});

test('idle connections that are not renewed before their eviction margin are closed there', async () => {
  using clock = new SocketsClock();
  await using s = await siteOf(clock);
  const expiryOf = new Map<unknown, number>();
  const onOpened = (message: unknown): void => {
    const { connection, tokenExpiresOn } = message as { connection: number; tokenExpiresOn: number };
    expiryOf.set(connection, tokenExpiresOn);
  };
  const onEvicted = (message: unknown): void => void expiryOf.delete((message as { connection: number }).connection);
  subscribe('mssql-token-pool:connection:opened', onOpened);
  subscribe('mssql-token-pool:connection:evicted', onEvicted);
  onTestFinished(() => {
    unsubscribe('mssql-token-pool:connection:opened', onOpened);
    unsubscribe('mssql-token-pool:connection:evicted', onEvicted);
  });

  // No renewal ever starts, as if logins took longer than there is time for.
  const pool = s.pool({
    ...clock.config,
    authentication: application(s),
    pool: { max: 5, min: 5, maxRenewals: 0 },
  });
  await clock.passUntil(() => pool.stats.available === 5, 10_000);
  let shortest = Number.POSITIVE_INFINITY;
  while (s.entra.requests.length < 3) {
    await clock.pass(5_000, 5_000);
    for (const expiry of expiryOf.values()) shortest = Math.min(shortest, expiry - Date.now());
  }
  expect(expiryOf.size).toBeGreaterThan(0);
  // The eviction margin is 5 min; it is checked every 5 s.
  expect(shortest).toBeGreaterThan(300_000 - 15_000);
});

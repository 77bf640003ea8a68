import { expect, test } from 'vitest';
import { ServerUnavailableError } from '../../src/errors.js';
import type { TokenPool } from '../../src/pool/token-pool.js';
import { makeCertificate, startSqlEmulator } from '../../src/testing/index.js';
import { site } from '../support/pool.js';
import { query } from '../support/query.js';
import { SocketsClock } from '../support/sockets-clock.js';

const CALLERS = 50;
const MAX = 10;

/** An application that retries at once when the server is down: the worst case for a pool. */
async function insist(pool: TokenPool, mayGoOn: () => boolean): Promise<unknown> {
  for (;;) {
    try {
      return await pool.use((connection) => query(connection, 'SELECT 1'));
    } catch (error) {
      if (!mayGoOn()) return error;
      if (!(error instanceof ServerUnavailableError)) throw error;
    }
  }
}

test('a server that is stopped for a minute and started again: one caller dials for all, and all are served', async () => {
  using clock = new SocketsClock();
  const certificate = makeCertificate({ commonName: 'localhost' });
  await using s = await site({ server: { ...clock.serverOptions, certificate } });
  const { entra, server } = s;
  const { port } = server;
  const pool = s.pool({ ...clock.config, pool: { max: MAX } });
  const borrowed = await Promise.all(Array.from({ length: MAX }, () => pool.acquire()));
  for (const connection of borrowed) pool.release(connection);

  await server.close();
  await expect
    .poll(() => borrowed.some((connection) => (connection as { closed?: boolean }).closed !== true))
    .toBe(false);
  clock.restart();
  let over = false;
  const callers = Promise.all(Array.from({ length: CALLERS }, () => insist(pool, () => !over)));
  await clock.pass(60_000);
  const atOnce = clock.dials.filter((at) => at === 0).length;
  expect(atOnce).toBeLessThanOrEqual(MAX + 1);
  // 250 ms doubling to 5 s between two probes, of all callers together.
  const probes = clock.dials.slice(atOnce - 1);
  const pauses = probes.slice(1).map((at, i) => at - (probes[i] ?? 0));
  expect(pauses).toEqual([250, 500, 1_000, 2_000, 4_000, ...pauses.slice(5).map(() => 5_000)]);
  expect(pool.stats).toMatchObject({ size: 0, borrowed: 0 });

  await using restarted = await startSqlEmulator({ entra, port, certificate, ...clock.serverOptions });
  clock.restart();
  await clock.passUntil(() => pool.stats.logins > MAX, 5_000);
  expect(await callers).toEqual(Array.from({ length: CALLERS }, () => [[1]]));
  over = true;
  expect(restarted.logins.length).toBeLessThanOrEqual(MAX);
  expect(restarted.logins.every(({ accepted }) => accepted)).toBe(true);
  expect(entra.requests).toHaveLength(1);
  await pool.close();
});

test('min connections are restored after the server was down, one attempt at a time until it is up again', async () => {
  using clock = new SocketsClock();
  const certificate = makeCertificate({ commonName: 'localhost' });
  await using s = await site({ server: { ...clock.serverOptions, certificate } });
  const { entra, server } = s;
  const { port } = server;
  const pool = s.pool({ ...clock.config, pool: { max: MAX, min: 5 } });
  await clock.passUntil(() => pool.stats.size === 5, 10_000);
  await server.close();
  await clock.passUntil(() => pool.stats.size === 0, 10_000);
  clock.restart();
  await clock.pass(300_000);
  // Without callers, at most a minute apart.
  expect(clock.dials.length).toBeLessThanOrEqual(5 + 12);
  expect(clock.dials.length).toBeGreaterThanOrEqual(5);

  await using restarted = await startSqlEmulator({ entra, port, certificate, ...clock.serverOptions });
  await clock.passUntil(() => pool.stats.size === 5, 120_000);
  expect(restarted.logins).toHaveLength(5);
  await pool.close();
});

test('all connections are cut while the server stays: each caller is served, none gets a dead one', async () => {
  await using s = await site();
  const pool = s.pool({ pool: { max: MAX } });
  const borrowed = await Promise.all(Array.from({ length: MAX }, () => pool.acquire()));
  for (const connection of borrowed) pool.release(connection);
  s.server.dropConnections();
  await expect
    .poll(() => borrowed.some((connection) => (connection as { closed?: boolean }).closed !== true))
    .toBe(false);
  const rows = await Promise.all(
    Array.from({ length: CALLERS }, () => pool.use((connection) => query(connection, 'SELECT 1'))),
  );
  expect(rows).toEqual(Array.from({ length: CALLERS }, () => [[1]]));
  expect(s.server.logins.length).toBeLessThanOrEqual(2 * MAX);
  expect(s.entra.requests).toHaveLength(1);
});

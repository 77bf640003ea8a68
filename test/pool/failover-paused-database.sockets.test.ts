import { expect, test } from 'vitest';
import { AcquireTimeoutError, ServerUnavailableError } from '../../src/errors.js';
import { site } from '../support/pool.js';
import { query } from '../support/query.js';
import { SocketsClock } from '../support/sockets-clock.js';

/** The error of a serverless Azure SQL database while it resumes. */
const PAUSED = {
  number: 40613,
  state: 1,
  class: 14,
  message: "Database 'app' on server 'x' is not currently available.",
};
const CALLERS = 50;
const MAX = 10;

test('a database that resumes: all callers wait and are served; a single login tries 5 s and 10 s later', async () => {
  using clock = new SocketsClock();
  await using s = await site({ server: clock.serverOptions });
  const pool = s.pool({ ...clock.config, pool: { max: MAX } });
  s.server.failLogins(PAUSED);
  const served = Promise.all(Array.from({ length: CALLERS }, () => pool.use((c) => query(c, 'SELECT 1'))));
  await clock.pass(12_000);
  // Logins that began in parallel met the same outage; since then, one tries for all.
  expect(clock.dials).toHaveLength(MAX + 1);
  expect(clock.dials.at(-1)).toBe(5_000);
  s.server.heal();
  await clock.pass(3_000);
  expect(await served).toEqual(Array.from({ length: CALLERS }, () => [[1]]));
  expect(clock.dials[MAX + 1]).toBe(15_000);
  expect(s.server.logins.filter(({ accepted }) => accepted).length).toBeLessThanOrEqual(MAX);
  expect(s.entra.requests).toHaveLength(1);
});

test('a database that stays unavailable: a typed error with its number before the timeout; a single login tries for all', async () => {
  using clock = new SocketsClock();
  await using s = await site({ server: clock.serverOptions });
  const pool = s.pool({ ...clock.config, pool: { max: MAX } });
  s.server.failLogins(PAUSED);
  const endings: number[] = [];
  const callers = Array.from({ length: CALLERS }, () => pool.acquire().finally(() => endings.push(clock.elapsed)));
  const outcome = Promise.allSettled(callers);
  await clock.pass(31_000);
  for (const result of await outcome) {
    const { reason } = result as PromiseRejectedResult;
    expect(reason).toBeInstanceOf(reason instanceof AcquireTimeoutError ? AcquireTimeoutError : ServerUnavailableError);
    expect(reason instanceof AcquireTimeoutError ? reason.cause : reason).toMatchObject({ number: 40613 });
  }
  expect(Math.max(...endings)).toBeLessThanOrEqual(30_000);
  expect(clock.dials.filter((at) => at > 0)).toEqual([5_000, 15_000]);
  expect(pool.stats).toMatchObject({ size: 0, borrowed: 0, pending: 0 });
});

test('a caller with a longer timeout is served by a slower database: pauses double up to a minute', async () => {
  using clock = new SocketsClock();
  await using s = await site({ server: clock.serverOptions });
  const pool = s.pool({ ...clock.config, pool: { max: MAX, acquireTimeoutMillis: 300_000 } });
  s.server.failLogins(PAUSED);
  const served = Promise.all(Array.from({ length: CALLERS }, () => pool.use((c) => query(c, 'SELECT 1'))));
  served.catch(() => {});
  await clock.pass(200_000);
  s.server.heal();
  await clock.pass(60_000);
  await served;
  expect(clock.dials.filter((at) => at > 0).slice(0, 6)).toEqual([5_000, 15_000, 35_000, 75_000, 135_000, 195_000]);
  expect(clock.dials[MAX + 6]).toBe(255_000);
  expect(s.server.logins.length).toBeLessThanOrEqual(MAX + 6 + MAX);
});

test('two pools probe separately: each has its own circuit breaker', async () => {
  using clock = new SocketsClock();
  await using s = await site({ server: clock.serverOptions });
  const pools = [s.pool({ ...clock.config, pool: { max: 3 } }), s.pool({ ...clock.config, pool: { max: 3 } })];
  s.server.failLogins(PAUSED);
  const served = Promise.all(
    pools.flatMap((pool) => Array.from({ length: 6 }, () => pool.use((c) => query(c, 'SELECT 1')))),
  );
  await clock.pass(6_000);
  expect(clock.dials.filter((at) => at > 0)).toEqual([5_000, 5_000]);
  s.server.heal();
  await clock.pass(9_000);
  await served;
});

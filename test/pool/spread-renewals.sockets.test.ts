import { expect, test } from 'vitest';
import { site } from '../support/pool.js';
import { SocketsClock } from '../support/sockets-clock.js';

test('P11: connections opened together on one token are not all renewed together', async () => {
  // The token is refreshed after 2 s, its connections must be gone after 12 s: renewals have the 10 s between.
  using clock = new SocketsClock();
  await using here = await site({
    entra: { tokenLifetimeSeconds: 16, refreshInSeconds: 2 },
    server: clock.serverOptions,
  });
  const pool = here.pool({ ...clock.config, pool: { min: 10, max: 10 } });
  await clock.passUntil(() => pool.stats.available === 10, 5_000);
  clock.restart();
  await clock.passUntil(() => pool.stats.renewals >= 10, 20_000);
  const [first = 0, ...others] = clock.dials.slice(0, 10);
  // By chance alone, they fall into a quarter of the 8 s that are used once in 25,000 runs; all at once, they take less
  // than 1 s.
  expect((others.at(-1) ?? 0) - first).toBeGreaterThan(2_000);
});

test('P11: with the tokens of an hour, renewals fill the time between refresh and eviction margin', async () => {
  const SIZE = 30;
  const MINUTE = 60_000;
  using clock = new SocketsClock();
  await using here = await site({ entra: { tokenLifetimeSeconds: 3_600 }, server: clock.serverOptions });
  const pool = here.pool({ ...clock.config, pool: { min: SIZE, max: SIZE } });
  await clock.passUntil(() => pool.stats.available === SIZE, 10_000);
  clock.restart();
  await clock.pass(56 * MINUTE, 2_500);

  // Refreshed after 45 to 50 min, evicted at 55; the first and the last tenth of the time between are left free.
  expect(clock.dials).toHaveLength(SIZE);
  expect(Math.min(...clock.dials)).toBeGreaterThan(45 * MINUTE);
  expect(Math.max(...clock.dials)).toBeLessThan(55 * MINUTE);
  // 30 of them in 4 to 8 min: more than 20 in one of those minutes is not chance.
  const inTheMinuteFrom = (from: number) => clock.dials.filter((at) => at >= from && at < from + MINUTE).length;
  expect(Math.max(...clock.dials.map(inTheMinuteFrom))).toBeLessThanOrEqual(20);
  expect(pool.stats).toMatchObject({ renewals: SIZE, failedLogins: 0 });
});

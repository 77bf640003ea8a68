import { expect, test } from 'vitest';
import { site } from '../support/pool.js';
import { query } from '../support/query.js';

test('200 callers at once on a cold pool of 50 make one token request', async () => {
  await using s = await site();
  const pool = s.pool({ pool: { max: 50 } });
  const answers = await Promise.all(
    Array.from({ length: 200 }, () => pool.use((connection) => query(connection, 'SELECT 7'))),
  );
  expect(answers.flat(2)).toEqual(Array.from({ length: 200 }, () => 7));
  expect(s.entra.requests).toHaveLength(1);
  expect(s.server.logins.length).toBeLessThanOrEqual(50);
});

test('two pools with one identity share one token request', async () => {
  await using s = await site();
  const authentication = s.entra.credential();
  const pools = [s.pool({ authentication }), s.pool({ authentication })];
  await Promise.all(pools.map((pool) => pool.ready()));
  expect(s.entra.requests).toHaveLength(1);
});

test('ready() opens one connection and keeps it', async () => {
  await using s = await site();
  const pool = s.pool();
  await pool.ready();
  expect(pool.stats).toMatchObject({ size: 1, available: 1, borrowed: 0 });
  await pool.use((connection) => query(connection, 'SELECT 1'));
  expect(s.server.logins).toHaveLength(1);
});

test('a slow identity provider does not use up connectTimeout', async () => {
  await using s = await site();
  s.entra.fail({ delayMs: 700, count: 1 });
  const pool = s.pool({ connectionTimeout: 600 });
  expect(await pool.use((connection) => query(connection, 'SELECT 1'))).toEqual([[1]]);
});

test('maxOpening: the server never has more logins in progress than that', async () => {
  const inProgress: number[] = [];
  await using s = await site({
    server: {
      loginDelayMs: 20,
      // The sockets that are open, without those that have logged in; this one is still among them.
      onLogin: () => inProgress.push(s.server.connections.open - inProgress.length),
    },
  });
  const pool = s.pool({ pool: { max: 20, maxOpening: 3 } });
  const connections = await Promise.all(Array.from({ length: 20 }, () => pool.acquire()));
  for (const connection of connections) pool.release(connection);
  expect(inProgress).toHaveLength(20);
  expect(Math.max(...inProgress)).toBeLessThanOrEqual(3);
  expect(s.entra.requests).toHaveLength(1);
});

import { expect, test } from 'vitest';
import { site } from '../support/pool.js';

test('idle connections beyond min are closed after idleTimeoutMillis', async () => {
  await using s = await site();
  const pool = s.pool({ pool: { max: 4, min: 1, idleTimeoutMillis: 60 } });
  const borrowed = await Promise.all(Array.from({ length: 4 }, () => pool.acquire()));
  for (const connection of borrowed) pool.release(connection);
  await expect.poll(() => pool.stats.size).toBe(1);
  await expect.poll(() => s.server.connections.open).toBe(1);
  expect(pool.stats.evictions).toEqual({ idle: 3 });
});

test('min connections are opened at the start', async () => {
  await using s = await site();
  const pool = s.pool({ pool: { min: 3 } });
  await expect.poll(() => pool.stats.size).toBe(3);
  expect(s.server.logins).toHaveLength(3);
  expect(s.entra.requests).toHaveLength(1);
});

test('min connections are restored after the server dropped them all', async () => {
  await using s = await site();
  const pool = s.pool({ pool: { min: 2 } });
  await expect.poll(() => pool.stats.size).toBe(2);
  s.server.dropConnections();
  await expect.poll(() => s.server.logins.length).toBe(4);
  await expect.poll(() => pool.stats.size).toBe(2);
});

test('min connections are restored after a start without a server', async () => {
  await using s = await site();
  s.server.failLogins({ drop: true, count: 2 });
  const pool = s.pool({ pool: { min: 2 } });
  await expect.poll(() => pool.stats.size, { timeout: 10_000 }).toBe(2);
});

test('max limits the connections, however many callers there are', async () => {
  await using s = await site();
  const pool = s.pool({ pool: { max: 3 } });
  await Promise.all(Array.from({ length: 30 }, () => pool.use(() => undefined)));
  expect(s.server.connections.most).toBeLessThanOrEqual(3);
});

test('a connection past maxAgeMillis is replaced', async () => {
  await using s = await site();
  const pool = s.pool({ pool: { min: 1, maxAgeMillis: 150 } });
  await expect.poll(() => s.server.logins.length).toBeGreaterThan(2);
  expect(pool.stats.size).toBe(1);
});

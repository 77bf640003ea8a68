import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { expect, test } from 'vitest';
import { site } from '../support/pool.js';

test('a connection that waits to take over serves the next caller when a borrower destroys the old one', async () => {
  await using s = await site({ entra: { tokenLifetimeSeconds: 4 }, server: { loginDelayMs: 200 } });
  const closed: unknown[] = [];
  const onEvicted = (event: unknown): unknown => closed.push((event as { connection: number }).connection);
  subscribe('mssql-token-pool:connection:evicted', onEvicted);
  const pool = s.pool({ pool: { max: 1 } });
  let borrowed = await pool.acquire();
  // Its replacement is opened when it is returned, and finds it borrowed again.
  await expect
    .poll(async () => {
      if (s.server.connections.open === 2) return 2;
      pool.release(borrowed);
      borrowed = await pool.acquire();
      return s.server.connections.open;
    })
    .toBe(2);
  await expect.poll(() => pool.stats.opening).toBe(0);
  const { logins } = pool.stats;
  pool.destroy(borrowed);
  pool.release(await pool.acquire());
  expect(pool.stats.logins).toBe(logins);
  unsubscribe('mssql-token-pool:connection:evicted', onEvicted);
  expect(pool.stats.evictions).toMatchObject({ 'destroyed-by-caller': 1 });
  expect(new Set(closed).size).toBe(closed.length);
});

import { expect, test } from 'vitest';
import { site } from '../support/pool.js';

test('ready() opens what is missing for min, even if others are already open', async () => {
  await using s = await site();
  const pool = s.pool({ pool: { min: 3, max: 5 } });
  await pool.ready();
  const borrowed = await pool.acquire();
  pool.destroy(await pool.acquire());
  expect(pool.stats.size).toBe(2);
  await pool.ready();
  expect(pool.stats.size).toBe(3);
  pool.release(borrowed);
});

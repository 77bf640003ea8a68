import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { site } from '../support/pool.js';
import { query } from '../support/query.js';

test('a failure without a waiting caller does not reject a caller that arrives after recovery', async () => {
  await using s = await site();
  const pool = s.pool({ pool: { max: 5 } });
  s.server.pause();
  // These give up before their logins fail.
  const callers = Array.from({ length: 10 }, () => pool.acquire({ signal: AbortSignal.timeout(300) }));
  for (const result of await Promise.allSettled(callers)) expect(result.status).toBe('rejected');
  s.server.dropConnections();
  s.server.resume();
  await sleep(1_100);
  for (let i = 0; i < 8; i += 1) expect(await pool.use((c) => query(c, 'SELECT 1'))).toEqual([[1]]);
});

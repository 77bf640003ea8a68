import { expect, test } from 'vitest';
import { withRetry } from '../../src/index.js';
import { site } from '../support/pool.js';
import { query } from '../support/query.js';

const soon = { firstWaitMs: 10 };

test('a lost connection: the work runs again, on another connection', async () => {
  await using s = await site();
  const pool = s.pool();
  const used = new Set<object>();
  const rows = await withRetry(
    pool,
    async (connection) => {
      used.add(connection);
      if (used.size === 1) {
        const running = query(connection, "WAITFOR DELAY '00:00:10'");
        s.server.dropConnections();
        return running;
      }
      return query(connection, 'SELECT 1');
    },
    soon,
  );
  expect(rows).toEqual([[1]]);
  expect(used.size).toBe(2);
  expect(pool.stats).toMatchObject({ borrowed: 0, size: 1 });
});

test('a transient error of Azure SQL: the work runs again on a fresh connection, at most maxTries times', async () => {
  await using s = await site();
  const pool = s.pool();
  let tries = 0;
  const failing = withRetry(
    pool,
    () => {
      tries += 1;
      throw Object.assign(new Error('The service is currently busy.'), { number: 40501 });
    },
    { ...soon, maxTries: 3 },
  );
  await expect(failing).rejects.toMatchObject({ number: 40501 });
  expect(tries).toBe(3);
  expect(s.server.logins).toHaveLength(3);
});

test('37396, the token of a session is no longer accepted: the work runs again at once, with a fresh token', async () => {
  await using s = await site({ entra: { tokenLifetimeSeconds: 2 }, server: { enforceExpiry: 'query' } });
  const pool = s.pool();
  const startedAt = Date.now();
  const rows = await withRetry(pool, async (connection) => {
    if (s.server.logins.length === 1) await new Promise((resolve) => setTimeout(resolve, 2_100));
    return query(connection, 'SELECT 1');
  });
  expect(rows).toEqual([[1]]);
  expect(Date.now() - startedAt).toBeLessThan(5_000);
  expect(s.server.logins.map((login) => login.accepted)).toEqual([true, true]);
});

test('anything else is not tried again: a wrong statement, an error of the caller', async () => {
  await using s = await site();
  const pool = s.pool();
  let tries = 0;
  const wrong = withRetry(
    pool,
    (connection) => {
      tries += 1;
      return query(connection, "RAISERROR (N'no', 16, 1)");
    },
    soon,
  );
  await expect(wrong).rejects.toMatchObject({ number: 50000 });
  const broken = withRetry(
    pool,
    () => {
      tries += 1;
      throw Object.assign(new Error('of another socket'), { code: 'ECONNRESET' });
    },
    soon,
  );
  await expect(broken).rejects.toMatchObject({ code: 'ECONNRESET' });
  expect(tries).toBe(2);
  expect(s.server.logins).toHaveLength(1);
});

test('a signal ends the wait for the next try', async () => {
  await using s = await site();
  const controller = new AbortController();
  const waiting = withRetry(
    s.pool(),
    () => {
      setTimeout(() => controller.abort(new Error('enough')), 20);
      throw Object.assign(new Error('busy'), { number: 40501 });
    },
    { signal: controller.signal },
  );
  await expect(waiting).rejects.toMatchObject({ code: 'ERR_ABORTED' });
});

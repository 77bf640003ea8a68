import assert from 'node:assert/strict';
import sql from 'mssql';
import { describe } from 'vitest';
import { sameBothWays, useSite } from './server-under-test.js';

const site = useSite();

/** Runs work on a table that is there for it alone. */
async function withAccounts<T>(pool: sql.ConnectionPool, work: () => Promise<T>): Promise<T> {
  await pool.query(
    'CREATE TABLE accounts (id int PRIMARY KEY, amount int); INSERT INTO accounts VALUES (1, 100), (2, 100)',
  );
  try {
    return await work();
  } finally {
    await pool.query('DROP TABLE accounts');
  }
}

async function amounts(pool: sql.ConnectionPool): Promise<number[]> {
  const { recordset } = await pool.query('SELECT amount FROM accounts ORDER BY id');
  return recordset.map(({ amount }: { amount: number }) => amount);
}

describe('a transaction', () => {
  const LEVELS = {
    'READ UNCOMMITTED': sql.ISOLATION_LEVEL.READ_UNCOMMITTED,
    'READ COMMITTED': sql.ISOLATION_LEVEL.READ_COMMITTED,
    'REPEATABLE READ': sql.ISOLATION_LEVEL.REPEATABLE_READ,
    SERIALIZABLE: sql.ISOLATION_LEVEL.SERIALIZABLE,
    SNAPSHOT: sql.ISOLATION_LEVEL.SNAPSHOT,
  };
  for (const [name, level] of Object.entries(LEVELS)) {
    sameBothWays(`at ${name} commits and rolls back`, site, async (pool) =>
      withAccounts(pool, async () => {
        if (name === 'SNAPSHOT') await pool.query(`ALTER DATABASE ${site.database} SET ALLOW_SNAPSHOT_ISOLATION ON`);
        for (const end of ['commit', 'rollback'] as const) {
          const transaction = pool.transaction();
          await transaction.begin(level);
          await transaction.request().query('UPDATE accounts SET amount = amount + 1 WHERE id = 1');
          await transaction[end]();
        }
        assert.deepEqual(await amounts(pool), [101, 100]);
      }),
    );
  }

  sameBothWays('keeps what was done before a savepoint', site, async (pool) =>
    withAccounts(pool, async () => {
      const transaction = pool.transaction();
      await transaction.begin();
      await transaction.request().batch('UPDATE accounts SET amount = 1 WHERE id = 1');
      await transaction.request().batch('SAVE TRANSACTION here');
      await transaction.request().batch('UPDATE accounts SET amount = 2 WHERE id = 2');
      await transaction.request().batch('ROLLBACK TRANSACTION here');
      await transaction.commit();
      assert.deepEqual(await amounts(pool), [1, 100]);
    }),
  );

  sameBothWays('is the victim of a deadlock, and the other one goes on', site, async (pool) =>
    withAccounts(pool, async () => {
      const [a, b] = [pool.transaction(), pool.transaction()];
      for (const each of [a, b]) {
        // The server ends the victim's transaction by itself.
        each.on('rollback', () => {});
        await each.begin();
      }
      const touch = (transaction: sql.Transaction, id: number) =>
        transaction.request().query(`UPDATE accounts SET amount = amount + 1 WHERE id = ${id}`);
      await touch(a, 1);
      await touch(b, 2);
      const ends = await Promise.allSettled([touch(a, 2), touch(b, 1)]);
      const [victim] = ends.filter((end) => end.status === 'rejected');
      assert.equal(ends.filter((end) => end.status === 'rejected').length, 1);
      for (const [i, transaction] of [a, b].entries()) {
        if (ends[i]?.status === 'fulfilled') await transaction.commit();
        else await transaction.rollback().catch(() => {});
      }
      assert.deepEqual(await amounts(pool), [101, 101]);
      return (victim as PromiseRejectedResult).reason.number;
    }),
  );
});

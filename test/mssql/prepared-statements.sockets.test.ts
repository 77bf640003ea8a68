import { describe, expect, test } from 'vitest';
import { named } from '../support/named.js';
import { stockMssql, useEmulators, ways, withPool } from './three-ways.js';

const emulators = useEmulators();

describe.each(named([stockMssql, ...ways]))('prepared statements through %s', (_, way) => {
  const { sql } = way;

  test('prepare, execute several times on one connection, unprepare', async () => {
    await withPool(way, emulators.server.config(), async (pool) => {
      const statement = new sql.PreparedStatement(pool);
      statement.input('n', sql.Int);
      await statement.prepare('SELECT @n AS n, @@SPID AS spid');
      expect(pool.borrowed).toBe(1);
      const rows = [];
      for (const n of [1, 2, 3]) rows.push((await statement.execute({ n })).recordset[0]);
      expect(rows.map((row) => row.n)).toEqual([1, 2, 3]);
      expect(new Set(rows.map((row) => row.spid)).size).toBe(1);
      await statement.unprepare();
      expect(pool.borrowed).toBe(0);
    });
  });

  test('inside a transaction', async () => {
    await withPool(way, emulators.server.config(), async (pool) => {
      const transaction = pool.transaction();
      await transaction.begin();
      const statement = new sql.PreparedStatement(transaction);
      statement.input('t', sql.NVarChar(10));
      await statement.prepare('SELECT @t AS t, @@TRANCOUNT AS depth');
      expect((await statement.execute({ t: 'x' })).recordset).toEqual([{ t: 'x', depth: 1 }]);
      await statement.unprepare();
      await transaction.commit();
      expect(pool.borrowed).toBe(0);
    });
  });

  test('a failed execute keeps the statement, and unprepare returns the connection', async () => {
    await withPool(way, emulators.server.config({ pool: { max: 1 } }), async (pool) => {
      const statement = new sql.PreparedStatement(pool);
      statement.input('n', sql.Int);
      await statement.prepare('SELECT 10 / @n AS n');
      await expect(statement.execute({ n: 0 })).rejects.toMatchObject({ number: 8134 });
      expect((await statement.execute({ n: 2 })).recordset).toEqual([{ n: 5 }]);
      await statement.unprepare();
      expect((await pool.query('SELECT 1 AS ok')).recordset).toEqual([{ ok: 1 }]);
    });
  });
});

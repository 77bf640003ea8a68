import { describe, expect, test } from 'vitest';
import { named } from '../support/named.js';
import { stockMssql, useEmulators, ways, withPool } from './three-ways.js';

const emulators = useEmulators();

describe.each(named([stockMssql, ...ways]))('queries through %s', (_, way) => {
  const { sql } = way;

  test('give rows, recordsets and rowsAffected', async () => {
    const result = await withPool(way, emulators.server.config(), (pool) =>
      pool.query("SELECT 1 AS one, N'zwei' AS two; SELECT 3 AS three"),
    );
    expect(result.recordsets).toEqual([[{ one: 1, two: 'zwei' }], [{ three: 3 }]]);
    expect(result.recordset).toEqual([{ one: 1, two: 'zwei' }]);
    expect(result.rowsAffected).toEqual([1, 1]);
  });

  test('take parameters, typed and as a tagged template', async () => {
    await withPool(way, emulators.server.config(), async (pool) => {
      const typed = await pool
        .request()
        .input('n', sql.Int, 42)
        .input('t', sql.NVarChar(20), 'täst')
        .query('SELECT @n AS n, @t AS t');
      expect(typed.recordset).toEqual([{ n: 42, t: 'täst' }]);
      const name = "O'Hara";
      const tagged = await pool.query`SELECT ${name} AS name, ${7} AS n`;
      expect(tagged.recordset).toEqual([{ name, n: 7 }]);
    });
  });

  test('work as a batch, and with rows as arrays', async () => {
    await withPool(way, emulators.server.config(), async (pool) => {
      expect((await pool.batch('SELECT 5 AS five')).recordset).toEqual([{ five: 5 }]);
      const request = pool.request();
      request.arrayRowMode = true;
      expect((await request.query('SELECT 1 AS a, 2 AS b')).recordset).toEqual([[1, 2]]);
    });
  });

  test('fail with the number, state and class of the server', async () => {
    const error = await withPool(way, emulators.server.config(), (pool) =>
      pool.query('RAISERROR(50123, 16, 7)').catch((e) => e),
    );
    expect(error).toBeInstanceOf(sql.RequestError);
    expect(error).toMatchObject({ code: 'EREQUEST', class: 16, state: 7 });
  });

  test('run in parallel on no more than max connections', async () => {
    await withPool(way, emulators.server.config({ pool: { max: 3 } }), async (pool) => {
      const results = await Promise.all(
        Array.from({ length: 30 }, (_, i) => pool.request().input('i', i).query('SELECT @i AS i, @@SPID AS spid')),
      );
      expect(results.map((r) => r.recordset[0].i)).toEqual(Array.from({ length: 30 }, (_, i) => i));
      expect(new Set(results.map((r) => r.recordset[0].spid)).size).toBeLessThanOrEqual(3);
    });
  });
});

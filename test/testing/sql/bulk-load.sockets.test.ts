import sql from 'mssql';
import { describe, expect, test } from 'vitest';
import { type BulkLoad, startSqlEmulator } from '../../../src/testing/index.js';
import { closing, mssqlPool, rejection } from '../sql-clients.js';

function ordersTable(name: string): sql.Table {
  const table = new sql.Table(name);
  table.columns.add('id', sql.Int, { nullable: false });
  table.columns.add('name', sql.NVarChar(50), { nullable: true });
  table.columns.add('price', sql.Decimal(10, 2), { nullable: true });
  table.columns.add('note', sql.NVarChar(sql.MAX), { nullable: true });
  table.columns.add('at', sql.DateTime2(3), { nullable: true });
  return table;
}

describe('a bulk load', () => {
  test('passes its rows to the handler', async () => {
    const loads: BulkLoad[] = [];
    const server = closing(await startSqlEmulator({ onBulkLoad: (load) => loads.push(load) }));
    const pool = await mssqlPool(server.config());
    const table = ordersTable('dbo.orders');
    const at = new Date('2026-11-28T05:00:00.123Z');
    table.rows.add(1, 'Ada', 12.5, 'x'.repeat(10_000), at);
    table.rows.add(2, null, null, null, null);
    const { rowsAffected } = await pool.request().bulk(table);
    expect(rowsAffected).toBe(2);
    expect(loads).toEqual([
      {
        table: 'dbo.orders',
        columns: [
          { name: 'id', type: 'int' },
          { name: 'name', type: 'nvarchar(50)' },
          { name: 'price', type: expect.stringMatching(/^(decimal|numeric)\(10,2\)$/) },
          { name: 'note', type: 'nvarchar(max)' },
          { name: 'at', type: 'datetime2(3)' },
        ],
        rows: [
          [1, 'Ada', 12.5, 'x'.repeat(10_000), at],
          [2, null, null, null, null],
        ],
      },
    ]);
    expect(server.queries.at(-1)).toMatchObject({
      sql: expect.stringMatching(/^insert bulk/i),
      answeredBy: 'emulator',
    });
  });

  test('fails with 208 for a table that the handler does not know', async () => {
    const server = closing(await startSqlEmulator({ onBulkLoad: ({ table }) => table === 'known' }));
    const pool = await mssqlPool(server.config());
    const table = ordersTable('other');
    table.rows.add(1, 'Ada', 1, '', null);
    expect(await rejection(pool.request().bulk(table))).toMatchObject({ number: 208 });
    expect((await pool.query`SELECT 1 AS one`).recordset).toEqual([{ one: 1 }]);
  });

  test("fails with the handler's own error", async () => {
    const onBulkLoad = () => {
      throw { number: 2627, class: 14, message: 'Violation of PRIMARY KEY constraint.' };
    };
    const server = closing(await startSqlEmulator({ onBulkLoad }));
    const pool = await mssqlPool(server.config());
    const table = ordersTable('orders');
    table.rows.add(1, 'Ada', 1, '', null);
    expect(await rejection(pool.request().bulk(table))).toMatchObject({ number: 2627 });
  });

  test('without a handler, works only for temporary tables', async () => {
    const server = closing(await startSqlEmulator());
    const pool = await mssqlPool(server.config());
    await pool.request().batch('CREATE TABLE #staging (id int)');
    for (const [name, number] of [
      ['#staging', undefined],
      ['orders', 208],
    ] as const) {
      const table = ordersTable(name);
      table.rows.add(1, 'Ada', 1, '', null);
      const error = await pool
        .request()
        .bulk(table)
        .then(
          () => undefined,
          (reason) => reason.number,
        );
      expect(error).toBe(number);
    }
  });
});

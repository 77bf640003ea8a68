import assert from 'node:assert/strict';
import sql from 'mssql';
import { describe } from 'vitest';
import { sameBothWays, useSite } from './server-under-test.js';

const ROWS = 100_000;
const site = useSite();

describe('100,000 rows', () => {
  sameBothWays('are bulk-loaded and streamed back', site, async (pool) => {
    const table = new sql.Table('many');
    table.create = true;
    table.columns.add('id', sql.Int, { nullable: false });
    table.columns.add('text', sql.NVarChar(100), { nullable: true });
    for (let id = 1; id <= ROWS; id += 1) table.rows.add(id, id % 10 === 0 ? null : `row ${id} é`);
    try {
      const { rowsAffected } = await pool.request().bulk(table);
      assert.equal(rowsAffected, ROWS);
      let [rows, sum, nulls] = [0, 0, 0];
      const request = pool.request();
      request.stream = true;
      await new Promise<void>((resolve, reject) => {
        request.on('row', ({ id, text }: { id: number; text: string | null }) => {
          rows += 1;
          sum += id;
          if (text === null) nulls += 1;
          else if (text !== `row ${id} é`) reject(new Error(`row ${id} is wrong: ${text}`));
        });
        request.on('error', reject);
        request.on('done', () => resolve());
        request.query('SELECT id, text FROM many');
      });
      assert.deepEqual([rows, sum, nulls], [ROWS, (ROWS * (ROWS + 1)) / 2, ROWS / 10]);
    } finally {
      await pool.query('DROP TABLE many').catch(() => {});
    }
  });

  sameBothWays('are read by a client that pauses again and again', site, async (pool) => {
    const request = pool.request();
    request.stream = true;
    let rows = 0;
    await new Promise<void>((resolve, reject) => {
      request.on('row', () => {
        rows += 1;
        if (rows % 10_000 === 0) {
          request.pause();
          setTimeout(() => request.resume(), 20);
        }
      });
      request.on('error', reject);
      request.on('done', () => resolve());
      const digits = '(VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9))';
      request.query(
        `SELECT a.n + 10*b.n + 100*c.n + 1000*d.n + 10000*e.n AS n, REPLICATE(N'x', 100) AS filler
         FROM ${digits} a(n), ${digits} b(n), ${digits} c(n), ${digits} d(n), ${digits} e(n)`,
      );
    });
    assert.equal(rows, ROWS);
  });

  sameBothWays('in one value of 5 MB, both ways', site, async (pool) => {
    const text = 'Zürich '.repeat(360_000);
    const { recordset } = await pool.request().input('t', sql.NVarChar(sql.MAX), text).query('SELECT @t AS t');
    assert.equal(recordset[0].t === text, true);
  });
});

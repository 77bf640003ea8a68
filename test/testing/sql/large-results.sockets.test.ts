import { Request } from 'tedious';
import { describe, expect, test } from 'vitest';
import { startSqlEmulator } from '../../../src/testing/index.js';
import { closing, execute, mssqlPool, tediousConnect } from '../sql-clients.js';

describe('large results', () => {
  test('100,000 rows arrive complete and in order', async () => {
    const server = closing(await startSqlEmulator());
    const { connection } = await tediousConnect(server.config());
    let next = 1;
    let wrong = 0;
    await new Promise<void>((resolve, reject) => {
      const request = new Request(
        "SELECT value, N'row ' + CAST(value AS nvarchar(10)) FROM GENERATE_SERIES(1, 100000)",
        (error) => (error ? reject(error) : resolve()),
      );
      request.on('row', ([value, text]: { value: unknown }[]) => {
        if (value?.value !== next || text?.value !== `row ${next}`) wrong += 1;
        next += 1;
      });
      connection.execSql(request);
    });
    expect({ rows: next - 1, wrong }).toEqual({ rows: 100_000, wrong: 0 });
  });

  test('a client that does not read delays only its own rows', async () => {
    let produced = 0;
    const endless = function* () {
      for (; produced < 500_000; produced += 1) yield ['x'.repeat(1000)];
    };
    const columns = [{ name: 'filler', type: 'varchar(1000)' }];
    const server = closing(await startSqlEmulator({ onQuery: () => ({ columns, rows: endless() }) }));
    const slow = await tediousConnect(server.config());
    const request = new Request('SELECT * FROM filler', () => {});
    const paused = new Promise<void>((resolve) => {
      request.once('row', () => {
        request.pause();
        resolve();
      });
    });
    slow.connection.execSql(request);
    await paused;
    const other = await tediousConnect(server.config());
    let before = -1;
    await expect
      .poll(async () => {
        const still = produced === before;
        before = produced;
        await execute(other.connection, 'SELECT 1');
        return still;
      })
      .toBe(true);
    expect(produced).toBeLessThan(50_000);
  });

  test('values of several megabytes work in both directions', async () => {
    const server = closing(await startSqlEmulator());
    const pool = await mssqlPool(server.config());
    const text = 'Zürich '.repeat(500_000);
    const { recordset } = await pool.request().input('t', text).query('SELECT @t AS t, LEN(@t) AS length');
    expect(recordset[0].t === text).toBe(true);
    expect(recordset[0].length).toBe(String(text.trimEnd().length));
  });

  test('every packet size that a client requests works', async () => {
    const server = closing(await startSqlEmulator());
    for (const packetSize of [512, 32_767]) {
      const { connection } = await tediousConnect(server.config({ options: { packetSize } }));
      const [[text] = []] = await execute(connection, "SELECT REPLICATE(CAST('ab' AS varchar(max)), 20000)");
      expect(text).toHaveLength(40_000);
    }
  });
});

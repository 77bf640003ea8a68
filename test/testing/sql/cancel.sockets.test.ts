import { Request } from 'tedious';
import { describe, expect, test } from 'vitest';
import { startSqlEmulator } from '../../../src/testing/index.js';
import { closing, execute, mssqlPool, rejection, tediousConnect } from '../sql-clients.js';

describe('a cancelled request', () => {
  test('ends at once, and the connection stays usable', async () => {
    const server = closing(await startSqlEmulator());
    const { connection } = await tediousConnect(server.config());
    const started = Date.now();
    const waiting = execute(connection, "WAITFOR DELAY '00:01:00'");
    setTimeout(() => connection.cancel(), 20);
    expect(await rejection(waiting)).toMatchObject({ code: 'ECANCEL' });
    expect(Date.now() - started).toBeLessThan(20_000);
    expect(await execute(connection, 'SELECT 1')).toEqual([[1]]);
  });

  test('ends by its own timeout', async () => {
    const server = closing(await startSqlEmulator());
    const pool = await mssqlPool(server.config({ requestTimeout: 50 }));
    expect(await rejection(pool.query("WAITFOR DELAY '00:01:00'"))).toMatchObject({ code: 'ETIMEOUT' });
    expect((await pool.query`SELECT 1 AS one`).recordset).toEqual([{ one: 1 }]);
  });

  test('ends in the middle of its rows', async () => {
    const server = closing(await startSqlEmulator());
    const { connection } = await tediousConnect(server.config());
    let rows = 0;
    const error = await new Promise((resolve) => {
      const request = new Request('SELECT value FROM GENERATE_SERIES(1, 2000000000)', resolve);
      request.on('row', () => {
        rows += 1;
        if (rows === 5000) connection.cancel();
      });
      connection.execSql(request);
    });
    expect(error).toMatchObject({ code: 'ECANCEL' });
    expect(await execute(connection, 'SELECT 1')).toEqual([[1]]);
  });

  test('leaves the connection usable if it had already finished', async () => {
    const server = closing(await startSqlEmulator());
    const { connection } = await tediousConnect(server.config());
    for (let i = 0; i < 50; i += 1) {
      const done = execute(connection, 'SELECT 1').catch((error) => error);
      setImmediate(() => connection.cancel());
      await done;
    }
    expect(await execute(connection, 'SELECT 2')).toEqual([[2]]);
  });

  test('stops when its client has disconnected', async () => {
    const server = closing(await startSqlEmulator());
    const { connection } = await tediousConnect(server.config());
    const waiting = rejection(execute(connection, "WAITFOR DELAY '00:01:00'"));
    await new Promise((resolve) => setTimeout(resolve, 50));
    connection.close();
    await waiting;
    await expect.poll(() => server.connections.open).toBe(0);
  });

  test('WAITFOR waits for the given time', async () => {
    const server = closing(await startSqlEmulator());
    const { connection } = await tediousConnect(server.config());
    const started = performance.now();
    await execute(connection, "DECLARE @d varchar(20) = '00:00:00.150'; WAITFOR DELAY @d");
    expect(performance.now() - started).toBeGreaterThanOrEqual(149);
  });
});

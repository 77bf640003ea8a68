import sql from 'mssql';
import { Request, TYPES } from 'tedious';
import { expect, test } from 'vitest';
import { startSqlEmulator } from '../../../src/testing/index.js';
import { closing, execute, mssqlPool, rejection, reset, tediousConnect } from '../sql-clients.js';

test('a prepared statement runs repeatedly with different values', async () => {
  const server = closing(await startSqlEmulator());
  const pool = await mssqlPool(server.config());
  const statement = new sql.PreparedStatement(pool);
  statement.input('n', sql.Int).input('name', sql.NVarChar(20));
  await statement.prepare("SELECT @n * @n AS square, @name + N'!' AS name");
  for (const n of [2, 3]) {
    const { recordset } = await statement.execute({ n, name: `n${n}` });
    expect(recordset).toEqual([{ square: n * n, name: `n${n}!` }]);
  }
  await statement.unprepare();
});

test('a reset removes prepared statements: 8179', async () => {
  const server = closing(await startSqlEmulator());
  const { connection } = await tediousConnect(server.config());
  const request = new Request('SELECT @n', () => {});
  request.addParameter('n', TYPES.Int, null);
  await new Promise((resolve) => {
    request.once('prepared', resolve);
    connection.prepare(request);
  });
  await new Promise(setImmediate);
  await reset(connection);
  const error = await new Promise((resolve) => {
    (request as unknown as { userCallback: unknown }).userCallback = resolve;
    connection.execute(request, { n: 1 });
  });
  expect(error).toMatchObject({ number: 8179 });
});

test('sp_prepexec prepares and executes in one call', async () => {
  const server = closing(await startSqlEmulator());
  const { connection } = await tediousConnect(server.config());
  const outputs: [string, unknown][] = [];
  const rows: unknown[] = [];
  await new Promise<void>((resolve, reject) => {
    const request = new Request('sp_prepexec', (error) => (error ? reject(error) : resolve()));
    request.addOutputParameter('handle', TYPES.Int);
    request.addParameter('params', TYPES.NVarChar, '@a int');
    request.addParameter('stmt', TYPES.NVarChar, 'SELECT @a + 1');
    request.addParameter('a', TYPES.Int, 41);
    request.on('returnValue', (name, value) => outputs.push([name, value]));
    request.on('row', (columns: { value: unknown }[]) => rows.push(columns[0]?.value));
    connection.callProcedure(request);
  });
  expect(rows).toEqual([42]);
  expect(outputs).toEqual([['handle', 1]]);
});

test('a declared parameter that is not sent is an error: 8178', async () => {
  const server = closing(await startSqlEmulator());
  const pool = await mssqlPool(server.config());
  const request = pool.request().input('stmt', sql.NVarChar, 'SELECT @a').input('params', sql.NVarChar, '@a int');
  expect(await rejection(request.execute('sp_executesql'))).toMatchObject({ number: 8178 });
});

test('a statement with a syntax error is not prepared, and the session stays usable', async () => {
  const server = closing(await startSqlEmulator());
  const { connection } = await tediousConnect(server.config());
  expect(await rejection(execute(connection, 'SELECT @a', { parameters: [] }))).toMatchObject({ number: 137 });
  expect(await execute(connection, 'SELECT 1')).toEqual([[1]]);
});

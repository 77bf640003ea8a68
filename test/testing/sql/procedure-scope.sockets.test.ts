import sql from 'mssql';
import type { Connection } from 'tedious';
import { describe, expect, test } from 'vitest';
import { type SqlEmulator, startSqlEmulator } from '../../../src/testing/index.js';
import { closing, execute, mssqlPool, rejection, reset, tediousConnect } from '../sql-clients.js';

async function connected(): Promise<{ server: SqlEmulator; connection: Connection }> {
  const server = closing(await startSqlEmulator());
  const { connection } = await tediousConnect(server.config({ database: 'app' }));
  return { server, connection };
}

const ISOLATION = 'SELECT transaction_isolation_level FROM sys.dm_exec_sessions WHERE session_id = @@SPID';

/** What is set, the statement, and how a later statement sees it. */
const UNDONE: [string, string, string][] = [
  ['USE', 'USE other', 'SELECT DB_NAME()'],
  ['the isolation level', 'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE', ISOLATION],
  ['ROWCOUNT', 'SET ROWCOUNT 1', 'SELECT value FROM GENERATE_SERIES(1, 2)'],
  ['DATEFIRST', 'SET DATEFIRST 1', 'SELECT @@DATEFIRST'],
  ['LANGUAGE', "SET LANGUAGE 'Deutsch'", 'SELECT @@LANGUAGE'],
  ['LOCK_TIMEOUT', 'SET LOCK_TIMEOUT 250', 'SELECT @@LOCK_TIMEOUT'],
  ['XACT_ABORT', 'SET XACT_ABORT ON', 'SELECT @@OPTIONS'],
  ['several options at once', 'SET ARITHABORT, NOCOUNT ON', 'SELECT @@OPTIONS'],
  ['EXECUTE AS', "EXECUTE AS USER = 'reader'", 'SELECT SUSER_SNAME()'],
  ['a temporary table', 'CREATE TABLE #t (id int)', "SELECT OBJECT_ID('tempdb..#t')"],
];

describe('the end of sp_executesql undoes', () => {
  test.each(UNDONE)('%s', async (_, change, question) => {
    const { connection } = await connected();
    const before = await execute(connection, question, { batch: true });
    expect(await execute(connection, `${change}; ${question}`)).not.toEqual(before);
    expect(await execute(connection, question, { batch: true })).toEqual(before);
  });

  test.each(UNDONE)('%s, also after an error', async (_, change, question) => {
    const { connection } = await connected();
    const before = await execute(connection, question, { batch: true });
    expect(await rejection(execute(connection, `${change}; THROW 50001, 'stop', 1`))).toMatchObject({ number: 50001 });
    expect(await execute(connection, question, { batch: true })).toEqual(before);
  });

  test('what a prepared statement sets', async () => {
    const server = closing(await startSqlEmulator());
    const pool = await mssqlPool(server.config());
    const statement = new sql.PreparedStatement(pool);
    await statement.prepare('SET LOCK_TIMEOUT 5; USE other; SELECT @@LOCK_TIMEOUT AS n, DB_NAME() AS d');
    for (let i = 0; i < 2; i += 1) expect((await statement.execute({})).recordset).toEqual([{ n: 5, d: 'other' }]);
    await statement.unprepare();
    expect((await pool.request().batch('SELECT @@LOCK_TIMEOUT AS n, DB_NAME() AS d')).recordset).toEqual([
      { n: -1, d: 'master' },
    ]);
  });

  test('the database and the language for the client too', async () => {
    const { connection } = await connected();
    const seen: unknown[] = [];
    connection.on('databaseChange', (database) => seen.push(database));
    connection.on('languageChange' as never, (language: string) => seen.push(language));
    await execute(connection, "USE other; SET LANGUAGE 'Deutsch'");
    expect(seen).toEqual(['other', 'Deutsch', 'app', 'us_english']);
  });
});

describe('sp_executesql', () => {
  test('sees what the session has set, and its own statements do not change it', async () => {
    const { connection } = await connected();
    await execute(connection, "USE other; SET LOCK_TIMEOUT 7; CREATE TABLE #t (id int); EXECUTE AS USER = 'reader'", {
      batch: true,
    });
    const seen =
      "SELECT DB_NAME(), @@LOCK_TIMEOUT, CASE WHEN OBJECT_ID('tempdb..#t') IS NULL THEN 0 ELSE 1 END, SUSER_SNAME()";
    expect(await execute(connection, seen)).toEqual([['other', 7, 1, 'reader']]);
    expect(await execute(connection, `REVERT; REVERT; ${seen}`)).toEqual([['other', 7, 1, 'reader']]);
    await execute(connection, 'SET LOCK_TIMEOUT 8');
    expect(await execute(connection, seen, { batch: true })).toEqual([['other', 7, 1, 'reader']]);
  });

  test('leaves the session context, CONTEXT_INFO and the temporary tables of the session', async () => {
    const { server, connection } = await connected();
    await execute(connection, 'CREATE TABLE #t (id int)', { batch: true });
    await execute(connection, "EXEC sp_set_session_context N'tenant', 7; SET CONTEXT_INFO 0x0102");
    expect(await execute(connection, "SELECT CAST(SESSION_CONTEXT(N'tenant') AS int), CONTEXT_INFO()")).toEqual([
      [7, Buffer.from([1, 2])],
    ]);
    expect(server.sessions[0]?.temporaryTables).toEqual(['#t']);
  });

  test('may create a temporary table with the name of one of the session, and may drop that one', async () => {
    const { server, connection } = await connected();
    await execute(connection, 'CREATE TABLE #t (id int)', { batch: true });
    await execute(connection, 'CREATE TABLE #t (other int); DROP TABLE #t; CREATE TABLE #T (id int)');
    expect(server.sessions[0]?.temporaryTables).toEqual(['#t']);
    await execute(connection, 'DROP TABLE #t');
    expect(server.sessions[0]?.temporaryTables).toEqual([]);
  });

  test('reports an unbalanced BEGIN or COMMIT with 266, and keeps its effect', async () => {
    const { server, connection } = await connected();
    expect(await rejection(execute(connection, 'BEGIN TRAN'))).toMatchObject({
      number: 266,
      message: expect.stringContaining('Previous count = 0, current count = 1.'),
    });
    expect(await execute(connection, 'SELECT @@TRANCOUNT, @@ERROR')).toEqual([[1, 266]]);
    expect(await rejection(execute(connection, 'ROLLBACK'))).toMatchObject({
      number: 266,
      message: expect.stringContaining('Previous count = 1, current count = 0.'),
    });
    expect(server.sessions[0]?.transactionDepth).toBe(0);
    expect(server.queries.at(-1)?.error).toBe(266);
    await execute(connection, 'BEGIN TRAN; SAVE TRAN s; ROLLBACK TRAN s; COMMIT');
    expect(await execute(connection, 'SELECT @@TRANCOUNT')).toEqual([[0]]);
  });

  test('reports only the error if XACT_ABORT rolls the transaction back', async () => {
    const { server, connection } = await connected();
    await execute(connection, 'SET XACT_ABORT ON; BEGIN TRAN', { batch: true });
    expect(await rejection(execute(connection, "THROW 50001, 'stop', 1"))).toMatchObject({ number: 50001 });
    expect(server.sessions[0]?.transactionDepth).toBe(0);
  });

  test('does not prevent a reset with its EXECUTE AS', async () => {
    const { connection } = await connected();
    await execute(connection, "EXECUTE AS USER = 'reader'");
    await reset(connection);
    expect(await execute(connection, 'SELECT SUSER_SNAME()')).toEqual([['sa']]);
  });
});

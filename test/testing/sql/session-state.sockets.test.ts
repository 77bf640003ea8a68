import { once } from 'node:events';
import type { Connection } from 'tedious';
import { describe, expect, test } from 'vitest';
import { type SqlEmulator, startEntraEmulator, startSqlEmulator } from '../../../src/testing/index.js';
import { closing, execute, rejection, reset, tediousConnect } from '../sql-clients.js';

async function connected(): Promise<{ server: SqlEmulator; connection: Connection }> {
  const server = closing(await startSqlEmulator());
  const { connection } = await tediousConnect(server.config({ database: 'app' }));
  return { server, connection };
}

describe('a reset', () => {
  test.each<[string, string, string, unknown, unknown]>([
    ['the database', 'USE other', 'SELECT DB_NAME()', 'other', 'app'],
    ['SET options', 'SET LOCK_TIMEOUT 250', 'SELECT @@LOCK_TIMEOUT', 250, -1],
    ['SET options that a function reports', 'SET ARITHABORT ON', "SELECT SESSIONPROPERTY('ARITHABORT')", 1, 0],
    ['the language', "SET LANGUAGE 'Deutsch'", 'SELECT @@LANGUAGE', 'Deutsch', 'us_english'],
    [
      'the session context',
      "EXEC sp_set_session_context N'tenant', 7",
      "SELECT CAST(SESSION_CONTEXT(N'TENANT') AS int)",
      7,
      null,
    ],
    ['CONTEXT_INFO', 'SET CONTEXT_INFO 0x0102', 'SELECT CONTEXT_INFO()', Buffer.from([1, 2]), null],
    [
      'lock_timeout in sys.dm_exec_sessions',
      'SET LOCK_TIMEOUT 5',
      'SELECT s.lock_timeout FROM sys.dm_exec_sessions AS s WHERE s.session_id = @@SPID',
      5,
      -1,
    ],
    [
      'but not the isolation level, as in SQL Server',
      'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE',
      'SELECT transaction_isolation_level FROM sys.dm_exec_sessions WHERE session_id = @@SPID',
      4,
      4,
    ],
  ])('undoes %s', async (_, change, question, before, after) => {
    const { connection } = await connected();
    await execute(connection, change, { batch: true });
    expect(await execute(connection, question)).toEqual([[before]]);
    // Not tedious's own reset(), which sets its options again.
    (connection as unknown as { resetConnectionOnNextRequest: boolean }).resetConnectionOnNextRequest = true;
    expect(await execute(connection, question)).toEqual([[after]]);
  });

  test('drops temporary tables', async () => {
    const { server, connection } = await connected();
    await execute(connection, "CREATE TABLE #t (id int, name nvarchar(10) DEFAULT (N'x'))", { batch: true });
    expect(await execute(connection, "SELECT CASE WHEN OBJECT_ID('tempdb..#T') IS NULL THEN 0 ELSE 1 END")).toEqual([
      [1],
    ]);
    expect(server.sessions[0]?.temporaryTables).toEqual(['#t']);
    expect(await rejection(execute(connection, 'CREATE TABLE #T (id int)', { batch: true }))).toMatchObject({
      number: 2714,
    });
    await reset(connection);
    expect(server.sessions[0]?.temporaryTables).toEqual([]);
    await execute(connection, 'DROP TABLE IF EXISTS #t', { batch: true });
    expect(await rejection(execute(connection, 'DROP TABLE #t', { batch: true }))).toMatchObject({ number: 3701 });
  });

  test('ends the session while EXECUTE AS is in effect', async () => {
    const { connection } = await connected();
    await execute(connection, "EXECUTE AS USER = 'report_reader'", { batch: true });
    expect(await execute(connection, 'SELECT SUSER_SNAME(), ORIGINAL_LOGIN()')).toEqual([['report_reader', 'sa']]);
    const ended = once(connection, 'end');
    expect(await rejection(reset(connection))).toMatchObject({ number: 18059 });
    await ended;
  });

  test('works after EXECUTE AS is reverted', async () => {
    const { connection } = await connected();
    await execute(connection, "EXECUTE AS LOGIN = 'reader'; REVERT; REVERT", { batch: true });
    await reset(connection);
    expect(await execute(connection, 'SELECT SUSER_SNAME()')).toEqual([['sa']]);
  });

  test('ends a session with an expired token if expiry is enforced at reset', async () => {
    let now = Date.now();
    const entra = closing(await startEntraEmulator({ now: () => now }));
    const server = closing(await startSqlEmulator({ entra, enforceExpiry: 'reset', now: () => now }));
    const { connection } = await tediousConnect(server.config() as never);
    now += 3_599_000;
    await reset(connection);
    expect(server.sessions).toMatchObject([{ resets: 1 }]);
    now += 2000;
    expect(await execute(connection, 'SELECT 1')).toEqual([[1]]);
    expect(await rejection(reset(connection))).toMatchObject({ number: 18456, state: 233 });
    await expect.poll(() => server.sessions).toEqual([]);
  });
});

test('a read-only key stays in the session context until the session is reset', async () => {
  const { server, connection } = await connected();
  const set = (value: string) =>
    execute(connection, `EXEC sys.sp_set_session_context @key = N'user_id', @value = ${value}, @read_only = 1`, {
      batch: true,
    });
  await set("N'ada'");
  expect(await rejection(set("N'eve'"))).toMatchObject({ number: 15664 });
  expect(server.sessions[0]?.context).toEqual({ user_id: 'ada' });
  await reset(connection);
  await set("N'eve'");
  expect(server.sessions[0]?.context).toEqual({ user_id: 'eve' });
});

test('ROWCOUNT limits the rows, and NOCOUNT omits the row count', async () => {
  const { connection } = await connected();
  await execute(connection, 'SET ROWCOUNT 2', { batch: true });
  expect(await execute(connection, 'SELECT value FROM GENERATE_SERIES(1, 5)')).toEqual([[1], [2]]);
  await execute(connection, 'SET ROWCOUNT 0', { batch: true });
  expect(await execute(connection, 'SELECT value FROM GENERATE_SERIES(1, 3)')).toHaveLength(3);
});

describe('startup queries of applications', () => {
  test.each([
    ["SELECT OBJECT_ID(N'dbo.users', N'U')", [[null]]],
    ["SELECT CHARINDEX('b', 'ABC'), CHARINDEX('', 'x'), CHARINDEX('c', 'abcabc', 4)", [[2, 0, 6]]],
    ["SELECT DB_ID('master'), DB_ID('nowhere'), DB_ID()", [[1, null, 5]]],
    ["SELECT SERVERPROPERTY('ProductMajorVersion'), SERVERPROPERTY('EngineEdition')", [['16', 3]]],
    ["SELECT name FROM sys.databases WHERE name = N'APP'", [['app']]],
    ["SELECT COUNT(*) AS n FROM sys.databases WHERE name NOT IN ('master', 'tempdb', 'model', 'msdb')", [[1]]],
    [
      "SELECT d.name FROM master.sys.databases d WITH (NOLOCK) WHERE d.name LIKE 'm%' ORDER BY d.name DESC",
      [['msdb'], ['model'], ['master']],
    ],
    ['SELECT TOP (1) database_id, name FROM sys.databases ORDER BY database_id', [[1, 'master']]],
    ["SELECT DATABASEPROPERTYEX(DB_NAME(), 'Updateability')", [['READ_WRITE']]],
    ['SELECT login_name, program_name FROM sys.dm_exec_sessions WHERE session_id = @@SPID', [['sa', 'Tedious']]],
  ])('%s', async (sql, rows) => {
    const { connection } = await connected();
    expect(await execute(connection, sql)).toEqual(rows);
  });

  test.each(["SET LANGUAGE 'Deutsch'", "SET LANGUAGE N'Deutsch'", 'SET LANGUAGE [Deutsch]', 'set language Deutsch'])(
    '%s announces the language, as SQL Server does',
    async (statement) => {
      const { connection } = await connected();
      const seen: unknown[] = [];
      connection.on('languageChange' as never, (language: string) => seen.push(language));
      connection.on('infoMessage', ({ number, message }) => seen.push([number, message]));
      await execute(connection, statement, { batch: true });
      expect(seen).toEqual(['Deutsch', [5703, 'Changed language setting to Deutsch.']]);
      expect(await execute(connection, 'SELECT @@LANGUAGE')).toEqual([['Deutsch']]);
    },
  );

  test('a read-only database reports that it is read-only', async () => {
    const { server, connection } = await connected();
    server.setReadOnly(true);
    expect(await execute(connection, "SELECT DATABASEPROPERTYEX('app', 'Updateability')")).toEqual([['READ_ONLY']]);
    expect(await execute(connection, "SELECT is_read_only FROM sys.databases WHERE name = 'app'")).toEqual([[true]]);
  });

  test.each([
    ['SELECT nothing FROM sys.databases', 207],
    ['SELECT x.name FROM sys.databases d', 4104],
    ['SELECT name FROM sys.tables', 208],
    ['SELECT name', 207],
    ['SELECT *', 263],
    ["EXEC sp_set_session_context N'k'", 201],
  ])("%s gets SQL Server's own error", async (sql, number) => {
    const { connection } = await connected();
    expect(await rejection(execute(connection, sql, { batch: true }))).toMatchObject({ number });
  });
});

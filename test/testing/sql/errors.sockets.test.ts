import { type Connection, Request } from 'tedious';
import { describe, expect, test } from 'vitest';
import { startSqlEmulator } from '../../../src/testing/index.js';
import { closing, execute, rejection, tediousConnect } from '../sql-clients.js';

async function connect() {
  const server = closing(await startSqlEmulator());
  return await tediousConnect(server.config());
}

describe('errors', () => {
  test.each([
    ["RAISERROR('no %s of %d', 16, 3, 'luck', 7)", { number: 50000, class: 16, state: 3, message: 'no luck of 7' }],
    ["RAISERROR(N'100%% sure', 11, 1)", { number: 50000, class: 11, message: '100% sure' }],
    ["THROW 50123, 'thrown', 9", { number: 50123, class: 16, state: 9, message: 'thrown' }],
    ["THROW 1205, 'a deadlock', 1", { number: 1205, message: 'a deadlock' }],
    ['RAISERROR(40613, 17, 1)', { number: 40613, class: 17 }],
    ['SELECT 1/0', { number: 8134, message: 'Divide by zero error encountered.' }],
    [
      "SELECT CAST('x' AS int)",
      { number: 245, message: "Conversion failed when converting the varchar value 'x' to data type int." },
    ],
    ['SELECT CAST(300 AS tinyint)', { number: 220 }],
    ['SELECT 2147483647 + 1', { number: 8115 }],
    ['SELEKT 1', { number: 102, class: 15, message: "Incorrect syntax near 'SELEKT'." }],
    ['SELECT 1 +', { number: 102, message: "Incorrect syntax near '+'." }],
    ['SELECT 1 FROM', { number: 102 }],
    ["SELECT 'open", { number: 105 }],
    ['SELECT * FROM dbo.orders', { number: 208, message: "Invalid object name 'dbo.orders'." }],
    ['INSERT INTO t (a) VALUES (1)', { number: 208, message: "Invalid object name 't'." }],
    ['EXEC dbo.nothing 1', { number: 2812, message: "Could not find stored procedure 'dbo.nothing'." }],
    ['SELECT nothing', { number: 207, message: "Invalid column name 'nothing'." }],
    ['SELECT @nothing', { number: 137 }],
    ['SELECT @@nothing', { number: 137 }],
    [
      'SELECT FORMATMESSAGE(1)',
      { number: 195, message: "'formatmessage' is not a recognized built-in function name." },
    ],
    ['SELECT dbo.f(1)', { number: 4121 }],
    ['SELECT CONVERT(varchar(30), GETDATE(), 999)', { number: 281 }],
    ["WAITFOR DELAY 'soon'", { number: 148 }],
    ["WAITFOR DELAY '25:00'", { number: 148 }],
    ["WAITFOR DELAY '00:60'", { number: 148 }],
    ['SELECT CAST(1 AS foo)', { number: 243, message: 'Type foo is not a defined system type.' }],
    ['SELECT CONVERT(foo, 1)', { number: 243 }],
    ['SELECT LEN(1, 2)', { number: 174, message: 'The len function requires 1 argument(s).' }],
    ['SELECT GETDATE(1)', { number: 174, message: 'The getdate function requires 0 argument(s).' }],
    ['SELECT SUBSTRING(0x61, 1)', { number: 174, message: 'The substring function requires 3 argument(s).' }],
    ["SELECT CHARINDEX('a')", { number: 189, message: 'The charindex function requires 2 to 3 arguments.' }],
    ["RAISERROR('m', 19, 1)", { number: 2754 }],
    ["RAISERROR('m', 19, 1) WITH NOWAIT", { number: 2754 }],
    ["RAISERROR('m', 19, 1) WITH NOWAIT, LOG", { number: 50_000, class: 19 }],
    ['THROW', { number: 10_704 }],
    ['THROW;', { number: 10_704 }],
    ['IF 1 = 1 BEGIN THROW END', { number: 10_704 }],
  ])('%s', async (statement, error) => {
    const { connection } = await connect();
    expect(await rejection(execute(connection, statement, { batch: true }))).toMatchObject(error);
    expect(await execute(connection, 'SELECT 1')).toEqual([[1]]);
  });

  test('report their line number', async () => {
    const { connection } = await connect();
    const error = await rejection(execute(connection, "SELECT 1\n\nTHROW 50000, 'here', 1", { batch: true }));
    expect(error).toMatchObject({ lineNumber: 3 });
  });

  test('of class 10 and below are information', async () => {
    const { connection } = await connect();
    const said: unknown[] = [];
    connection.on('infoMessage', ({ number, message }) => said.push([number, message]));
    expect(await execute(connection, "PRINT 'hello'; RAISERROR('by the way', 10, 1); SELECT 1")).toEqual([[1]]);
    expect(said).toEqual([
      [0, 'hello'],
      [50000, 'by the way'],
    ]);
  });

  test('of class 20 end the session', async () => {
    const { connection } = await connect();
    expect(await rejection(execute(connection, "RAISERROR('fatal', 20, 1) WITH LOG"))).toMatchObject({ class: 20 });
    await expect.poll(() => connection.closed).toBe(true);
  });

  test('of RAISERROR continue the batch, those of THROW end it', async () => {
    const { connection } = await connect();
    const { rows, error } = await rowsAndError(
      connection,
      "RAISERROR('one', 16, 1); SELECT 1; THROW 50002, 'two', 1; SELECT 2",
    );
    expect(rows).toEqual([1]);
    expect(error).toMatchObject({ errors: [{ message: 'one' }, { message: 'two' }] });
  });

  test('are available in @@ERROR for one statement', async () => {
    const { connection } = await connect();
    const { rows } = await rowsAndError(connection, "RAISERROR('x', 16, 1); SELECT @@ERROR; SELECT @@ERROR");
    expect(rows).toEqual([50000, 0]);
  });
});

/** First column of all rows that came before, between and after the errors. */
async function rowsAndError(connection: Connection, statement: string): Promise<{ rows: unknown[]; error: unknown }> {
  const rows: unknown[] = [];
  const error = await new Promise((resolve) => {
    const request = new Request(statement, resolve);
    request.on('row', (columns: { value: unknown }[]) => rows.push(columns[0]?.value));
    connection.execSqlBatch(request);
  });
  return { rows, error };
}

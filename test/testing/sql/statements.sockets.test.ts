import sql from 'mssql';
import { describe, expect, test } from 'vitest';
import { startSqlEmulator } from '../../../src/testing/index.js';
import { closing, execute, mssqlPool, tediousConnect } from '../sql-clients.js';

describe('the SQL it answers', () => {
  test.each<[string, unknown[][]]>([
    ['SELECT 1, 2 AS two, three = 3, 4 four', [[1, 2, 3, 4]]],
    ["SELECT 'it''s', N'né', '' ", [["it's", 'né', '']]],
    ['SELECT -5 + 2 * 3, (1 + 2) * 3, 7 / 2, 7 % 4, -7 / 2', [[1, 9, 3, 3, -3]]],
    ['SELECT 7 / 2.0, 1.10 + 2.205, 2 * 1.5, 10 - 0.25', [[3.5, 3.305, 3, 9.75]]],
    ["SELECT 'a' + 'b' + N'c', 'n=' + CAST(5 AS varchar(10)), '5' + 1", [['abc', 'n=5', 6]]],
    ["SELECT NULL + 1, 'a' + NULL, CONCAT('a', NULL, 1)", [[null, null, 'a1']]],
    ["SELECT LEN('abc  '), DATALENGTH(N'abc'), UPPER('aé'), LOWER('AÉ'), REVERSE('abc')", [[3, 6, 'AÉ', 'aé', 'cba']]],
    [
      "SELECT LEFT('abcdef', 2), RIGHT('abcdef', 2), SUBSTRING('abcdef', 2, 3), TRIM('  x ')",
      [['ab', 'ef', 'bcd', 'x']],
    ],
    [
      "SELECT REPLACE('a-b-c', '-', '$&'), REPLICATE('ab', 3), ISNULL(NULL, 'x'), COALESCE(NULL, NULL, 7)",
      [['a$&b$&c', 'ababab', 'x', 7]],
    ],
    [
      "SELECT NULLIF(1, 1), ABS(-3), CASE WHEN 1 > 2 THEN 'a' ELSE 'b' END, CASE 3 WHEN 3 THEN 'three' END",
      [[null, 3, 'b', 'three']],
    ],
    ['SELECT DB_NAME(), SUSER_SNAME(), @@TRANCOUNT, @@ROWCOUNT, @@ERROR', [['master', 'sa', 0, 0, 0]]],
    ["SELECT SERVERPROPERTY('EngineEdition'), SERVERPROPERTY('nothing')", [[3, null]]],
    ['SELECT value FROM GENERATE_SERIES(1, 3)', [[1], [2], [3]]],
    [
      'SELECT s.value * 2 AS even, value FROM GENERATE_SERIES(3, 1) AS s',
      [
        [6, 3],
        [4, 2],
        [2, 1],
      ],
    ],
    ['SELECT TOP (2) value FROM GENERATE_SERIES(10, 100, 10) WHERE value > 20 AND NOT value = 40', [[30], [50]]],
    ['SELECT * FROM GENERATE_SERIES(1, 0, 1)', []],
    ["DECLARE @a int = 5, @b nvarchar(10); SET @a = @a + 1; SELECT @b = N'x', @a = @a * 2; SELECT @a, @b", [[12, 'x']]],
    [
      'SET NOCOUNT ON; SET ANSI_NULLS, QUOTED_IDENTIFIER ON; SET LANGUAGE us_english; SET LOCK_TIMEOUT -1; SELECT 1',
      [[1]],
    ],
    ['USE other; SELECT DB_NAME()', [['other']]],
    ['IF 1 = 2 SELECT 1 ELSE BEGIN SELECT 2; SELECT 3 END', [[2], [3]]],
    ["SELECT 1 -- comment\n/* SELECT 2 */ WHERE 'A' = 'a ' OR NULL IS NOT NULL", [[1]]],
    ["SELECT TRY_CAST('x' AS int), CONVERT(varchar(30), 12.5), CAST(12.7 AS int)", [[null, '12.5', 12]]],
    [
      "SELECT CAST('2024-02-29 13:14:15' AS datetime2(0)), CAST(CAST('2024-02-29T13:14:15+02:00' AS datetimeoffset(0)) AS varchar(40))",
      [[new Date('2024-02-29T13:14:15Z'), '2024-02-29 13:14:15 +02:00']],
    ],
  ])('%s', async (statement, rows) => {
    const server = closing(await startSqlEmulator());
    const { connection } = await tediousConnect(server.config());
    expect(await execute(connection, statement, { batch: true })).toEqual(rows);
  });

  test('the current time is returned', async () => {
    const server = closing(await startSqlEmulator());
    const { connection } = await tediousConnect(server.config());
    const before = Date.now();
    const [row = []] = await execute(connection, 'SELECT SYSUTCDATETIME(), GETUTCDATE(), SYSDATETIMEOFFSET()');
    for (const time of row as Date[]) expect(Math.abs(time.getTime() - before)).toBeLessThan(5000);
  });

  test('parameters of several types in one statement', async () => {
    const server = closing(await startSqlEmulator());
    const pool = await mssqlPool(server.config());
    const { recordset } = await pool
      .request()
      .input('a', sql.Int, 2)
      .input('b', sql.Decimal(10, 3), 1.125)
      .input('c', sql.NVarChar, 'x')
      .input('d', sql.Bit, true)
      .query('SELECT @a * @b AS product, @c + @c AS twice, @d AS flag');
    expect(recordset).toEqual([{ product: 2.25, twice: 'xx', flag: true }]);
  });
});

describe('multiple result sets', () => {
  test('arrive in order with their row counts', async () => {
    const server = closing(await startSqlEmulator());
    const pool = await mssqlPool(server.config());
    const { recordsets, rowsAffected } = await pool.query('SELECT 1 AS a; SELECT value FROM GENERATE_SERIES(1, 3)');
    expect(recordsets).toEqual([[{ a: 1 }], [{ value: 1 }, { value: 2 }, { value: 3 }]]);
    expect(rowsAffected).toEqual([1, 3]);
  });
});

test('each session has its own @@SPID', async () => {
  const server = closing(await startSqlEmulator());
  const spids = [];
  for (let i = 0; i < 2; i += 1) {
    const { connection } = await tediousConnect(server.config());
    spids.push((await execute(connection, 'SELECT @@SPID'))[0]?.[0]);
  }
  expect(new Set(spids).size).toBe(2);
  expect(server.logins.map(({ spid }) => spid)).toEqual(spids);
});

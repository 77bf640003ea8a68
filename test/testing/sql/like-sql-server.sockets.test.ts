import { expect, test } from 'vitest';
import { startSqlEmulator } from '../../../src/testing/index.js';
import { closing, execute, rejection, tediousConnect } from '../sql-clients.js';

/** Results and error numbers of SQL Server. */
const EXPECTED: [string, unknown[] | number][] = [
  ["LEFT('abc', 2), RIGHT('abc', 2), LEFT('abc', 0)", ['ab', 'bc', '']],
  ["LEFT('abc', -1)", 536],
  ["RIGHT('abc', -1)", 536],
  ["SUBSTRING('hello', 1, -1)", 537],
  ["SUBSTRING('works', 0, 3), SUBSTRING('works', 2, 100)", ['wo', 'orks']],
  ["REPLICATE('a', -1), REPLICATE('ab', 2), REPLICATE('a', 0)", [null, 'abab', '']],
  ['STR(123.456, 6, 1), STR(123.456), STR(12345, 3)', [' 123.5', '       123', '***']],
  ['STR(-1.5, 5, 1), STR(1234.567, 6, 2), STR(NULL), STR(1, -1)', [' -1.5', '1234.6', null, null]],
  ["CONVERT(varchar(10), CAST('2024-02-29T13:14:15' AS datetime), 120)", ['2024-02-29']],
  ["CONVERT(varchar(30), CAST('2024-02-29T13:14:15.123' AS datetime), 121)", ['2024-02-29 13:14:15.123']],
  ["CONVERT(varchar(30), CAST('2024-02-29T13:14:15.123' AS datetime), 112)", ['20240229']],
  ["CONVERT(varchar(30), CAST('2024-02-29T13:14:15' AS datetime2(3)), 126)", ['2024-02-29T13:14:15.000']],
  ["CONVERT(varchar(30), CAST('2024-02-29T13:14:15' AS datetime), 126)", ['2024-02-29T13:14:15']],
  [
    "CONVERT(varchar(10), CAST('2024-02-09' AS date), 101), CONVERT(char(10), CAST('2024-02-09' AS date), 103), CONVERT(varchar, CAST('2024-02-09' AS date), 104)",
    ['02/09/2024', '09/02/2024', '09.02.2024'],
  ],
  ["CONVERT(varchar(8), CAST('2024-02-29T13:14:15' AS datetime), 108)", ['13:14:15']],
  ["CAST(CAST('2024-02-29T13:14:15.123' AS datetime) AS varchar(30))", ['Feb 29 2024  1:14PM']],
  ["CAST(CAST('2024-02-09T00:14:15' AS datetime) AS varchar(30))", ['Feb  9 2024 12:14AM']],
  ["CAST(CAST('2024-02-29T13:14:15.5' AS datetime2(1)) AS varchar(30))", ['2024-02-29 13:14:15.5']],
  [
    "CONVERT(date, '09/02/2024', 103), CONVERT(date, '02/09/2024', 101)",
    [new Date('2024-02-09'), new Date('2024-02-09')],
  ],
  ['CONVERT(varchar(10), 0xABCD, 1), CONVERT(varchar(10), 0xABCD, 2)', ['0xABCD', 'ABCD']],
  [
    "CONVERT(varbinary(2), '0xABCD', 1), CONVERT(varbinary(2), 'abcd', 2)",
    [Buffer.from('abcd', 'hex'), Buffer.from('abcd', 'hex')],
  ],
  ["CONVERT(varbinary(2), 'xyz', 2)", 8114],
  ['CAST(123456 AS varchar(3)), CAST(123456 AS char(3)), CAST(CAST(300 AS smallint) AS varchar(2))', ['*', '*  ', '*']],
  ['CAST(123456 AS nvarchar(3))', 8115],
  ['CAST(1234.5 AS varchar(3))', 8115],
  ["CAST('2024-02-30' AS date)", 241],
  ["CAST('2024-02-30' AS datetime)", 242],
  ["CAST('1752-12-31' AS datetime)", 242],
  ["CAST('1752-12-31' AS datetime2), CAST('1753-01-01' AS datetime)", [new Date('1752-12-31'), new Date('1753-01-01')]],
  ["CAST('1899-12-31' AS smalldatetime)", 242],
  ["CAST('2079-06-07' AS smalldatetime)", 242],
  ["CAST('2079-06-06' AS smalldatetime)", [new Date('2079-06-06')]],
  ...['2020-13-01', '2020-00-10', '2020-01-00', '2020-01-32', '20201301', '0000-01-01', '2020-1301'].map(
    (text): [string, number] => [`CAST('${text}' AS date)`, 241],
  ),
  ...['24:00', '12:60', '12:00:60', '2020-13-01T10:00:00'].map((text): [string, number] => [
    `CAST('${text}' AS time)`,
    241,
  ]),
  ...['datetime2', 'datetimeoffset', 'time', 'date'].map((type): [string, number] => [
    `CONVERT(${type}, '2020-13-01 10:00')`,
    241,
  ]),
  ...['2020-13-01', '20200001', '2020-01-01 24:00', '2020-01-01 12:00:60'].flatMap((text): [string, number][] => [
    [`CAST('${text}' AS datetime)`, 242],
    [`CONVERT(smalldatetime, '${text}')`, 242],
  ]),
  ["CONVERT(date, '13/13/2020', 101)", 241],
  ["TRY_CAST('2020-13-01' AS date)", [null]],
  ["CAST('2020-01-01 10:00 +15:00' AS datetimeoffset)", 241],
  ["CAST('2020-01-01 10:00 +01:60' AS datetimeoffset)", 241],
  ["CAST('0001-01-01 00:00 +01:00' AS datetimeoffset)", 241],
  ["CAST('9999-12-31 23:30 -01:00' AS datetimeoffset)", 241],
  [
    "CAST('0099-03-01' AS date), CAST('20201231' AS date), CAST('2020-01-01 23:30 -01:00' AS datetimeoffset)",
    [new Date('0099-03-01'), new Date('2020-12-31'), new Date('2020-01-02T00:30:00Z')],
  ],
  ['CAST(256 AS tinyint)', 220],
  ['CAST(40000 AS smallint)', 220],
  ["CAST('256' AS tinyint)", 244],
  ["CAST('3000000000' AS int)", 248],
  ['CAST(3000000000 AS int)', 8115],
  ['CAST(255 AS tinyint) + CAST(1 AS tinyint)', 8115],
  ['1e400', 168],
  ['123456789012345678901234567890123456789', 1007],
  ['0.123456789012345678901234567890123456789', 1007],
  ['000000000000000000000000000000000000000000000000001', [1]],
  ['$5, -$1.5, $.25, $1.99999', [5, -1.5, 0.25, 2]],
  ['$922337203685477.5807, -$922337203685477.5808', [922337203685477.6, -922337203685477.6]],
  ['$922337203685477.5808', 8115],
  ['-$922337203685477.5809', 8115],
  ['$99999999999999999999', 8115],
  ['$922337203685477 + $1', 8115],
  ['-CAST(-$922337203685477.5808 AS money)', 8115],
  ['$922337203685477 * $2, 1', 8115],
  ["CAST('922337203685477.5808' AS money)", 8115],
  ['CAST(1e30 AS money)', 8115],
  ['CAST(214748.3648 AS smallmoney)', 8115],
  ['CAST(-214748.3648 AS smallmoney)', [-214748.3648]],
  ["CASE WHEN 'b' LIKE '%' + REPLICATE('a', 7999) THEN 1 ELSE 0 END", [0]],
  ["CASE WHEN 'b' LIKE REPLICATE(CAST('a' AS varchar(max)), 8001) THEN 1 ELSE 0 END", 8152],
  ["CASE WHEN 'b' LIKE REPLICATE(CAST('a' AS nvarchar(max)), 4001) THEN 1 ELSE 0 END", 8152],
  ["CAST('2020-00-10' AS date)", 241],
  ["CAST('2020-12-32' AS datetime2)", 241],
  ['1 /* a /* b */ c */ + 1 -- d /*', [2]],
  ['1 /* a /* b */', 113],
  ["CASE WHEN 'a ' LIKE 'a' THEN 1 ELSE 0 END, CASE WHEN 'a' LIKE 'a ' THEN 1 ELSE 0 END", [1, 0]],
  ["CASE WHEN N'a ' LIKE N'a' THEN 1 ELSE 0 END", [0]],
  [
    "CASE WHEN 'a[b' LIKE 'a[[]b' THEN 1 ELSE 0 END, CASE WHEN 'abc' LIKE '[^x]B_' THEN 1 ELSE 0 END, CASE WHEN 'd' LIKE '[a-c]' THEN 1 ELSE 0 END",
    [1, 1, 0],
  ],
  ["CASE WHEN '50%' LIKE '50[%]' THEN 1 ELSE 0 END, CASE WHEN '505' LIKE '50[%]' THEN 1 ELSE 0 END", [1, 0]],
  ["SERVERPROPERTY('EngineEdition'), SERVERPROPERTY('ProductMajorVersion'), SERVERPROPERTY('none')", [3, '16', null]],
  ["CASE WHEN SERVERPROPERTY('EngineEdition') = 5 THEN 'Azure' ELSE 'box' END", ['box']],
  ['DISTINCT 1', 156],
  [
    "'€“š', CAST('€“š' AS varbinary(3)), CAST(0x809A AS varchar(2)), N'€“š'",
    ['€“š', Buffer.from([0x80, 0x93, 0x9a]), '€š', '€“š'],
  ],
  ["CAST(N'日é' AS varchar(2))", ['?é']],
];

test.each(EXPECTED)('SELECT %s', async (expressions, expected) => {
  const server = closing(await startSqlEmulator());
  const { connection } = await tediousConnect(server.config() as never);
  const outcome = execute(connection, `SELECT ${expressions}`, { batch: true });
  if (typeof expected === 'number') expect(await rejection(outcome)).toMatchObject({ number: expected });
  else expect(await outcome).toEqual([expected]);
});

test.each([
  ['CONVERT with a style that is not known', 'SELECT CONVERT(varchar(30), GETDATE(), 113)'],
  ['EXEC with text', "EXEC('SELECT 1')"],
  ['sp_executesql inside a batch', "EXEC sp_executesql N'SELECT 1'"],
  ['DISTINCT', 'SELECT DISTINCT 1'],
  ['CONVERT with a style that is an expression', 'SELECT CONVERT(varchar(30), GETDATE(), 100 + 12)'],
])('%s goes to onQuery', async (_, text) => {
  const server = closing(await startSqlEmulator({ onQuery: () => [{ n: 7 }] }));
  const { connection } = await tediousConnect(server.config() as never);
  expect(await execute(connection, text, { batch: true })).toEqual([[7]]);
});

test('ROLLBACK with a name needs a savepoint or the outermost transaction of that name: 6401', async () => {
  const server = closing(await startSqlEmulator());
  const { connection } = await tediousConnect(server.config() as never);
  const batch = (text: string) => execute(connection, text, { batch: true });
  await batch('BEGIN TRAN outermost; BEGIN TRAN inner_one; SAVE TRAN s');
  for (const name of ['nope', 'inner_one']) {
    expect(await rejection(batch(`ROLLBACK TRAN ${name}`))).toMatchObject({ number: 6401 });
  }
  await batch('ROLLBACK TRAN S');
  expect(await batch('SELECT @@TRANCOUNT')).toEqual([[2]]);
  await batch('ROLLBACK TRAN Outermost');
  expect(await batch('SELECT @@TRANCOUNT')).toEqual([[0]]);
});

test.each([
  ["'%d %i %s', 16, 1, 5, -6, 'x'", '5 -6 x'],
  ["'%x %X %o %#x', 16, 1, 255, 255, 8, 255", 'ff FF 10 0xff'],
  ["'%05d|%5d|%-5d|%+d', 16, 1, 7, 7, 7, 7", '00007|    7|7    |+7'],
  ["'%-5s|%5s|%.2s', 16, 1, 'ab', 'ab', 'abc'", 'ab   |   ab|ab'],
  ["'%u %x', 16, 1, -1, -1", '4294967295 ffffffff'],
  ["'100%% %d', 16, 1", '100% %d'],
])('RAISERROR(%s)', async (args, message) => {
  const server = closing(await startSqlEmulator());
  const { connection } = await tediousConnect(server.config() as never);
  const failed = rejection(execute(connection, `RAISERROR(${args})`, { batch: true }));
  expect(await failed).toMatchObject({ number: 50_000, message });
});

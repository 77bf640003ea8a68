import sql from 'mssql';
import { TYPES } from 'tedious';
import { describe, expect, test } from 'vitest';
import { startSqlEmulator } from '../../../src/testing/index.js';
import { closing, execute, mssqlPool, type Parameter, tediousConnect } from '../sql-clients.js';

const day = new Date('2024-02-29T00:00:00Z');
const moment = new Date('2024-02-29T13:14:15.123Z');
const bytes = Buffer.from([0, 1, 2, 253, 254, 255]);
const LONG = 'é'.repeat(20_000);

/** Type, value sent, value received if different. */
const ECHOES: readonly [Parameter['type'], unknown, object?, unknown?][] = [
  [TYPES.Bit, true],
  [TYPES.Bit, false],
  [TYPES.TinyInt, 255],
  [TYPES.SmallInt, -32_768],
  [TYPES.Int, -2_147_483_648],
  [TYPES.BigInt, '-9007199254740991'],
  [TYPES.Real, 1.5],
  [TYPES.Float, Math.PI],
  [TYPES.Decimal, 12_345.67, { precision: 10, scale: 2 }],
  [TYPES.Decimal, -0.001, { precision: 38, scale: 3 }],
  [TYPES.Numeric, 99_999, { precision: 5, scale: 0 }],
  [TYPES.Money, 1234.5678],
  [TYPES.Money, -1.25],
  [TYPES.SmallMoney, -214.5],
  [TYPES.Date, day],
  [TYPES.Time, new Date('1970-01-01T13:14:15.123Z'), { scale: 3 }],
  [TYPES.DateTime, new Date('2024-02-29T13:14:15.120Z')],
  [TYPES.DateTime, new Date('1753-01-01T00:00:00.000Z')],
  [TYPES.SmallDateTime, new Date('2024-02-29T13:14:00Z')],
  [TYPES.DateTime2, moment, { scale: 7 }],
  [TYPES.DateTime2, new Date('0001-01-01T00:00:00Z'), { scale: 0 }],
  [TYPES.DateTimeOffset, moment, { scale: 3 }],
  [TYPES.UniqueIdentifier, 'D3F4A1B2-0000-4111-8222-0123456789AB'],
  [TYPES.Char, 'abc  ', { length: 5 }],
  [TYPES.NChar, 'ÅÄÖ', { length: 3 }],
  [TYPES.VarChar, 'plain € “quoted”'],
  [TYPES.NVarChar, '日本語 🚀'],
  [TYPES.NVarChar, ''],
  [TYPES.VarChar, LONG, { length: 65_535 }],
  [TYPES.NVarChar, LONG],
  [TYPES.Text, 'a text'],
  [TYPES.NText, 'ein Text ß'],
  [TYPES.Binary, bytes, { length: 6 }],
  [TYPES.VarBinary, bytes],
  [TYPES.VarBinary, Buffer.alloc(100_000, 7), { length: 100_000 }],
  [TYPES.Image, bytes],
];

describe('a parameter is returned unchanged', () => {
  test.each(
    ECHOES.map(([type, value, options, back]) => ({ name: type.name, type, value, options, back: back ?? value })),
  )('$name', async ({ type, value, options, back }) => {
    const server = closing(await startSqlEmulator());
    const { connection } = await tediousConnect(server.config({ options: { useUTC: true } }));
    const parameter = { name: 'p', type, value, ...(options && { options }) };
    const [[whole, nothing] = []] = await execute(connection, 'SELECT @p AS whole, @n AS nothing', {
      parameters: [parameter, { ...parameter, name: 'n', value: null }],
    });
    if (value instanceof Date) expect((whole as Date).getTime()).toBe(value.getTime());
    else expect(whole).toEqual(back);
    expect(nothing).toBeNull();
  });

  test('as an output parameter', async () => {
    const server = closing(await startSqlEmulator());
    const pool = await mssqlPool(server.config());
    const result = await pool
      .request()
      .input('a', sql.Int, 20)
      .output('double', sql.Int)
      .output('text', sql.NVarChar(sql.MAX))
      .query("SET @double = @a * 2; SET @text = CONCAT(N'twice ', @a, N' is ', @double)");
    expect(result.output).toEqual({ double: 40, text: 'twice 20 is 40' });
  });

  test('in a table-valued parameter', async () => {
    const seen: unknown[] = [];
    const server = closing(
      await startSqlEmulator({
        onQuery: (_, parameters) => {
          seen.push(parameters.lines);
          return [];
        },
      }),
    );
    const pool = await mssqlPool(server.config());
    const table = new sql.Table('dbo.Lines');
    table.columns.add('id', sql.Int, { nullable: false });
    table.columns.add('name', sql.NVarChar(50), { nullable: true });
    table.rows.add(1, 'one');
    table.rows.add(2, null);
    await pool.request().input('lines', table).execute('save_lines');
    expect(seen).toEqual([
      {
        typeName: 'dbo.Lines',
        columns: ['int', 'nvarchar(50)'],
        rows: [
          [1, 'one'],
          [2, null],
        ],
      },
    ]);
  });
});

describe('a result has the same type as in SQL Server', () => {
  test.each([
    ['1', 'int', 1],
    ['3000000000', 'numeric', 3_000_000_000],
    ['1.50', 'numeric', 1.5],
    ['1e3', 'float', 1000],
    ["'a'", 'varchar', 'a'],
    ["N'a'", 'nvarchar', 'a'],
    ['0x0102', 'varbinary', Buffer.from([1, 2])],
    ['CAST(1 AS bigint)', 'bigint', '1'],
    ['CAST(1 AS bit)', 'bit', true],
    ["CAST('2024-02-29' AS date)", 'date', day],
    ["CAST('12.345' AS decimal(5,2))", 'decimal', 12.35],
    ['CAST(12.5 AS money)', 'money', 12.5],
    ["CAST('x' AS char(3))", 'char', 'x  '],
    ["CAST('2024-02-29 23:59:59.9999' AS datetime)", 'datetime', new Date('2024-03-01T00:00:00Z')],
    ["CAST(N'x' AS xml)", 'xml', 'x'],
    ["CAST(N'x' AS sql_variant)", 'variant', 'x'],
    ['CAST(7 AS sql_variant)', 'variant', 7],
  ])('%s', async (expression, type, value) => {
    const server = closing(await startSqlEmulator());
    const pool = await mssqlPool(server.config());
    const { recordset } = await pool.query(`SELECT ${expression} AS v`);
    expect(recordset[0].v).toEqual(value);
    const declared = recordset.columns.v?.type as unknown as
      | { declaration: string }
      | (() => { type: { declaration: string } });
    const { declaration } = typeof declared === 'function' && !('declaration' in declared) ? declared().type : declared;
    expect(declaration).toBe(type);
  });
});

import sql from 'mssql';
import { describe, expect, test } from 'vitest';
import { type QueryHandler, type QueryResult, type QueryRow, startSqlEmulator } from '../../../src/testing/index.js';
import { closing, mssqlPool, rejection } from '../sql-clients.js';

async function poolWith(onQuery: QueryHandler): Promise<sql.ConnectionPool> {
  const server = closing(await startSqlEmulator({ onQuery }));
  return await mssqlPool(server.config());
}

describe('onQuery', () => {
  test('answers only what the emulator does not support', async () => {
    const asked: unknown[] = [];
    const pool = await poolWith((statement, parameters, session) => {
      asked.push([statement, parameters, session.principal]);
      return [{ id: 1, name: 'one', price: 1.5, at: new Date(0), raw: Buffer.from('x'), flag: true, none: null }];
    });
    expect((await pool.query`SELECT 1 AS one`).recordset).toEqual([{ one: 1 }]);
    const { recordset } = await pool.request().input('id', sql.Int, 7).query('SELECT * FROM items WHERE id = @id');
    expect(recordset).toEqual([
      { id: 1, name: 'one', price: 1.5, at: new Date(0), raw: Buffer.from('x'), flag: true, none: null },
    ]);
    expect(asked).toEqual([['SELECT * FROM items WHERE id = @id', { id: 7 }, 'sa']]);
  });

  test('returns typed columns and rows as arrays', async () => {
    const pool = await poolWith(() => ({
      columns: [{ name: 'total', type: 'decimal(10,2)' }, { name: 'big', type: 'bigint' }, 'note'],
      rows: [
        [1.005, 9_007_199_254_740_993n, null],
        ['12.34', 2, 'text'],
      ],
    }));
    const { recordset } = await pool.query`SELECT * FROM totals`;
    expect(recordset).toEqual([
      { total: 1.01, big: '9007199254740993', note: null },
      { total: 12.34, big: '2', note: 'text' },
    ]);
    expect(recordset.columns.total).toMatchObject({ precision: 10, scale: 2 });
  });

  test('returns a result set without rows for []', async () => {
    const pool = await poolWith(() => []);
    expect((await pool.query`SELECT * FROM orders WHERE id = 9`).recordset).toHaveLength(0);
  });

  test.each<[unknown, string]>([
    [null, 'onQuery returned null; return rows'],
    ['hello', 'onQuery returned a string; return rows'],
    [5, 'onQuery returned a number; return rows'],
    [{ id: 7 }, "onQuery returned an object with the key 'id'"],
    [{ rowsAffected: 1.5 }, 'onQuery: rowsAffected is 1.5'],
    [[{ id: 1, data: { a: 1 } }], 'onQuery: column "data": a value of type \'object\' cannot be sent as'],
  ])('that returns %j fails the query with what to return instead', async (result, message) => {
    const pool = await poolWith(() => result as never);
    expect((await rejection(pool.query`SELECT * FROM orders`)).message).toContain(message);
  });

  test('returns a row count', async () => {
    const pool = await poolWith(async () => ({ rowsAffected: 3 }));
    expect((await pool.query`DELETE FROM t`).rowsAffected).toEqual([3]);
  });

  test('streams rows from an async generator', async () => {
    const pool = await poolWith(() => ({
      columns: [{ name: 'n', type: 'int' }],
      rows: (async function* () {
        for (let n = 1; n <= 2500; n += 1) yield [n];
      })(),
    }));
    const { recordset } = await pool.query`SELECT n FROM numbers`;
    expect(recordset).toHaveLength(2500);
    expect(recordset.at(-1)).toEqual({ n: 2500 });
  });

  test('answers procedure calls, with output parameters and a return status', async () => {
    const pool = await poolWith((statement, { a }) => {
      if (statement !== 'EXEC dbo.twice') return undefined;
      return { rows: [{ a }], outputs: { result: (a as number) * 2 }, returnStatus: 5, more: [{ rows: [{ b: 1 }] }] };
    });
    const result = await pool.request().input('a', sql.Int, 21).output('result', sql.Int).execute('dbo.twice');
    expect(result.output).toEqual({ result: 42 });
    expect(result.returnValue).toBe(5);
    expect(result.recordsets).toEqual([[{ a: 21 }], [{ b: 1 }]]);
    expect(await rejection(pool.request().execute('dbo.unknown'))).toMatchObject({ number: 2812 });
  });

  test('fails with any SQL Server error', async () => {
    const pool = await poolWith(() => {
      throw { number: 2627, class: 14, state: 1, message: 'Violation of PRIMARY KEY constraint.', procName: 'dbo.p' };
    });
    expect(await rejection(pool.query`INSERT INTO t VALUES (1)`)).toMatchObject({
      number: 2627,
      class: 14,
      state: 1,
      procName: 'dbo.p',
      message: 'Violation of PRIMARY KEY constraint.',
    });
  });

  test('fails with 50000 if it throws anything else, and the session stays usable', async () => {
    const pool = await poolWith(() => {
      throw new Error('a bug in the handler');
    });
    expect(await rejection(pool.query`EXEC x`)).toMatchObject({ number: 50000, message: 'a bug in the handler' });
    expect((await pool.query`SELECT 1 AS one`).recordset).toEqual([{ one: 1 }]);
  });

  test('fails if it returns a value that no type can hold', async () => {
    const pool = await poolWith(() => [{ a: { nested: true } }]);
    expect((await rejection(pool.query`EXEC x`)).message).toContain('cannot be sent as');
  });
});

describe('rows without types', () => {
  test.each<[string, QueryResult, unknown]>([
    ['a whole number before a fraction', [{ n: 12 }, { n: 12.5 }], [{ n: 12 }, { n: 12.5 }]],
    ['null before a number', [{ n: null }, { n: 5 }], [{ n: null }, { n: 5 }]],
    ['null before a boolean', [{ n: null }, { n: true }], [{ n: null }, { n: true }]],
    ['null before a date', [{ n: null }, { n: new Date(0) }], [{ n: null }, { n: new Date(0) }]],
    ['a small number before a large one', [{ n: 1 }, { n: 2 ** 40 }], [{ n: '1' }, { n: '1099511627776' }]],
    ['a large number before a fraction', [{ n: 2 ** 40 }, { n: 0.5 }], [{ n: 2 ** 40 }, { n: 0.5 }]],
    [
      'a column that only a later row has',
      [{ a: 1 }, { a: 2, b: 3 }],
      [
        { a: 1, b: null },
        { a: 2, b: 3 },
      ],
    ],
    [
      'arrays, with names',
      {
        columns: ['a', 'b'],
        rows: [
          [1, null],
          [1.5, 'x'],
        ],
      },
      [
        { a: 1, b: null },
        { a: 1.5, b: 'x' },
      ],
    ],
    ['a stream', { rows: streamed({ n: 1.5 }, { n: 2 }, { n: null }) }, [{ n: 1.5 }, { n: 2 }, { n: null }]],
  ])('get the type that holds all values: %s', async (_, result, rows) => {
    const pool = await poolWith(() => result);
    expect([...(await pool.query`SELECT * FROM t`).recordset]).toEqual(rows);
  });

  test.each<[string, QueryResult, string]>([
    ['a number and text', [{ n: 1 }, { n: 'x' }], 'column "n" has values of different types (int and nvarchar)'],
    ['NaN', [{ n: Number.NaN }], 'column "n": NaN cannot be sent as float'],
    ['Infinity', [{ n: Number.POSITIVE_INFINITY }], 'column "n": Infinity cannot be sent as float'],
    ['an invalid Date', [{ n: new Date(Number.NaN) }], 'column "n": an invalid Date cannot be sent as datetime2(7)'],
    ['a fraction in a stream of whole numbers', { rows: streamed({ n: 1 }, { n: 1.5 }) }, 'does not fit the type int'],
    ['a number after null in a stream', { rows: streamed({ n: null }, { n: 5 }) }, 'does not fit the type nvarchar'],
    ['a later column in a stream', { rows: streamed({ a: 1 }, { a: 1, b: 2 }) }, 'column "b" is not in the first row'],
    ['a row that is a number', [5] as never, 'a row is a number'],
    ['a row that is null', [{ a: 1 }, null] as never, 'a row is null'],
  ])('are refused: %s', async (_, result, message) => {
    const pool = await poolWith(() => result);
    expect((await rejection(pool.query`SELECT * FROM t`)).message).toContain(message);
    expect((await pool.query`SELECT 1 AS one`).recordset).toEqual([{ one: 1 }]);
  });
});

function* streamed(...rows: QueryRow[]): Generator<QueryRow> {
  yield* rows;
}

test.each([
  [{ number: 2 ** 40 }, 'number must be a whole number from -2147483647 to 2147483647'],
  [{ number: 1.5 }, 'number must be a whole number'],
  [{ number: Number.NaN }, 'number must be a whole number'],
  [{ number: 2627, state: 300 }, 'state must be a whole number from 0 to 255'],
  [{ number: 2627, class: 26 }, 'class must be a whole number from 0 to 25'],
  [{ number: 2627, class: '16' }, 'class must be a whole number'],
  [{ number: 2627, lineNumber: -1 }, 'lineNumber must be a whole number'],
])('an error that cannot be sent is named, and the session goes on: %o', async (error, flaw) => {
  const pool = await poolWith(() => {
    throw error;
  });
  expect(await rejection(pool.query('SELECT * FROM t'))).toMatchObject({
    number: 50_000,
    message: expect.stringContaining(`cannot be sent: its ${flaw}`),
  });
  expect((await pool.query('SELECT 1 AS one')).recordset).toEqual([{ one: 1 }]);
});

test('answers a batch that is supported only in part as a whole, and none of it runs', async () => {
  const pool = await poolWith((sql) =>
    sql.startsWith('SELECT') ? { rows: [{ a: 1 }], more: [{ rows: [{ id: 7 }] }] } : { rowsAffected: 1 },
  );
  const { recordsets } = await pool.request().batch('SELECT 1 AS a; SELECT * FROM orders');
  expect(recordsets).toEqual([[{ a: 1 }], [{ id: 7 }]]);
  await pool.request().batch('BEGIN TRAN; UPDATE orders SET a = 1');
  expect((await pool.request().batch('SELECT @@TRANCOUNT AS n')).recordset).toEqual([{ n: 0 }]);
});

describe('an answer that would lose data is refused', () => {
  class Rows {
    rows = [{ n: 1 }];
  }
  test.each<[string, unknown, RegExp]>([
    ['a Date', new Date(0), /class Date/],
    ['a Map', new Map([['rows', []]]), /class Map/],
    ['a promise', Promise.resolve([{ n: 1 }]), /class Promise/],
    ['an iterator', [1].values(), /return an array of rows/],
    ['an instance of a class', new Rows(), /class Rows/],
  ])('%s is no answer', async (_, answer, message) => {
    const server = closing(await startSqlEmulator());
    expect(() => server.expect('SELECT x FROM t', answer as never)).toThrow(message);
    expect(() => server.expect('SELECT x FROM t', { more: [answer] } as never)).toThrow(message);
  });

  const one = (type: string, value: unknown) => ({ columns: [{ name: 'v', type }], rows: [[value]] });
  test.each<[string, unknown, RegExp]>([
    [
      'a row with more values than columns',
      { columns: ['a'], rows: [[1, 2]] },
      /2 values, but there are only 1 in 'col/,
    ],
    ['a later row that is longer than the first', [[1], [1, 2]], /2 values, but there are only 1 in the first row/],
    ['a key that is not in columns', { columns: ['a'], rows: [{ a: 1, b: 2 }] }, /"b" is not in 'columns'/],
    ['a row that is null, with columns', { columns: ['a'], rows: [null] }, /a row is null/],
    [
      'text that is too long',
      one('varchar(2)', 'xyz'),
      /"v": a text of 3 characters does not fit the type varchar\(2\)/,
    ],
    ['Unicode text that is too long', one('nchar(2)', 'xyz'), /a text of 3 characters does not fit/],
    ['bytes that are too long', one('varbinary(2)', Buffer.alloc(3)), /3 bytes do not fit the type varbinary\(2\)/],
    ['a number that is too long as text', one('varchar(2)', 123), /123 does not fit the type varchar\(2\)/],
    ['a fraction in an int', one('int', 1.5), /1.5 does not fit the type int/],
  ])('%s', async (_, answer, message) => {
    const server = closing(await startSqlEmulator({ onQuery: () => answer as never }));
    const pool = await mssqlPool(server.config());
    const error = await rejection(pool.query('SELECT x FROM t'));
    expect(error).toMatchObject({ number: 50_000, message: expect.stringMatching(message) });
  });

  test('an output parameter that its type would cut', async () => {
    const server = closing(await startSqlEmulator({ onQuery: () => ({ outputs: { name: 'abcd' } }) }));
    const pool = await mssqlPool(server.config());
    const error = await rejection(pool.request().output('name', sql.VarChar(3)).execute('rename'));
    expect(error).toMatchObject({ message: expect.stringMatching(/"name": a text of 4 characters/) });
  });

  test.each(['', '  ', '-- c', '/* c */', ';'])('expect(%o) can match no query', async (text) => {
    const server = closing(await startSqlEmulator());
    expect(() => server.expect(text, [])).toThrow(/contains no statement/);
  });

  test('blanks at the end of text may be cut, and the least int is an int', async () => {
    const answer = { columns: [{ name: 'v', type: 'varchar(2)' }, 'n'], rows: [['ab  ', -(2 ** 31)]] };
    const server = closing(await startSqlEmulator({ onQuery: () => answer }));
    const pool = await mssqlPool(server.config());
    const { recordset } = await pool.query('SELECT x FROM t');
    expect(recordset).toEqual([{ v: 'ab', n: -2_147_483_648 }]);
    expect(recordset.columns.n?.type).toBe(sql.Int);
  });
});

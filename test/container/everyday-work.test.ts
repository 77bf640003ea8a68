import assert from 'node:assert/strict';
import sql from 'mssql';
import { describe } from 'vitest';
import { sameBothWays, useSite } from './server-under-test.js';

const site = useSite();

describe('tables', () => {
  sameBothWays('are created, filled, changed, emptied and dropped, with identity columns', site, async (pool) => {
    await pool.query(
      'CREATE TABLE people (id int IDENTITY(1,1) PRIMARY KEY, name nvarchar(50) NOT NULL, age int NULL)',
    );
    try {
      const insert = await pool
        .request()
        .input('name', sql.NVarChar(50), 'Ada')
        .input('age', sql.Int, 36)
        .query('INSERT INTO people (name, age) VALUES (@name, @age); SELECT SCOPE_IDENTITY() AS id');
      assert.equal(Number(insert.recordset[0].id), 1);
      await pool.query("INSERT INTO people (name) VALUES (N'Grace'), (N'Barbara')");
      const update = await pool.query("UPDATE people SET age = 85 WHERE name = N'Grace'");
      assert.deepEqual(update.rowsAffected, [1]);
      const removed = await pool.query('DELETE FROM people WHERE age IS NULL');
      assert.deepEqual(removed.rowsAffected, [1]);
      const { recordset } = await pool.query('SELECT id, name, age FROM people ORDER BY id');
      assert.deepEqual(
        [...recordset],
        [
          { id: 1, name: 'Ada', age: 36 },
          { id: 2, name: 'Grace', age: 85 },
        ],
      );
      return [...recordset];
    } finally {
      await pool.query('DROP TABLE people');
    }
  });

  sameBothWays('refuse a second row with the same key', site, async (pool) => {
    await pool.query('CREATE TABLE once (id int PRIMARY KEY); INSERT INTO once VALUES (1)');
    try {
      const { number, message } = await rejection(pool.query('INSERT INTO once VALUES (1)'));
      assert.equal(number, 2627);
      return message;
    } finally {
      await pool.query('DROP TABLE once');
    }
  });

  sameBothWays('of a session are seen in that session only', site, async (pool) => {
    const transaction = pool.transaction();
    await transaction.begin();
    await transaction.request().batch('CREATE TABLE #mine (n int); INSERT INTO #mine VALUES (7)');
    const mine = await transaction.request().batch('SELECT n FROM #mine');
    const others = await rejection(pool.query('SELECT n FROM #mine'));
    await transaction.rollback();
    assert.deepEqual([...mine.recordset], [{ n: 7 }]);
    return others.number;
  });
});

describe('values', () => {
  const at = new Date('2024-02-29T13:14:15.120Z');
  const VALUES: readonly [string, sql.ISqlType | (() => sql.ISqlType), unknown, unknown?][] = [
    ['bit', sql.Bit, true],
    ['tinyint', sql.TinyInt, 255],
    ['smallint', sql.SmallInt, -32_768],
    ['int', sql.Int, 2_147_483_647],
    ['bigint', sql.BigInt, '9007199254740993'],
    ['decimal(18,4)', sql.Decimal(18, 4), 12_345.6789],
    ['money', sql.Money, 1234.5678],
    ['float', sql.Float, Math.PI],
    ['real', sql.Real, 1.5],
    ['date', sql.Date, new Date('2024-02-29T00:00:00Z')],
    ['time(3)', sql.Time(3), new Date('1970-01-01T13:14:15.120Z')],
    ['datetime', sql.DateTime, at],
    ['datetime2(3)', sql.DateTime2(3), at],
    ['datetimeoffset(3)', sql.DateTimeOffset(3), at],
    ['smalldatetime', sql.SmallDateTime, new Date('2024-02-29T13:14:00Z')],
    ['uniqueidentifier', sql.UniqueIdentifier, 'D3F4A1B2-0000-4111-8222-0123456789AB'],
    ['char(5)', sql.Char(5), 'abc  '],
    ['varchar(50)', sql.VarChar(50), 'plain text'],
    ['nvarchar(50)', sql.NVarChar(50), 'Zürich 日本語 🚀'],
    ['nvarchar(max)', sql.NVarChar(sql.MAX), 'é'.repeat(100_000)],
    ['varbinary(50)', sql.VarBinary(50), Buffer.from([0, 1, 254, 255])],
    ['varbinary(max)', sql.VarBinary(sql.MAX), Buffer.alloc(100_000, 7)],
  ];
  for (const [name, type, value] of VALUES) {
    sameBothWays(`of type ${name} are read as they were stored`, site, async (pool) => {
      const table = `v_${name.replace(/\W/g, '_')}`;
      await pool.query(`CREATE TABLE ${table} (v ${name} NULL)`);
      try {
        for (const each of [value, null]) {
          await pool.request().input('v', type, each).query(`INSERT INTO ${table} VALUES (@v)`);
        }
        const { recordset } = await pool.query(`SELECT v FROM ${table}`);
        const stored = recordset.map(({ v }: { v: unknown }) => v).sort((a: unknown) => (a === null ? 1 : -1));
        assert.deepEqual(stored, [value, null]);
        return stored;
      } finally {
        await pool.query(`DROP TABLE ${table}`);
      }
    });
  }
});

describe('procedures', () => {
  sameBothWays('take and give parameters', site, async (pool) => {
    await pool
      .request()
      .batch(
        'CREATE PROCEDURE twice @n int, @result int OUTPUT AS BEGIN SELECT @n AS n; SET @result = @n * 2; RETURN 5 END',
      );
    try {
      const { output, returnValue, recordset } = await pool
        .request()
        .input('n', sql.Int, 21)
        .output('result', sql.Int)
        .execute('twice');
      assert.deepEqual([output, returnValue, [...recordset]], [{ result: 42 }, 5, [{ n: 21 }]]);
      return output;
    } finally {
      await pool.query('DROP PROCEDURE twice');
    }
  });

  sameBothWays('are prepared and run again and again', site, async (pool) => {
    const statement = new sql.PreparedStatement(pool).input('n', sql.Int);
    await statement.prepare('SELECT @n * @n AS square');
    const squares = [];
    for (const n of [2, 3, 4]) squares.push((await statement.execute({ n })).recordset[0].square);
    await statement.unprepare();
    assert.deepEqual(squares, [4, 9, 16]);
  });

  sameBothWays('raise errors of their own', site, async (pool) => {
    const raised = await rejection(pool.query("RAISERROR('no luck', 16, 3)"));
    assert.deepEqual([raised.number, raised.state, raised.message], [50000, 3, 'no luck']);
    const thrown = await rejection(pool.query("THROW 50123, 'thrown', 9"));
    assert.deepEqual([thrown.number, thrown.state, thrown.message], [50123, 9, 'thrown']);
    const divided = await rejection(pool.query('SELECT 1/0'));
    assert.equal(divided.number, 8134);
  });
});

async function rejection(work: Promise<unknown>): Promise<sql.RequestError & { state: number }> {
  return await work.then(
    () => assert.fail('it did not fail'),
    (error) => error,
  );
}

import knex from 'knex';
import sql from 'mssql';
import { TYPES } from 'tedious';
import { describe, expect, test } from 'vitest';
import {
  createTestClock,
  type QueryMatcher,
  startEntraEmulator,
  startSqlEmulator,
} from '../../../src/testing/index.js';
import { closing, execute, mssqlPool, refusedLogin, rejection, reset, tediousConnect } from '../sql-clients.js';

describe('an expected query', () => {
  test('is matched regardless of white space and case', async () => {
    const server = closing(await startSqlEmulator());
    const orders = server.expect('SELECT * FROM orders WHERE id = @id', [{ id: 7, total: 12.5 }]);
    const pool = await mssqlPool(server.config());
    const { recordset } = await pool.request().input('id', 7).query('select *\n  FROM Orders\n  WHERE id = @id;');
    expect(recordset).toEqual([{ id: 7, total: 12.5 }]);
    expect(orders.calls).toBe(1);
    expect(orders.parameters).toEqual([{ id: 7 }]);
    server.verify();
  });

  test("takes precedence over the emulator's own SQL and onQuery", async () => {
    const server = closing(await startSqlEmulator({ onQuery: () => [{ from: 'onQuery' }] }));
    server.expect('SELECT 1', [{ n: 2 }]);
    server.expect('SELECT x FROM t', [{ from: 'expectation' }]);
    const { connection } = await tediousConnect(server.config() as never);
    expect(await execute(connection, 'SELECT 1')).toEqual([[2]]);
    expect(await execute(connection, 'SELECT x FROM t')).toEqual([['expectation']]);
    expect(await execute(connection, 'SELECT y FROM t')).toEqual([['onQuery']]);
  });

  test('can depend on parameters, a pattern or a function; the latest match applies', async () => {
    const server = closing(await startSqlEmulator());
    server.expect(/FROM users/i, [{ name: 'anybody' }]);
    server.expect(/FROM users/i, [{ name: 'ada' }], { parameters: { id: 1 } });
    server.expect(
      (text) => text.startsWith('EXEC rename'),
      (_, { to }) => ({ outputs: {}, rows: [{ name: to }] }),
    );
    const pool = await mssqlPool(server.config());
    const nameOf = async (id: number) =>
      (await pool.request().input('id', id).query('SELECT name FROM users WHERE id = @id')).recordset[0].name;
    expect([await nameOf(1), await nameOf(2)]).toEqual(['ada', 'anybody']);
    expect((await pool.request().input('to', 'eve').execute('rename')).recordset).toEqual([{ name: 'eve' }]);
  });

  test('can fail a given number of times', async () => {
    const server = closing(await startSqlEmulator());
    server.expect('UPDATE stock SET n = 1', { rowsAffected: 3 });
    server.expect('UPDATE stock SET n = 1', Object.assign(new Error('deadlocked'), { number: 1205 }), { times: 1 });
    const pool = await mssqlPool(server.config());
    expect(await rejection(pool.query('UPDATE stock SET n = 1'))).toMatchObject({
      number: 1205,
      message: 'deadlocked',
    });
    expect((await pool.query('UPDATE stock SET n = 1')).rowsAffected).toEqual([3]);
    server.verify();
  });

  test('is reported by verify() if it did not arrive', async () => {
    const server = closing(await startSqlEmulator());
    server.expect('SELECT a FROM b', []);
    server.expect(/INSERT/, { rowsAffected: 1 }, { times: 2 });
    server.expect('SELECT never', [], { times: 0 });
    const { connection } = await tediousConnect(server.config() as never);
    await execute(connection, 'INSERT INTO b VALUES (1)');
    expect(() => server.verify()).toThrow(
      '2 of the expected queries did not arrive as expected:\nSELECT a FROM b: expected at least one query, received 0\n/INSERT/: expected 2 queries, received 1',
    );
    expect(() => server.expect('x', [], { times: 1.5 })).toThrow(RangeError);
  });

  test('returns output parameters and a return status', async () => {
    const server = closing(await startSqlEmulator());
    server.expect('EXEC close_day', { outputs: { closed: 3 }, returnStatus: 5 });
    const pool = await mssqlPool(server.config());
    const { output, returnValue } = await pool.request().output('closed', sql.Int).execute('close_day');
    expect([output, returnValue]).toEqual([{ closed: 3 }, 5]);
  });
});

describe('the text of an expectation', () => {
  test.each([
    ['SELECT * FROM t WHERE id = @id', 'select*from T where id=@ID;'],
    ['SELECT a,b FROM t', 'SELECT  a ,\n b -- the names\nFROM /* all */ t'],
    ['EXEC dbo.p', 'EXEC [dbo].[p]'],
    ["SELECT x FROM t WHERE n=N'Ada'", "SELECT x FROM t WHERE n = 'Ada'"],
    ['not a statement {', 'NOT  a statement {'],
  ])('%s matches %s', async (expected, sent) => {
    const server = closing(await startSqlEmulator());
    const expectation = server.expect(expected, [{ n: 1 }]);
    const { connection } = await tediousConnect(server.config() as never);
    const parameters = [{ name: 'id', type: TYPES.Int, value: 1 }];
    expect(await execute(connection, sent, { parameters })).toEqual([[1]]);
    expect(expectation.calls).toBe(1);
  });

  test.each([
    ["SELECT x FROM t WHERE n = 'Ada'", "SELECT x FROM t WHERE n = 'ADA'"],
    ["SELECT x FROM t WHERE n = 'a b'", "SELECT x FROM t WHERE n = 'a  b'"],
    ['SELECT ab FROM t', 'SELECT a b FROM t'],
    ['SELECT a FROM t', 'SELECT @a FROM t'],
  ])('%s does not match %s', async (expected, sent) => {
    const server = closing(await startSqlEmulator({ onQuery: () => [{ n: 2 }] }));
    server.expect(expected, [{ n: 1 }]);
    const { connection } = await tediousConnect(server.config() as never);
    const parameters = [{ name: 'a', type: TYPES.Int, value: 1 }];
    expect(await execute(connection, sent, { parameters })).toEqual([[2]]);
  });
});

describe('an expectation that matches everything', () => {
  test.each<[string, QueryMatcher]>([
    ['a pattern', /./],
    ['a pattern for SET', /\bset\b/i],
    ['a function', () => true],
  ])('does not answer the SET options that a driver sends at login and after a reset: %s', async (_, matcher) => {
    const server = closing(await startSqlEmulator());
    server.expect(matcher, [{ n: 1 }]);
    const { connection } = await tediousConnect(server.config() as never);
    expect(await execute(connection, 'UPDATE t SET a = 1')).toEqual([[1]]);
    await reset(connection);
    expect(server.sessions[0]?.setOptions.get('ANSI_NULLS')).toBe('ON');
    expect(await execute(connection, 'UPDATE t SET a = 1')).toEqual([[1]]);
  });

  test('answers SET options only if their text is given', async () => {
    const server = closing(await startSqlEmulator());
    server.expect('SET LOCK_TIMEOUT 5', Object.assign(new Error('refused'), { number: 50_007 }));
    const { connection } = await tediousConnect(server.config() as never);
    expect(await rejection(execute(connection, 'set lock_timeout 5'))).toMatchObject({ number: 50_007 });
  });
});

describe('a function that decides whether a query is expected', () => {
  test.each<[string, QueryMatcher, string]>([
    [
      'throws',
      (_, { id }) => (id as string).length > 0,
      "The matcher of expect() failed: Cannot read properties of undefined (reading 'length')",
    ],
    ['returns a promise', (async () => true) as never, 'The matcher of expect() failed: it returned a promise'],
  ])('and that %s fails only queries that nothing else answers, and verify()', async (_, matcher, message) => {
    const server = closing(
      await startSqlEmulator({ onQuery: (text) => (text.includes('FROM known') ? [] : undefined) }),
    );
    server.expect(matcher, [{ n: 1 }]);
    const pool = await mssqlPool(server.config());
    expect((await pool.query('SELECT 5 AS five')).recordset).toEqual([{ five: 5 }]);
    expect((await pool.query('SELECT a FROM known')).recordset).toEqual([]);
    expect((await rejection(pool.query('SELECT a FROM unknown'))).message).toContain(message);
    expect(() => server.verify()).toThrow(message);
  });
});

describe('expect() refuses', () => {
  test.each<[string, unknown, unknown, string]>([
    ['a number as a query', 5, [], 'first argument of expect() is a number'],
    ['a query that is undefined', undefined, [], 'first argument of expect() is undefined'],
    ['an object as a query', {}, [], 'first argument of expect() is an object'],
    ['text as an answer', 'q', 'text', 'second argument of expect() is a string'],
    ['a number as an answer', 'q', 5, 'second argument of expect() is a number'],
    ['an answer that is undefined', 'q', undefined, 'second argument of expect() is undefined'],
    ['null as an answer', 'q', null, 'second argument of expect() is null'],
    ['a row in place of rows', 'q', { id: 7 }, "with the key 'id'"],
    ['a misspelt key', 'q', { rowsAffect: 1 }, "with the key 'rowsAffect'"],
    ['a misspelt key of a further result', 'q', { more: [{ row: [] }] }, "with the key 'row'"],
    ['a negative row count', 'q', { rowsAffected: -1 }, 'rowsAffected is -1'],
    ['a row count that is text', 'q', { rowsAffected: '1' }, 'rowsAffected is 1'],
    ['rows that are no list', 'q', { rows: 5 }, 'rows must be an array'],
    ['columns that are no list', 'q', { columns: 'a' }, 'columns must be an array'],
    ['a return status that is text', 'q', { returnStatus: 'x' }, 'returnStatus is x'],
  ])('%s', async (_, query, answer, message) => {
    const server = closing(await startSqlEmulator());
    expect(() => server.expect(query as never, answer as never)).toThrow(message);
    expect(() => server.verify()).not.toThrow();
  });
});

describe('the parameters of an expectation', () => {
  test.each<[string, sql.ISqlTypeFactory | (() => sql.ISqlType), unknown, unknown]>([
    ['a bigint', sql.BigInt, 5, 5],
    ['a large bigint', sql.BigInt, '9007199254740993', 9_007_199_254_740_993n],
    ['a bigint as text', sql.BigInt, '9007199254740993', '9007199254740993'],
    ['a GUID', sql.UniqueIdentifier, '6f9619ff-8b86-d011-b42d-00c04fc964ff', '6f9619ff-8b86-d011-b42d-00c04fc964ff'],
    ['a padded char', sql.Char(5) as never, 'x', 'x'],
    ['a decimal', sql.Decimal(10, 2) as never, 12.5, 12.5],
    ['a datetime', sql.DateTime, new Date(1_700_000_000_001), new Date(1_700_000_000_001)],
    ['binary', sql.VarBinary, Buffer.from('ab'), new Uint8Array([0x61, 0x62])],
    ['null', sql.Int, null, null],
  ])('match %s as the application passed it', async (_, type, sent, expected) => {
    const server = closing(await startSqlEmulator());
    const expectation = server.expect(/FROM t/, [], { parameters: { customerid: expected } });
    server.expect(/FROM t/, [], { parameters: { '@CustomerId': expected } });
    const pool = await mssqlPool(server.config());
    await pool
      .request()
      .input('customerId', type as never, sent)
      .query('SELECT * FROM t WHERE c = @customerId');
    await pool
      .request()
      .input('customerId', type as never, sent)
      .query('SELECT * FROM t WHERE c = @customerId');
    expect(expectation.calls).toBe(0);
    expect(server.queries.at(-1)?.answeredBy).toBe('expectation');
  });

  test.each<[unknown, unknown]>([
    [5, 5.5],
    [5, '5.0'],
    ['ada', 'Ada'],
    ['ada ', 'ada'],
    [0, null],
    [0, false],
    [null, 0],
  ])('%j does not match %j; verify() says which value came instead', async (sent, expected) => {
    const server = closing(await startSqlEmulator({ onQuery: () => [] }));
    server.expect('SELECT * FROM t WHERE id=@id', [], { parameters: { id: expected } });
    const pool = await mssqlPool(server.config());
    await pool.request().input('id', sent).query('SELECT * FROM t WHERE id=@id');
    expect(server.queries.at(-1)?.answeredBy).toBe('onQuery');
    expect(() => server.verify()).toThrow(
      /: expected at least one query, received 0\. The last such query had another value for a parameter: 'id' was .+ instead of/,
    );
  });
});

test('parameters have the names that the application gave them', async () => {
  const seen: unknown[] = [];
  const server = closing(
    await startSqlEmulator({
      onQuery(text, parameters) {
        seen.push(parameters);
        return text.startsWith('EXEC') ? { outputs: { newTotal: 3 } } : [{ id: parameters.customerId }];
      },
    }),
  );
  const pool = await mssqlPool(server.config());
  const request = () => pool.request().input('customerId', 7);
  expect((await request().query('SELECT * FROM t WHERE id = @customerId')).recordset).toEqual([{ id: 7 }]);
  expect((await request().query('SELECT @CUSTOMERID AS id')).recordset).toEqual([{ id: 7 }]);
  expect((await request().output('newTotal', sql.Int).execute('recount')).output).toEqual({ newTotal: 3 });
  const statement = new sql.PreparedStatement(pool).input('customerId', sql.Int);
  await statement.prepare('SELECT * FROM t WHERE id = @customerId');
  await statement.execute({ customerId: 8 });
  await statement.unprepare();
  expect(seen).toEqual([{ customerId: 7 }, { customerId: 7, newTotal: null }, { customerId: 8 }]);
  expect(server.queries.find(({ sql: text }) => text.includes('FROM t'))?.parameters).toEqual({ customerId: 7 });
});

describe('SELECT @@ROWCOUNT at the end of a change returns the rowsAffected of its answer', () => {
  test.each([
    ["update t set a = 'x;y' where id = @id;select @@rowcount", [['', 3]]],
    ['DELETE FROM t; SELECT @@ROWCOUNT AS AFFECTEDROWS;', [['AFFECTEDROWS', 3]]],
    ['DELETE FROM t;\nSELECT n = @@ROWCOUNT', [['n', 3]]],
    ['DELETE FROM t; SELECT @@ROWCOUNT, 1', []],
    ['DELETE FROM t', []],
  ])('%s', async (text, columns) => {
    const server = closing(await startSqlEmulator({ onQuery: () => ({ rowsAffected: 3 }) }));
    const pool = await mssqlPool(server.config());
    const { recordset, rowsAffected } = await pool.request().input('id', 1).query(text);
    expect(Object.entries(recordset?.[0] ?? {})).toEqual(columns);
    expect(rowsAffected[0]).toBe(3);
  });

  test('for the changes of knex', async () => {
    const server = closing(await startSqlEmulator());
    server.expect(/^update \[orders\]/, { rowsAffected: 2 });
    server.expect(/^delete from \[orders\]/, { rowsAffected: 1 });
    const { server: host, port, ...config } = server.config();
    const db = knex({ client: 'mssql', connection: { ...config, ...server.sqlLogin, server: host, port } as never });
    try {
      expect(await db('orders').where({ id: 1 }).update({ total: 2 })).toBe(2);
      expect(await db('orders').where({ id: 1 }).del()).toBe(1);
    } finally {
      await db.destroy();
    }
  });
});

test('queries are recorded with what answered them', async () => {
  const server = closing(await startSqlEmulator({ onQuery: (text) => (text.includes('orders') ? [] : undefined) }));
  server.expect('SELECT stub', []);
  const { connection } = await tediousConnect(server.config() as never);
  server.queries.length = 0;
  for (const text of ['SELECT 1 AS one', 'SELECT stub', 'SELECT * FROM orders', 'SELECT 1 / 0']) {
    await execute(connection, text).catch(() => {});
  }
  await execute(connection, 'SELECT * FROM missing_table').catch(() => {});
  expect(server.queries.map(({ sql: text, answeredBy, error }) => [text, answeredBy, error])).toEqual([
    ['SELECT 1 AS one', 'emulator', undefined],
    ['SELECT stub', 'expectation', undefined],
    ['SELECT * FROM orders', 'onQuery', undefined],
    ['SELECT 1 / 0', 'emulator', 8134],
    ['SELECT * FROM missing_table', undefined, 208],
  ]);
  expect(server.queries[0]).toMatchObject({ principal: 'sa', database: 'master', spid: expect.any(Number) });
});

test('reset() removes all state of the previous test', async () => {
  const entra = closing(await startEntraEmulator());
  const server = closing(await startSqlEmulator({ entra }));
  server.expect('SELECT 1', [{ n: 2 }]);
  server.failLogins({ number: 40613 });
  server.setReadOnly(true);
  entra.fail({ status: 503, when: () => false });
  await refusedLogin(server.config() as never);
  server.reset();
  entra.reset();
  expect([server.logins, server.queries, entra.requests]).toEqual([[], [], []]);
  const { connection } = await tediousConnect(server.config() as never);
  expect(await execute(connection, "SELECT 1, DATABASEPROPERTYEX('master', 'Updateability')")).toEqual([
    [1, 'READ_WRITE'],
  ]);
  server.reset();
  await expect.poll(() => connection.closed).toBe(true);
  expect(server.connections.open).toBe(0);
});

test('one clock moves both emulators past the expiry of a token', async () => {
  const clock = createTestClock();
  const entra = closing(await startEntraEmulator({ now: clock.now }));
  const server = closing(await startSqlEmulator({ entra, now: clock.now, enforceExpiry: 'query' }));
  const { connection } = await tediousConnect(server.config() as never);
  await execute(connection, 'SELECT 1');
  clock.advance(3_601_000);
  expect(await rejection(execute(connection, 'SELECT 1'))).toMatchObject({ number: 37396 });
  const again = await tediousConnect(server.config() as never);
  const [[now] = []] = await execute(again.connection, 'SELECT SYSUTCDATETIME()');
  expect(Math.abs((now as Date).getTime() - clock.now())).toBeLessThan(60_000);
  clock.set(new Date('2030-01-01T00:00:00Z'));
  expect(new Date(clock.now()).getUTCFullYear()).toBe(2030);
  clock.reset();
  expect(Math.abs(clock.now() - Date.now())).toBeLessThan(60_000);
  expect(() => clock.advance(Number.NaN)).toThrow(RangeError);
});

import sql from 'mssql';
import { describe, expect, test } from 'vitest';
import { createTestClock, startEntraEmulator, startSqlEmulator } from '../../../src/testing/index.js';
import { closing, execute, mssqlPool, refusedLogin, rejection, tediousConnect } from '../sql-clients.js';

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
      '2 of the expected queries did not come as expected:\nselect a from b: expected at least one query, received 0\n/INSERT/: expected 2 queries, received 1',
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

test('queries are recorded with their source of answer', async () => {
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

import { afterEach, describe, expect, test } from 'vitest';
import tokenPoolSql from '../../src/mssql/index.js';
import { named } from '../support/named.js';
import { stock, useEmulators } from './three-ways.js';

const emulators = useEmulators();
const config = (overrides = {}) => emulators.server.config(overrides) as never;

type GlobalModule = Pick<typeof stock, 'connect' | 'query' | 'Request' | 'Transaction' | 'PreparedStatement' | 'Int'> &
  Pick<typeof tokenPoolSql, 'close' | 'on' | 'off' | 'batch'>;
const modules = [
  { name: 'stock mssql', sql: stock as unknown as GlobalModule },
  { name: 'our module', sql: tokenPoolSql as unknown as GlobalModule },
];
afterEach(async () => {
  for (const { sql } of modules) await sql.close();
});

describe.each(named(modules))('the global pool of %s', (_, { sql }) => {
  test('serves query, batch, Request, Transaction and PreparedStatement without a pool', async () => {
    await sql.connect(config());
    const n = 3;
    expect((await sql.query`SELECT ${n} AS n`).recordset).toEqual([{ n }]);
    expect((await sql.query('SELECT 1 AS one')).recordset).toEqual([{ one: 1 }]);
    expect((await sql.batch('SELECT 2 AS two')).recordset).toEqual([{ two: 2 }]);
    expect((await new sql.Request().input('n', 4).query('SELECT @n AS n')).recordset).toEqual([{ n: 4 }]);

    const transaction = new sql.Transaction();
    await transaction.begin();
    expect((await new sql.Request(transaction).query('SELECT @@TRANCOUNT AS depth')).recordset).toEqual([{ depth: 1 }]);
    await transaction.rollback();

    const statement = new sql.PreparedStatement();
    statement.input('n', sql.Int);
    await statement.prepare('SELECT @n AS n');
    expect((await statement.execute({ n: 5 })).recordset).toEqual([{ n: 5 }]);
    await statement.unprepare();
  });

  test('query takes a callback', async () => {
    await sql.connect(config());
    const rows = await new Promise((done) => sql.query('SELECT 1 AS one', (_error, result) => done(result?.recordset)));
    expect(rows).toEqual([{ one: 1 }]);
  });

  test('is one pool however often connect() is called, also at the same time', async () => {
    const [first, second] = await Promise.all([sql.connect(config()), sql.connect(config())]);
    expect(second).toBe(first);
    expect(await sql.connect(config({ database: 'ignored' }))).toBe(first);
  });

  test('connect() with a callback returns the pool and calls back with it', async () => {
    const seen = await new Promise<unknown[]>((done) => {
      const returned: unknown = sql.connect(config(), ((error: unknown, pool: unknown) =>
        setImmediate(() => done([returned, error, pool]))) as never);
    });
    const pool = await sql.connect(config());
    expect(seen).toEqual([pool, null, pool]);
  });

  test('a pool that failed to connect is forgotten', async () => {
    await expect(sql.connect(config({ port: 1 }))).rejects.toMatchObject({ code: 'ESOCKET' });
    await sql.connect(config());
    expect((await sql.query('SELECT 1 AS one')).recordset).toEqual([{ one: 1 }]);
  });

  test('closed by its own close() or by sql.close(), it is gone and the next connect() opens another', async () => {
    const first = await sql.connect(config());
    await first.close();
    const second = await sql.connect(config());
    expect(second).not.toBe(first);
    await sql.close();
    expect(second.connected).toBe(false);
    await expect(sql.query('SELECT 1')).rejects.toMatchObject({ code: 'ENOCONN' });
  });

  test('close() without a pool succeeds, with and without a callback', async () => {
    await sql.close();
    await new Promise((done) => sql.close(done as never));
  });

  test('without connect(), a request reports that there is no connection', async () => {
    await expect(sql.query('SELECT 1')).rejects.toMatchObject({ name: 'RequestError', code: 'ENOCONN' });
    await expect(new sql.Request().query('SELECT 1')).rejects.toMatchObject({ code: 'ENOCONN' });
    await expect(new sql.Transaction().begin()).rejects.toMatchObject({ code: 'ENOCONN' });
  });

  test('on() listens to every later pool; off() stops it', async () => {
    const errors: unknown[] = [];
    const listener = (error: unknown) => errors.push(error);
    sql.on('error', listener);
    await sql.connect(config({ pool: { max: 1, acquireTimeoutMillis: 600 } }));
    const transaction = new sql.Transaction();
    await transaction.begin();
    await expect(sql.query('SELECT 1')).rejects.toThrow();
    expect(errors).toHaveLength(1);
    // mssql 12.7 cannot connect() again once the last listener of an event has been taken off.
    if (sql !== (stock as unknown)) {
      sql.off('error', listener);
      await expect(sql.query('SELECT 1')).rejects.toThrow();
      expect(errors).toHaveLength(1);
    }
    await transaction.rollback();
  });
});

test('each of the two modules has its own global pool', async () => {
  await tokenPoolSql.connect(config({ database: 'ours' }));
  await expect(stock.query('SELECT 1')).rejects.toMatchObject({ code: 'ENOCONN' });
  await stock.connect(config({ database: 'theirs' }));
  expect((await tokenPoolSql.query('SELECT DB_NAME() AS name')).recordset).toEqual([{ name: 'ours' }]);
  expect((await stock.query('SELECT DB_NAME() AS name')).recordset).toEqual([{ name: 'theirs' }]);
  await tokenPoolSql.close();
  await expect(tokenPoolSql.query('SELECT 1')).rejects.toMatchObject({ code: 'ENOCONN' });
});

import sql from 'mssql';
import { ISOLATION_LEVEL } from 'tedious';
import { describe, expect, test } from 'vitest';
import { type QueryHandler, type SqlSession, startSqlEmulator } from '../../../src/testing/index.js';
import { closing, execute, mssqlPool, rejection, reset, tediousConnect } from '../sql-clients.js';

describe('a transaction', () => {
  test('begins, holds its session and commits', async () => {
    const server = closing(await startSqlEmulator());
    const pool = await mssqlPool(server.config());
    const transaction = pool.transaction();
    await transaction.begin();
    const { recordset } = await transaction.request().query('SELECT @@TRANCOUNT AS depth, XACT_STATE() AS state');
    expect(recordset).toEqual([{ depth: 1, state: 1 }]);
    await transaction.commit();
    expect((await pool.query`SELECT @@TRANCOUNT AS depth`).recordset).toEqual([{ depth: 0 }]);
  });

  test('rolls back', async () => {
    const server = closing(await startSqlEmulator());
    const pool = await mssqlPool(server.config());
    const transaction = pool.transaction();
    await transaction.begin();
    await transaction.rollback();
    expect((await pool.query`SELECT @@TRANCOUNT AS depth`).recordset).toEqual([{ depth: 0 }]);
  });

  test.each([
    ['READ UNCOMMITTED', sql.ISOLATION_LEVEL.READ_UNCOMMITTED],
    ['READ COMMITTED', sql.ISOLATION_LEVEL.READ_COMMITTED],
    ['REPEATABLE READ', sql.ISOLATION_LEVEL.REPEATABLE_READ],
    ['SERIALIZABLE', sql.ISOLATION_LEVEL.SERIALIZABLE],
    ['SNAPSHOT', sql.ISOLATION_LEVEL.SNAPSHOT],
  ])('has the isolation level it asked for: %s', async (name, level) => {
    const levels: string[] = [];
    const onQuery = (_: string, __: unknown, session: SqlSession) => {
      levels.push(session.isolationLevel);
      return [];
    };
    const server = closing(await startSqlEmulator({ onQuery }));
    const pool = await mssqlPool(server.config());
    const transaction = pool.transaction();
    await transaction.begin(level);
    await transaction.request().query('EXEC anything');
    await transaction.commit();
    expect(levels).toEqual([name]);
  });

  test('rolls back to a savepoint', async () => {
    const server = closing(await startSqlEmulator());
    const { connection } = await tediousConnect(server.config());
    const step = (run: (done: (error?: Error | null) => void) => void) =>
      new Promise<void>((resolve, reject) => {
        run((error) => (error ? reject(error) : resolve()));
      });
    await step((done) => connection.beginTransaction(done, 'outer', ISOLATION_LEVEL.READ_COMMITTED));
    await step((done) => connection.saveTransaction(done, 'half'));
    await step((done) => connection.rollbackTransaction(done, 'half'));
    expect(await execute(connection, 'SELECT @@TRANCOUNT')).toEqual([[1]]);
    await step((done) => connection.commitTransaction(done, 'outer'));
    expect(await execute(connection, 'SELECT @@TRANCOUNT')).toEqual([[0]]);
  });

  test('nests in T-SQL', async () => {
    const server = closing(await startSqlEmulator());
    const { connection } = await tediousConnect(server.config());
    const depths = await execute(
      connection,
      `BEGIN TRAN; BEGIN TRANSACTION inside; SELECT @@TRANCOUNT; SAVE TRAN here; COMMIT;
       SELECT @@TRANCOUNT; ROLLBACK TRAN here; SELECT @@TRANCOUNT; ROLLBACK; SELECT @@TRANCOUNT`,
      { batch: true },
    );
    expect(depths).toEqual([[2], [1], [1], [0]]);
  });

  test('cannot end without having begun: 3902, 3903', async () => {
    const server = closing(await startSqlEmulator());
    const { connection } = await tediousConnect(server.config());
    expect(await rejection(execute(connection, 'COMMIT'))).toMatchObject({ number: 3902 });
    expect(await rejection(execute(connection, 'ROLLBACK'))).toMatchObject({ number: 3903 });
    expect(await execute(connection, 'IF @@TRANCOUNT > 0 ROLLBACK ELSE SELECT 1 AS none')).toEqual([[1]]);
  });

  test('is rolled back by an error with XACT_ABORT', async () => {
    const server = closing(await startSqlEmulator());
    const { connection } = await tediousConnect(server.config());
    const failing = execute(connection, "SET XACT_ABORT ON; BEGIN TRAN; THROW 50001, 'no', 1", { batch: true });
    expect(await rejection(failing)).toMatchObject({ number: 50001 });
    expect(await execute(connection, 'SELECT @@TRANCOUNT')).toEqual([[0]]);
  });

  test('is rolled back when the connection is reset', async () => {
    const server = closing(await startSqlEmulator());
    const { connection } = await tediousConnect(server.config());
    await execute(connection, 'BEGIN TRAN; USE elsewhere', { batch: true });
    await reset(connection);
    expect(await execute(connection, 'SELECT @@TRANCOUNT, DB_NAME()')).toEqual([[0, 'master']]);
  });
});

describe('an error that ends the transaction in SQL Server', () => {
  const FAILURES: [string, number, QueryHandler | undefined, string][] = [
    ...[1205, 3960, 3961, 41_301, 41_302, 41_305, 41_325, 41_839].map(
      (number): [string, number, QueryHandler, string] => [
        `${number} thrown by onQuery`,
        number,
        () => {
          throw { number, class: 13, message: 'a conflict' };
        },
        'UPDATE t SET a = 1',
      ],
    ),
    ['1205 of THROW', 1205, undefined, "THROW 1205, 'deadlock', 1"],
    ['a failed conversion of text', 245, undefined, "SELECT CAST('x' AS int)"],
    ['a failed conversion to a date', 241, undefined, "SELECT CAST('x' AS date)"],
  ];

  test.each(FAILURES)('rolls it back, and mssql reports the rollback: %s', async (_, number, onQuery, text) => {
    const kinds: string[] = [];
    const server = closing(await startSqlEmulator({ onQuery, onTransaction: ({ kind }) => kinds.push(kind) }));
    const pool = await mssqlPool(server.config());
    const transaction = new sql.Transaction(pool);
    const rolledBack: boolean[] = [];
    transaction.on('rollback', (aborted) => rolledBack.push(aborted));
    await transaction.begin();
    expect(await rejection(transaction.request().query(text))).toMatchObject({ number });
    expect(rolledBack).toEqual([true]);
    expect(await rejection(transaction.rollback())).toMatchObject({ code: 'EABORT' });
    expect(kinds).toEqual(['begin', 'rollback']);
    expect((await pool.query('SELECT @@TRANCOUNT AS n')).recordset).toEqual([{ n: 0 }]);
  });

  test.each([
    ['a violated constraint', 2627, 'INSERT INTO t VALUES (1)'],
    ['a division by zero', 8134, 'SELECT 1 / 0'],
    ['RAISERROR', 50_000, "RAISERROR('no', 16, 1)"],
  ])('but not another one: %s', async (_, number, text) => {
    const onQuery = () => {
      throw { number: 2627, class: 14, message: 'Violation of PRIMARY KEY constraint.' };
    };
    const server = closing(await startSqlEmulator({ onQuery }));
    const pool = await mssqlPool(server.config());
    const transaction = new sql.Transaction(pool);
    await transaction.begin();
    expect(await rejection(transaction.request().query(text))).toMatchObject({ number });
    await transaction.commit();
  });

  test('with XACT_ABORT, each error of onQuery too', async () => {
    const onQuery = () => {
      throw { number: 2627, class: 14, message: 'Violation of PRIMARY KEY constraint.' };
    };
    const server = closing(await startSqlEmulator({ onQuery }));
    const { connection } = await tediousConnect(server.config() as never);
    await execute(connection, 'SET XACT_ABORT ON; BEGIN TRAN', { batch: true });
    expect(await rejection(execute(connection, 'INSERT INTO t VALUES (1)'))).toMatchObject({ number: 2627 });
    expect(await execute(connection, 'SELECT @@TRANCOUNT')).toEqual([[0]]);
  });
});

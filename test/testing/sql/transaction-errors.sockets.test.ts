import { Request, TYPES } from 'tedious';
import { describe, expect, test } from 'vitest';
import { type SqlErrorInfo, startSqlEmulator } from '../../../src/testing/index.js';
import { closing, execute, mssqlPool, rejection, tediousConnect } from '../sql-clients.js';

/** tedious learns from an ENVCHANGE token whether a transaction is open. */
type Transacting = { inTransaction: boolean };

async function inTransaction(thrown: SqlErrorInfo | undefined, options = '') {
  const events: string[] = [];
  const server = closing(
    await startSqlEmulator({
      onQuery(text) {
        if (text.startsWith('UPDATE')) throw thrown;
        return undefined;
      },
      onTransaction: ({ kind }) => events.push(kind),
    }),
  );
  const { connection } = await tediousConnect(server.config() as never);
  const batch = (text: string) => execute(connection, text, { batch: true });
  await batch(`${options}; BEGIN TRAN; BEGIN TRAN; SAVE TRAN half`);
  return {
    server,
    events,
    batch,
    connection: connection as typeof connection & Transacting,
    depth: async () => (await batch('SELECT @@TRANCOUNT'))[0]?.[0],
  };
}

const ROLLED_BACK = [1205, 3960, 3961, 41301, 41302, 41305, 41325, 41839, 245, 241, 8114, 8169];

describe('an error after which SQL Server has rolled back', () => {
  test.each(ROLLED_BACK)('ends the transaction when onQuery throws it: %i', async (number) => {
    const { connection, events, depth } = await inTransaction({ number, class: 16 });
    expect(connection.inTransaction).toBe(true);
    expect(await rejection(execute(connection, 'UPDATE accounts SET balance = 1'))).toMatchObject({ number });
    expect(connection.inTransaction).toBe(false);
    expect(events).toEqual(['begin', 'save', 'rollback']);
    expect(await depth()).toBe(0);
    expect(await rejection(execute(connection, 'COMMIT', { batch: true }))).toMatchObject({ number: 3902 });
  });

  test.each([
    ['a batch', (text: string) => ({ text, batch: true })],
    ['sp_executesql', (text: string) => ({ text, batch: false })],
  ])('ends it once, without error 266: %s', async (_, call) => {
    const { connection, depth, events } = await inTransaction({ number: 1205 });
    const errors: number[] = [];
    connection.on('errorMessage', ({ number }) => errors.push(number as number));
    const { text, batch } = call("SELECT 1; SELECT CAST('x' AS int); SELECT 2");
    await rejection(execute(connection, text, { batch }));
    await rejection(execute(connection, 'UPDATE a', { batch }));
    expect(errors).toEqual([245, 1205]);
    expect(events).toEqual(['begin', 'save', 'rollback']);
    expect(await depth()).toBe(0);
  });

  test('ends it when an expectation answers with it', async () => {
    const { server, connection, depth } = await inTransaction(undefined);
    server.expect('DELETE FROM accounts', Object.assign(new Error('deadlock victim'), { number: 1205 }));
    await rejection(execute(connection, 'DELETE FROM accounts'));
    expect(connection.inTransaction).toBe(false);
    expect(await depth()).toBe(0);
  });

  test.each(["THROW 1205, 'deadlock', 1", 'RAISERROR(1205, 13, 51)'])('ends it and the batch: %s', async (text) => {
    const { connection, batch, depth } = await inTransaction(undefined);
    expect(await rejection(batch(`${text}; BEGIN TRAN`))).toMatchObject({ number: 1205 });
    expect(connection.inTransaction).toBe(false);
    expect(await depth()).toBe(0);
  });

  test('ends it when a bulk load fails with it', async () => {
    const server = closing(
      await startSqlEmulator({
        onBulkLoad: () => {
          throw { number: 1205 };
        },
      }),
    );
    const { connection } = await tediousConnect(server.config() as never);
    await execute(connection, 'BEGIN TRAN', { batch: true });
    const error = await new Promise((resolve) => {
      const load = connection.newBulkLoad('accounts', (failure) => resolve(failure));
      load.addColumn('id', TYPES.Int, { nullable: false });
      connection.execBulkLoad(load, [{ id: 1 }]);
    });
    expect(error).toMatchObject({ number: 1205 });
    expect(await execute(connection, 'SELECT @@TRANCOUNT', { batch: true })).toEqual([[0]]);
  });

  test('is a plain error outside a transaction', async () => {
    const { connection, batch, events } = await inTransaction({ number: 1205 });
    await batch('ROLLBACK');
    expect(await rejection(execute(connection, 'UPDATE a'))).toMatchObject({ number: 1205 });
    expect(events).toEqual(['begin', 'save', 'rollback']);
  });

  test('makes the rollback of mssql fail with EABORT, as on a real server', async () => {
    const server = closing(
      await startSqlEmulator({
        onQuery: () => {
          throw { number: 1205 };
        },
      }),
    );
    const pool = await mssqlPool(server.config() as never);
    const transaction = pool.transaction();
    await transaction.begin();
    await rejection(transaction.request().query('UPDATE accounts SET balance = 1'));
    expect(await rejection(transaction.rollback())).toMatchObject({ code: 'EABORT' });
  });
});

describe('an error after which SQL Server keeps the transaction', () => {
  const KEPT = [2627, 547, 8134, 8115, 220, 242, 2601, 8152, 50_000, 1222];

  test.each(KEPT)('leaves it open: %i', async (number) => {
    const { connection, events, depth } = await inTransaction({ number, class: 16 });
    expect(await rejection(execute(connection, 'UPDATE accounts SET balance = 1'))).toMatchObject({ number });
    expect(connection.inTransaction).toBe(true);
    expect(events).toEqual(['begin', 'save']);
    expect(await depth()).toBe(2);
  });

  test.each(KEPT)('ends it under XACT_ABORT: %i', async (number) => {
    const { connection, events, depth } = await inTransaction({ number, class: 16 }, 'SET XACT_ABORT ON');
    expect(await rejection(execute(connection, 'UPDATE accounts SET balance = 1'))).toMatchObject({ number });
    expect(connection.inTransaction).toBe(false);
    expect(events).toEqual(['begin', 'save', 'rollback']);
    expect(await depth()).toBe(0);
  });

  test.each([
    ['a syntax error', 'SELEKT 1', 102],
    ['RAISERROR', "RAISERROR('by hand', 16, 1)", 50_000],
    ['an unknown column', 'SELECT nothing', 207],
  ])('leaves it open even under XACT_ABORT: %s', async (_, text, number) => {
    const { connection, batch, depth } = await inTransaction(undefined, 'SET XACT_ABORT ON');
    expect(await rejection(batch(text))).toMatchObject({ number });
    expect(connection.inTransaction).toBe(true);
    expect(await depth()).toBe(2);
  });

  test.each([
    ['THROW', "THROW 50001, 'by hand', 1", 50_001],
    ['a missing table', 'SELECT * FROM orders', 208],
  ])('ends it under XACT_ABORT: %s', async (_, text, number) => {
    const { connection, batch, depth } = await inTransaction(undefined, 'SET XACT_ABORT ON');
    expect(await rejection(batch(text))).toMatchObject({ number });
    expect(connection.inTransaction).toBe(false);
    expect(await depth()).toBe(0);
  });

  test('error 266 leaves it open under XACT_ABORT', async () => {
    const { connection, batch, depth } = await inTransaction(undefined, 'SET XACT_ABORT ON');
    expect(await rejection(execute(connection, 'BEGIN TRAN'))).toMatchObject({ number: 266 });
    expect(await depth()).toBe(3);
    await batch('COMMIT; COMMIT; COMMIT');
  });

  test('information leaves it open', async () => {
    const { connection, depth } = await inTransaction({ number: 1205, class: 10 }, 'SET XACT_ABORT ON');
    await execute(connection, 'UPDATE accounts SET balance = 1');
    expect(await depth()).toBe(2);
  });

  test.each([
    '1/0',
    '2147483647 + 1',
    'CAST(256 AS tinyint)',
    "CAST('2024-02-30' AS datetime)",
    "LEFT('a', -1)",
    "SUBSTRING('a', 1, -1)",
  ])('ends its statement only: SELECT %s', async (expression) => {
    const { connection } = await inTransaction(undefined);
    const rows: unknown[] = [];
    await new Promise((resolve) => {
      const request = new Request(`SELECT ${expression}; SELECT @@TRANCOUNT`, resolve);
      request.on('row', (columns: { value: unknown }[]) => rows.push(columns[0]?.value));
      connection.execSqlBatch(request);
    });
    expect(rows).toEqual([2]);
  });
});

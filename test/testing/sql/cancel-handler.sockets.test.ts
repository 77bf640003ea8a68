import { Request, TYPES } from 'tedious';
import { describe, expect, test } from 'vitest';
import { startSqlEmulator } from '../../../src/testing/index.js';
import { closing, execute, mssqlPool, rejection, tediousConnect } from '../sql-clients.js';

/** Never ends, as a handler with a bug or a very slow one. */
const forever = () => new Promise<never>(() => {});

/** A handler that never ends, and what it received. */
function endless() {
  const signals: AbortSignal[] = [];
  const started: string[] = [];
  const onQuery = (sql: string, _: unknown, __: unknown, { signal }: { signal: AbortSignal }) => {
    started.push(sql);
    signals.push(signal);
    return forever();
  };
  return { onQuery, signals, started };
}

describe('a handler that is still running', () => {
  test.each([
    ['a batch', true],
    ['sp_executesql', false],
  ])('does not delay a cancel: %s', async (_, batch) => {
    const { onQuery, signals, started } = endless();
    const server = closing(await startSqlEmulator({ onQuery }));
    const { connection } = await tediousConnect(server.config() as never);
    const waiting = rejection(execute(connection, 'SELECT * FROM slow', { batch }));
    await expect.poll(() => started.length, { timeout: 10_000 }).toBe(1);
    expect(signals[0]?.aborted).toBe(false);
    connection.cancel();
    expect(await waiting).toMatchObject({ code: 'ECANCEL' });
    expect(signals[0]?.aborted).toBe(true);
    expect(await execute(connection, 'SELECT 1')).toEqual([[1]]);
  });

  test('does not delay a request timeout', async () => {
    const { onQuery } = endless();
    const server = closing(await startSqlEmulator({ onQuery }));
    const pool = await mssqlPool(server.config({ requestTimeout: 50 }) as never);
    expect(await rejection(pool.query('SELECT * FROM slow'))).toMatchObject({ code: 'ETIMEOUT' });
    expect((await pool.query`SELECT 1 AS one`).recordset).toEqual([{ one: 1 }]);
  });

  test('does not delay a cancel if it belongs to an expectation', async () => {
    const server = closing(await startSqlEmulator());
    let calls = 0;
    server.expect('SELECT * FROM slow', () => {
      calls += 1;
      return forever();
    });
    const { connection } = await tediousConnect(server.config() as never);
    const waiting = rejection(execute(connection, 'SELECT * FROM slow'));
    await expect.poll(() => calls, { timeout: 10_000 }).toBe(1);
    connection.cancel();
    expect(await waiting).toMatchObject({ code: 'ECANCEL' });
    expect(server.queries.at(-1)).toMatchObject({ error: undefined });
  });

  test('does not delay a cancel if it waits for its next row', async () => {
    let [asked, returned] = [0, 0];
    const rows: AsyncIterable<{ n: number }> = {
      [Symbol.asyncIterator]: () => ({
        next: () => {
          asked += 1;
          return asked === 1 ? Promise.resolve({ value: { n: 1 }, done: false }) : forever();
        },
        return: () => {
          returned += 1;
          return forever();
        },
      }),
    };
    const server = closing(await startSqlEmulator({ onQuery: () => ({ rows }) }));
    const { connection } = await tediousConnect(server.config() as never);
    const waiting = rejection(execute(connection, 'SELECT * FROM slow'));
    await expect.poll(() => asked, { timeout: 10_000 }).toBe(2);
    connection.cancel();
    expect(await waiting).toMatchObject({ code: 'ECANCEL' });
    expect(returned).toBe(1);
    expect(await execute(connection, 'SELECT 1')).toEqual([[1]]);
  });

  test('does not delay a cancel of a bulk load', async () => {
    const signals: AbortSignal[] = [];
    const server = closing(
      await startSqlEmulator({
        onBulkLoad: (_, __, { signal }) => {
          signals.push(signal);
          return forever();
        },
      }),
    );
    const { connection } = await tediousConnect(server.config() as never);
    const outcome = new Promise((resolve) => {
      const load = connection.newBulkLoad('accounts', (error) => resolve(error));
      load.addColumn('id', TYPES.Int, { nullable: false });
      connection.execBulkLoad(load, [{ id: 1 }]);
    });
    await expect.poll(() => signals.length, { timeout: 10_000 }).toBe(1);
    connection.cancel();
    expect(await outcome).toMatchObject({ code: 'ECANCEL' });
    expect(signals[0]?.aborted).toBe(true);
  });

  test('may fail or answer later, without effect', async () => {
    const ends: (() => void)[] = [];
    const server = closing(
      await startSqlEmulator({
        onQuery: (sql) =>
          new Promise((resolve, reject) => {
            ends.push(sql.includes('failing') ? () => reject(new Error('too late')) : () => resolve([{ n: 1 }]));
          }),
      }),
    );
    const { connection } = await tediousConnect(server.config() as never);
    for (const table of ['failing', 'answering']) {
      const waiting = rejection(execute(connection, `SELECT * FROM ${table}`));
      await expect.poll(() => ends.length, { timeout: 10_000 }).toBe(1);
      connection.cancel();
      await waiting;
      ends.pop()?.();
      expect(await execute(connection, 'SELECT 2')).toEqual([[2]]);
    }
  });

  test('is aborted when its client disconnects', async () => {
    const { onQuery, signals } = endless();
    const server = closing(await startSqlEmulator({ onQuery }));
    const { connection } = await tediousConnect(server.config() as never);
    const waiting = rejection(execute(connection, 'SELECT * FROM slow'));
    await expect.poll(() => signals.length, { timeout: 10_000 }).toBe(1);
    connection.close();
    await waiting;
    await expect.poll(() => signals[0]?.aborted, { timeout: 10_000 }).toBe(true);
    await expect.poll(() => server.connections.open, { timeout: 10_000 }).toBe(0);
  });

  test('is not aborted once it has answered', async () => {
    const signals: AbortSignal[] = [];
    const onQuery = (_: string, __: unknown, ___: unknown, { signal }: { signal: AbortSignal }) => {
      signals.push(signal);
      return [{ n: 1 }];
    };
    const server = closing(await startSqlEmulator({ onQuery }));
    const { connection } = await tediousConnect(server.config() as never);
    expect(await execute(connection, 'SELECT * FROM t')).toEqual([[1]]);
    connection.close();
    await expect.poll(() => server.connections.open, { timeout: 10_000 }).toBe(0);
    expect(signals[0]?.aborted).toBe(false);
  });
});

describe('a cancel in a transaction', () => {
  test.each([
    ['OFF', 1],
    ['ON', 0],
  ])('under XACT_ABORT %s leaves @@TRANCOUNT at %i', async (value, depth) => {
    const server = closing(await startSqlEmulator());
    const { connection } = await tediousConnect(server.config() as never);
    await execute(connection, `SET XACT_ABORT ${value}; BEGIN TRAN`, { batch: true });
    const waiting = new Promise((resolve) => {
      const request = new Request("WAITFOR DELAY '00:01:00'", resolve);
      connection.execSqlBatch(request);
    });
    await expect.poll(() => server.queries.at(-1)?.sql, { timeout: 10_000 }).toContain('WAITFOR');
    connection.cancel();
    expect(await waiting).toMatchObject({ code: 'ECANCEL' });
    expect((connection as unknown as { inTransaction: boolean }).inTransaction).toBe(depth > 0);
    expect(await execute(connection, 'SELECT @@TRANCOUNT', { batch: true })).toEqual([[depth]]);
  });
});

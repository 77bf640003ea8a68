import { describe, expect, test } from 'vitest';
import { transaction } from '../../src/index.js';
import { named } from '../support/named.js';
import { site } from '../support/pool.js';
import { stockMssql, useEmulators, ways, withPool } from './three-ways.js';

const emulators = useEmulators();

describe.each(named([stockMssql, ...ways]))('transactions through %s', (_, way) => {
  const { sql } = way;

  test('commit: all requests on one connection, which is returned clean', async () => {
    await withPool(way, emulators.server.config({ pool: { max: 2 } }), async (pool) => {
      const transaction = pool.transaction();
      await transaction.begin(sql.ISOLATION_LEVEL.READ_COMMITTED);
      const inside = async () =>
        (await transaction.request().query('SELECT @@SPID AS spid, @@TRANCOUNT AS depth')).recordset[0];
      const first = await inside();
      const second = await inside();
      expect(first.depth).toBe(1);
      expect(second).toEqual(first);
      expect(pool.borrowed).toBe(1);
      await transaction.commit();
      expect(pool.borrowed).toBe(0);
      expect((await pool.query('SELECT @@TRANCOUNT AS depth')).recordset).toEqual([{ depth: 0 }]);
    });
  });

  test('rollback, with the event', async () => {
    await withPool(way, emulators.server.config(), async (pool) => {
      const transaction = new sql.Transaction(pool);
      const events: unknown[] = [];
      transaction
        .on('begin', () => events.push('begin'))
        .on('rollback', (aborted) => events.push(['rollback', aborted]));
      await transaction.begin();
      await transaction.rollback();
      expect(events).toEqual(['begin', ['rollback', false]]);
      expect(pool.borrowed).toBe(0);
    });
  });

  test('an error inside that ends the transaction on the server (XACT_ABORT)', async () => {
    await withPool(way, emulators.server.config({ pool: { max: 1 } }), async (pool) => {
      const transaction = pool.transaction();
      await transaction.begin();
      await transaction.request().batch('SET XACT_ABORT ON');
      await expect(transaction.request().query("THROW 50001, N'no', 1")).rejects.toMatchObject({ number: 50001 });
      await expect(transaction.commit()).rejects.toMatchObject({ code: 'EABORT' });
      expect((await pool.query('SELECT 1 AS ok')).recordset).toEqual([{ ok: 1 }]);
    });
  });

  test('begin twice, commit without begin', async () => {
    await withPool(way, emulators.server.config(), async (pool) => {
      const transaction = pool.transaction();
      await expect(transaction.commit()).rejects.toMatchObject({ code: 'ENOTBEGUN' });
      await transaction.begin();
      await expect(transaction.begin()).rejects.toMatchObject({ code: 'EALREADYBEGUN' });
      await transaction.rollback();
    });
  });

  test('the connection lost in the middle', async () => {
    await withPool(way, emulators.server.config({ pool: { max: 1 } }), async (pool) => {
      const transaction = pool.transaction();
      await transaction.begin();
      emulators.server.dropConnections();
      await expect(transaction.request().query('SELECT 1')).rejects.toBeInstanceOf(sql.RequestError);
      await transaction.rollback().catch(() => {});
      expect((await pool.query('SELECT 1 AS ok')).recordset).toEqual([{ ok: 1 }]);
    });
  });
});

test.each(named(ways))('transaction() with %s: a deadlock runs again, a lost COMMIT does not', async (_, way) => {
  const log: string[] = [];
  let losesCommit = false;
  await using here = await site({
    server: {
      onTransaction({ kind }) {
        log.push(kind);
        if (kind === 'commit' && losesCommit) here.server.dropConnections();
      },
    },
  });
  const config = { ...here.server.config(), authentication: here.entra.credential() };
  await withPool(way, config as never, async (pool) => {
    pool.on('error', () => {});
    let runs = 0;
    const work = async (scope: InstanceType<typeof way.sql.Transaction>) => {
      runs += 1;
      if (runs === 1) await new way.sql.Request(scope).batch("SET XACT_ABORT ON; THROW 1205, 'deadlock', 1");
      return (await new way.sql.Request(scope).query('SELECT 1 AS one')).recordset;
    };
    expect([...(await transaction(pool, work, { firstWaitMs: 10 }))]).toEqual([{ one: 1 }]);
    expect(log).toEqual(['begin', 'rollback', 'begin', 'commit']);
    losesCommit = true;
    await expect(transaction(pool, work, { firstWaitMs: 10 })).rejects.toMatchObject({
      code: 'ERR_COMMIT_OUTCOME_UNKNOWN',
    });
    expect(runs).toBe(3);
  });
});

import { describe, expect, test } from 'vitest';
import sql from '../../src/mssql/index.js';
import { named } from '../support/named.js';
import { stock, stockMssql, useEmulators, ways, withPool } from './three-ways.js';

const emulators = useEmulators();
const config = (overrides = {}) => emulators.server.config(overrides);

describe.each(named([stockMssql, ...ways]))('a pool of %s', (_, way) => {
  test('counts its connections', async () => {
    await withPool(way, config({ pool: { max: 2 } }), async (pool) => {
      const transaction = pool.transaction();
      await transaction.begin();
      expect(pool).toMatchObject({ borrowed: 1, pending: 0 });
      const busy = pool.query("WAITFOR DELAY '00:00:00.200'");
      const waiting = pool.query('SELECT 1');
      await expect.poll(() => [pool.borrowed, pool.pending]).toEqual([2, 1]);
      await busy;
      await waiting;
      await transaction.rollback();
      expect(pool).toMatchObject({ size: 2, available: 2, borrowed: 0, pending: 0 });
    });
  });

  test('is connected, then healthy, then closed', async () => {
    const pool = await way.open(config());
    expect(pool).toMatchObject({ connected: true, connecting: false, healthy: true });
    await pool.close();
    expect(pool).toMatchObject({ connected: false, connecting: false, healthy: false });
    await expect(pool.query('SELECT 1')).rejects.toMatchObject({ code: 'ECONNCLOSED' });
    await pool.close();
  });

  test('refuses to close while it is connecting', async () => {
    const pool = new way.sql.ConnectionPool(config() as never);
    const connecting = pool.connect();
    expect(pool.connecting).toBe(true);
    await expect(pool.close()).rejects.toThrow('Cannot close a pool while it is connecting');
    await connecting;
    await pool.close();
  });

  test('close() waits for borrowed connections', async () => {
    const pool = await way.open(config());
    const busy = pool.query("WAITFOR DELAY '00:00:00.100'; SELECT 1 AS ok");
    await expect.poll(() => pool.borrowed).toBe(1);
    await pool.close();
    expect((await busy).recordset).toEqual([{ ok: 1 }]);
    await expect.poll(() => emulators.server.connections.open).toBe(0);
  });

  test('can be opened again', async () => {
    const pool = new way.sql.ConnectionPool(config() as never);
    for (let round = 0; round < 2; round += 1) {
      await pool.connect();
      expect((await pool.query('SELECT 1 AS ok')).recordset).toEqual([{ ok: 1 }]);
      await pool.close();
    }
  });

  test('gives up waiting for a connection after acquireTimeoutMillis', async () => {
    await withPool(way, config({ pool: { max: 1, acquireTimeoutMillis: 600 } }), async (pool) => {
      pool.on('error', () => {});
      const transaction = pool.transaction();
      await transaction.begin();
      await expect(pool.query('SELECT 1')).rejects.toThrow();
      await transaction.rollback();
      expect((await pool.query('SELECT 1 AS ok')).recordset).toEqual([{ ok: 1 }]);
    });
  });

  test('knows the collation of the database', async () => {
    await withPool(way, config(), async (pool) => {
      expect(pool).toHaveProperty('collation.codepage', 'CP1252');
    });
  });
});

describe('where our ConnectionPool is better', () => {
  test('has numbers before connect() and after close()', async () => {
    const pool = new sql.ConnectionPool(config());
    expect(pool).toMatchObject({ size: 0, available: 0, borrowed: 0, pending: 0 });
    expect(() => new stock.ConnectionPool(config() as never).size).toThrow(TypeError);
  });

  test('connect() keeps its connection: one login where mssql needs two', async () => {
    const loginsFor = async (way: (typeof ways)[number]) => {
      const before = emulators.server.logins.length;
      await withPool(way, config(), (pool) => pool.query('SELECT 1'));
      return emulators.server.logins.length - before;
    };
    const [refreshing, subclass, module] = ways as [
      (typeof ways)[number],
      (typeof ways)[number],
      (typeof ways)[number],
    ];
    expect(await loginsFor(stockMssql)).toBe(2);
    expect(await loginsFor(refreshing)).toBe(2);
    expect(await loginsFor(subclass)).toBe(1);
    expect(await loginsFor(module)).toBe(1);
  });

  test('a timeout is a ConnectionError that says what the pool was waiting for', async () => {
    const pool = await new sql.ConnectionPool(config({ pool: { max: 1, acquireTimeoutMillis: 600 } })).connect();
    const transaction = pool.transaction();
    await transaction.begin();
    const error = await pool.query('SELECT 1').catch((e) => e);
    expect(error).toBeInstanceOf(sql.ConnectionError);
    expect(error).toMatchObject({ code: 'ETIMEOUT', originalError: { code: 'ERR_ACQUIRE_TIMEOUT' } });
    await transaction.rollback();
    await pool.close();
  });
});

import { describe, expect, test } from 'vitest';
import sql from '../../src/mssql/index.js';
import { withTokenRefresh } from '../../src/mssql/with-token-refresh.js';
import { named } from '../support/named.js';
import { type Config, stock, useEmulators } from './three-ways.js';

const emulators = useEmulators();
type Pool = import('mssql').ConnectionPool;
type Callback = (error?: Error | null, result?: unknown) => void;

/** What the callback forms return, and what the callbacks get. */
const openers: { name: string; ConnectionPool: typeof stock.ConnectionPool; config: (config: Config) => never }[] = [
  { name: 'stock mssql', ConnectionPool: stock.ConnectionPool, config: (config) => config as never },
  {
    name: 'withTokenRefresh',
    ConnectionPool: stock.ConnectionPool,
    config: (config) => withTokenRefresh(config) as never,
  },
  { name: 'our ConnectionPool', ConnectionPool: sql.ConnectionPool as never, config: (config) => config as never },
];

describe.each(named(openers))('callbacks with %s', (_, { ConnectionPool, config }) => {
  test('connect, query and close call back and return what mssql returns', async () => {
    const pool = new ConnectionPool(config(emulators.server.config()));
    const seen = await new Promise<{ returned: unknown; error: unknown; result: unknown }>((resolve) => {
      const returned = (pool.connect as (callback: Callback) => unknown)((error, result) =>
        setImmediate(() => resolve({ returned, error, result })),
      );
    });
    expect(seen).toEqual({ returned: pool, error: null, result: pool });

    const rows = await new Promise((resolve, reject) =>
      pool.query('SELECT 1 AS one', (error, result) => (error ? reject(error) : resolve(result?.recordset))),
    );
    expect(rows).toEqual([{ one: 1 }]);

    const closed = await new Promise<{ returned: unknown; error: unknown }>((resolve) => {
      const returned = (pool.close as (callback: Callback) => unknown)((error) =>
        setImmediate(() => resolve({ returned, error })),
      );
    });
    expect(closed).toEqual({ returned: pool, error: null });
  });

  test('the constructor connects when it gets a callback', async () => {
    const pool = await new Promise<Pool>((resolve, reject) => {
      const made: Pool = new ConnectionPool(config(emulators.server.config()), (error) =>
        error ? reject(error) : resolve(made),
      );
    });
    expect(pool.connected).toBe(true);
    await pool.close();
  });

  test('a failure goes to the callback', async () => {
    const unreachable = { ...emulators.server.config(), port: 1 };
    const error = await new Promise((resolve) => new ConnectionPool(config(unreachable), resolve));
    expect(error).toBeInstanceOf(stock.ConnectionError);
    expect(error).toMatchObject({ code: 'ESOCKET' });
  });

  test('an exception in a callback reaches the process, not the pool', async () => {
    const pool = new ConnectionPool(config(emulators.server.config()));
    const thrown = new Promise((resolve) => {
      const before = process.listeners('uncaughtException');
      process.removeAllListeners('uncaughtException');
      process.once('uncaughtException', (error) => {
        for (const listener of before) process.on('uncaughtException', listener);
        resolve(error);
      });
    });
    pool.connect(() => {
      throw new Error('mine');
    });
    expect(await thrown).toMatchObject({ message: 'mine' });
    expect(pool.connected).toBe(true);
    await pool.close();
  });
});

test('an unreadable connection string goes to the callback too', async () => {
  const error = await new Promise((resolve) => new sql.ConnectionPool('Server', resolve as never));
  expect(error).toMatchObject({ code: 'ERR_CONFIGURATION' });
  expect(() => new sql.ConnectionPool('Server')).toThrow(/key=value/);
});

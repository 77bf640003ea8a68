import type { ConnectionPool as StockPool } from 'mssql';
import mssql from 'mssql';
import { Request } from 'tedious';
import { createTokenPool, type TokenPoolConfig, withTokenRefresh } from '../../../src/index.js';
import { ConnectionPool } from '../../../src/mssql/index.js';

/** What the table needs of a library that opens connections through us. */
export interface Client {
  /** Gets a connection, runs `SELECT 1`, gives the connection back. */
  query(): Promise<unknown>;
  /** Like `query`, with a session reset before it, where the library can do that. */
  resetAndQuery?(): Promise<unknown>;
  /** Permits in use; undefined where the library does not say. */
  inUse(): { opening: number; size: number } | undefined;
  /** Objects that a user may print. */
  printable: unknown[];
  close(): Promise<void>;
}

export type ClientFactory = (config: TokenPoolConfig) => Promise<Client>;

export const CLIENTS: Readonly<Record<string, ClientFactory>> = {
  async createTokenPool(config) {
    const pool = createTokenPool(config);
    return {
      query: () => pool.use((connection) => run(connection, false)),
      resetAndQuery: () => pool.use((connection) => run(connection, true)),
      inUse: () => pool.stats,
      printable: [pool, pool.stats],
      close: () => pool.close({ timeoutMs: 0 }),
    };
  },

  async 'ConnectionPool of mssql-token-pool/mssql'(config) {
    const pool = new ConnectionPool(config);
    return { ...mssqlClient(pool as unknown as StockPool), close: () => pool.close({ timeoutMs: 0 }) };
  },

  async 'withTokenRefresh on stock mssql'(config) {
    return mssqlClient(new mssql.ConnectionPool(withTokenRefresh(timed(config)) as never));
  },

  async 'Sequelize 6'(config) {
    const { Sequelize } = await import('sequelize');
    const { sequelizeOptions } = await import('../../../src/orm/sequelize.js');
    const { createTimeoutMillis: _, acquireTimeoutMillis: __, ...pool } = config.pool ?? {};
    const sequelize = new Sequelize({
      ...(sequelizeOptions({ ...timed(config), pool: { ...pool, acquire: SEQUELIZE_ACQUIRE_MS } } as never) as object),
      databaseVersion: '16.0.0',
      logging: false,
    } as never);
    return {
      query: async () => (await sequelize.query('SELECT 1'))[0],
      inUse: () => undefined,
      printable: [sequelize],
      close: () => sequelize.close(),
    };
  },

  async knex(config) {
    const { default: knex } = await import('knex');
    const { knexConfig } = await import('../../../src/orm/knex.js');
    const silent = { warn() {}, error() {}, deprecate() {}, debug() {} };
    const db = knex({ ...knexConfig(config), log: silent } as never);
    return {
      query: async () => db.raw('SELECT 1'),
      inUse: () => undefined,
      printable: [db],
      close: () => db.destroy(),
    };
  },

  async 'Prisma adapter'(config) {
    const { PrismaMssql } = await import('@prisma/adapter-mssql');
    const { adapterConfig } = await import('../../../src/orm/prisma.js');
    const factory = new PrismaMssql(adapterConfig(timed(config)) as never);
    const open = () => factory.connect();
    let adapter: Awaited<ReturnType<typeof open>> | undefined;
    return {
      async query() {
        adapter ??= await open();
        return (await adapter.queryRaw({ sql: 'SELECT 1', args: [], argTypes: [] })).rows;
      },
      inUse: () => undefined,
      printable: [factory],
      close: async () => adapter?.dispose(),
    };
  },
};

/** Longer than a login may take, or Sequelize's own error, which has neither code nor reason, replaces that of the login. */
const SEQUELIZE_ACQUIRE_MS = 3_000;

/**
 * What bounds a login of stock mssql and of Sequelize is connectionTimeout, and what bounds a query is requestTimeout. tarn's
 * own limits are longer: its errors have neither code nor reason, and would replace that of the login.
 */
function timed(config: TokenPoolConfig): TokenPoolConfig {
  const { createTimeoutMillis = 15_000 } = config.pool ?? {};
  return {
    connectionTimeout: createTimeoutMillis,
    requestTimeout: createTimeoutMillis,
    ...config,
    pool: { ...config.pool, createTimeoutMillis: 10_000, acquireTimeoutMillis: 10_000 },
  };
}

function mssqlClient(pool: StockPool): Client {
  return {
    async query() {
      if (!pool.connected) await pool.connect();
      return (await pool.request().query('SELECT 1')).recordset;
    },
    // mssql's pool has no counters before its first successful connect().
    inUse: () =>
      pool.connected ? { opening: pool.size - pool.available - pool.borrowed, size: pool.size } : undefined,
    printable: [pool],
    close: () => Promise.resolve(pool.close()),
  };
}

function run(connection: import('tedious').Connection, reset: boolean): Promise<unknown[][]> {
  return new Promise((resolve, reject) => {
    const rows: unknown[][] = [];
    const request = new Request('SELECT 1', (error) => (error ? reject(error) : resolve(rows)));
    request.on('row', (columns: { value: unknown }[]) => rows.push(columns.map((column) => column.value)));
    if (reset) connection.reset((error) => (error ? reject(error) : connection.execSql(request)));
    else connection.execSql(request);
  });
}

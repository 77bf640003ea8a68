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
  /** What the library's own pool counts. */
  inUse(): InUse;
  /** Objects that a user may print. */
  printable: unknown[];
  close(): Promise<void>;
}

interface InUse {
  /** Connections that are being opened. */
  opening: number;
  /** Connections, those included. */
  size: number;
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
    const options = sequelizeOptions(timedForSequelize(config) as never);
    return sequelizeClient(new Sequelize({ ...(options as object), ...QUIET } as never));
  },

  async 'Sequelize 7'(config) {
    const { Sequelize } = await import('@sequelize/core');
    const { MsSqlDialect } = await import('@sequelize/mssql');
    const { sequelize7Options } = await import('../../../src/orm/sequelize.js');
    const options = sequelize7Options(timedForSequelize(config) as never);
    return sequelizeClient(
      new Sequelize({ dialect: MsSqlDialect, ...(options as object), ...QUIET } as never) as never,
    );
  },

  async knex(config) {
    const { default: knex } = await import('knex');
    const { knexConfig } = await import('../../../src/orm/knex.js');
    const silent = { warn() {}, error() {}, deprecate() {}, debug() {} };
    const db = knex({ ...knexConfig(config), log: silent } as never);
    return {
      query: async () => db.raw('SELECT 1'),
      inUse: () => inUseOf(db.client.pool),
      printable: [db],
      close: () => db.destroy(),
    };
  },

  async Kysely(config) {
    const { Kysely, MssqlDialect, sql } = await import('kysely');
    const { dialectConfig } = await import('../../../src/orm/kysely.js');
    const pool = createTokenPool(config);
    const db = new Kysely<object>({ dialect: new MssqlDialect(dialectConfig(pool)) });
    return {
      query: async () => (await sql`SELECT 1`.execute(db)).rows,
      inUse: () => pool.stats,
      printable: [db],
      async close() {
        await db.destroy();
        await pool.close({ timeoutMs: 0 });
      },
    };
  },

  async TypeORM(config) {
    const { DataSource } = await import('typeorm');
    const { dataSourceOptions } = await import('../../../src/orm/typeorm.js');
    const options = dataSourceOptions(config as never);
    const pools: ConnectionPool[] = [];
    class Recorded extends options.driver.ConnectionPool {
      constructor(given: never) {
        super(given);
        pools.push(this);
      }
    }
    const driver = Object.create(options.driver, { ConnectionPool: { value: Recorded } }) as typeof options.driver;
    const source = new DataSource({ ...options, driver } as never);
    return {
      async query() {
        if (!source.isInitialized) await source.initialize();
        return source.query('SELECT 1');
      },
      inUse: () => sumOf(pools.map(({ pool }) => inUseOf(pool as unknown as Pool))),
      printable: [source],
      async close() {
        if (source.isInitialized) await source.destroy();
        // TypeORM forgets its pool when initialize() fails after the login, at its first queries: the connection of that pool
        // stays until it is idle for long enough, with stock mssql as well.
        await Promise.all(pools.map((pool) => pool.close({ timeoutMs: 0 })));
      },
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
      inUse: () => inUseOf((adapter as { pool?: StockPool } | undefined)?.pool?.pool as Pool),
      printable: [factory],
      close: async () => adapter?.dispose(),
    };
  },
};

/** Longer than a login may take, or Sequelize's own error, which has neither code nor reason, replaces that of the login. */
const SEQUELIZE_ACQUIRE_MS = 15_000;

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

function timedForSequelize(config: TokenPoolConfig): TokenPoolConfig {
  const { createTimeoutMillis: _, acquireTimeoutMillis: __, ...pool } = config.pool ?? {};
  return { ...timed(config), pool: { ...pool, acquire: SEQUELIZE_ACQUIRE_MS } } as TokenPoolConfig;
}

const QUIET = { databaseVersion: '16.0.0', logging: false };

function sequelizeClient(sequelize: import('sequelize').Sequelize): Client {
  // Sequelize 7 has no connectionManager, and throws where it is read.
  const { pool: ofSequelize7 } = sequelize as unknown as { pool?: { write: SequelizePool } };
  const pool =
    ofSequelize7?.write ??
    (sequelize as unknown as { connectionManager: { pool: SequelizePool } }).connectionManager.pool;
  return {
    query: async () => (await sequelize.query('SELECT 1'))[0],
    inUse: () => ({ opening: pool.size - pool.available - pool.using, size: pool.size }),
    printable: [sequelize],
    close: () => sequelize.close(),
  };
}

interface SequelizePool {
  size: number;
  available: number;
  using: number;
}

function mssqlClient(pool: StockPool): Client {
  return {
    async query() {
      if (!pool.connected) await pool.connect();
      return (await pool.request().query('SELECT 1')).recordset;
    },
    inUse: () => inUseOf((pool as unknown as { pool?: Pool }).pool),
    printable: [pool],
    close: () => Promise.resolve(pool.close()),
  };
}

/** tarn's pool, or ours in its form. */
type Pool = { numUsed(): number; numFree(): number; numPendingCreates(): number } | null | undefined;

/** mssql has a pool after its first successful connect(), and none after close(). */
function inUseOf(pool: Pool): InUse {
  const opening = pool?.numPendingCreates() ?? 0;
  return { opening, size: opening + (pool?.numUsed() ?? 0) + (pool?.numFree() ?? 0) };
}

function sumOf(each: readonly InUse[]): InUse {
  return each.reduce((a, b) => ({ opening: a.opening + b.opening, size: a.size + b.size }), { opening: 0, size: 0 });
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

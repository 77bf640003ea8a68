/**
 * `mssql-token-pool/typeorm`: TypeORM on a pool that never logs in with a stale token.
 *
 * @module mssql-token-pool/typeorm
 */
import { checkConfig, definedOnly } from '../connections/check-config.js';
import type { PoolConfig, TokenPoolConfig } from '../connections/config.js';
import { sql } from '../mssql/drop-in.js';
import { type ConnectionSource, isConnectionSource } from '../pool/connection-source.js';
import { readConfig } from './pool-for.js';
import { assertInstalled } from './require-peer.js';

assertInstalled('typeorm', 'typeorm');

/** The part of the options of a `DataSource` that {@link dataSourceOptions} fills in. */
export interface TypeOrmOptions {
  type: 'mssql';
  host: string;
  database?: string;
  /** The drop-in for mssql: TypeORM takes its `ConnectionPool` from there. */
  driver: typeof sql;
  /** The config, which TypeORM passes to `ConnectionPool` unchanged. */
  extra: TokenPoolConfig;
  pool?: { max?: number; min?: number; errorHandler?: PoolErrorHandler };
}

type PoolErrorHandler = (error: unknown) => void;

/** An mssql config; `pool.errorHandler` is TypeORM's own. */
export type TypeOrmConfig = Omit<TokenPoolConfig, 'pool'> & {
  pool?: (PoolConfig & { errorHandler?: PoolErrorHandler | undefined }) | undefined;
};

/**
 * The connection part of the options of a TypeORM `DataSource`.
 *
 * ```ts
 * const dataSource = new DataSource({
 *   ...dataSourceOptions({ server, database, authentication: credential, pool: { max: 10 } }),
 *   entities: [Author],
 * });
 * ```
 *
 * @param input an mssql config, a connection string, or a `TokenPool` shared with others
 * @throws ConfigurationError that names the setting and how to fix it
 */
export function dataSourceOptions(input: TypeOrmConfig | ConnectionSource | string): TypeOrmOptions {
  if (isConnectionSource(input)) return { type: 'mssql', host: '', driver: driverOn(input), extra: { server: '' } };
  const { pool, ...config }: TypeOrmConfig = readConfig(input as TokenPoolConfig | string);
  const { errorHandler: _, ...settings } = pool ?? {};
  // Reports mistakes now, not at the first query.
  checkConfig({ ...config, pool: settings });
  const { server, database, options } = config;
  return {
    type: 'mssql',
    host: server,
    ...(database !== undefined && { database }),
    // Not in `extra`, which would override settings of the application.
    ...(pool !== undefined && { pool: definedOnly(pool) as NonNullable<TypeOrmOptions['pool']> }),
    driver: sql,
    // TypeORM writes into `options`.
    extra: { ...config, ...(options !== undefined && { options: { ...options } }) },
  };
}

/** TypeORM would create its pool from a config, and there is none here. */
function driverOn(pool: ConnectionSource): typeof sql {
  class SharedPool extends sql.ConnectionPool {
    constructor() {
      super(pool);
    }
  }
  return Object.defineProperties({} as typeof sql, {
    ...Object.getOwnPropertyDescriptors(sql),
    ConnectionPool: { value: SharedPool, enumerable: true },
  });
}

/**
 * `mssql-token-pool/typeorm`: TypeORM on a pool that never logs in with a stale token.
 *
 * @module mssql-token-pool/typeorm
 */
import { checkConfig, definedOnly } from '../connections/check-config.js';
import type { PoolConfig, TokenPoolConfig } from '../connections/config.js';
import { LOGIN_SETTINGS } from '../connections/login-settings.js';
import { ConfigurationError } from '../errors.js';
import { sql } from '../mssql/drop-in.js';
import { type ConnectionSource, isConnectionSource } from '../pool/connection-source.js';
import { assertInstalled } from '../require-peer.js';
import { readConfig } from './pool-for.js';

assertInstalled('typeorm', 'typeorm');

/** The part of the options of a `DataSource` that {@link dataSourceOptions} fills in. */
export interface TypeOrmOptions {
  type: 'mssql';
  host: string;
  database?: string;
  connectionTimeout?: number;
  requestTimeout?: number;
  stream?: boolean;
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
  const { pool, connectionTimeout, requestTimeout, stream, ...config }: TypeOrmConfig = readConfig(
    input as TokenPoolConfig | string,
  );
  const { errorHandler: _, ...settings } = pool ?? {};
  // Mistakes are reported now, not at the first query.
  const ofTypeOrm = { connectionTimeout, requestTimeout, stream };
  checkConfig({ ...config, ...ofTypeOrm, pool: settings });
  const { server, database, options } = config;
  return {
    type: 'mssql',
    host: server,
    ...(database !== undefined && { database }),
    // Not in `extra`, which would override settings of the application.
    ...(definedOnly(ofTypeOrm) as Pick<TypeOrmOptions, keyof typeof ofTypeOrm>),
    ...(pool !== undefined && { pool: definedOnly(pool) as NonNullable<TypeOrmOptions['pool']> }),
    driver: driverFor(config),
    // TypeORM writes into `options`.
    extra: {
      ...withoutLogin(config),
      ...(options !== undefined && { options: { ...options } }),
      [OURS]: true,
    } as TokenPoolConfig,
  };
}

/** The settings of the login. Printing a DataSource shows its options, so the driver keeps these instead. */
const LOGIN: ReadonlySet<string> = new Set([...LOGIN_SETTINGS, 'domain']);

function withoutLogin(config: TypeOrmConfig): Partial<TypeOrmConfig> {
  return Object.fromEntries(Object.entries(config).filter(([key]) => !LOGIN.has(key)));
}

/** Marks the `extra` of {@link dataSourceOptions} and its copies; the application's own `extra` does not have it. */
const OURS: unique symbol = Symbol('extra of dataSourceOptions');

/** The config that TypeORM passes to its `ConnectionPool`, put together from all its settings. */
type Given = Partial<TokenPoolConfig> & { [OURS]?: true };

function driverFor(config: TypeOrmConfig): typeof sql {
  const login = Object.fromEntries([...LOGIN].map((key) => [key, (config as Record<string, unknown>)[key]]));
  return driverWith(
    class extends sql.ConnectionPool {
      constructor(given: Given) {
        if (given[OURS] === undefined) {
          throw new ConfigurationError(
            "TypeORM's 'extra' replaces that of dataSourceOptions(), which holds the login.",
            {
              hint: 'Pass its settings to dataSourceOptions(), or write extra: { ...options.extra, ... }.',
            },
          );
        }
        const { [OURS]: _, ...own } = given;
        super({ ...definedOnly(login), ...definedOnly(own) } as unknown as TokenPoolConfig);
      }
    },
  );
}

/** TypeORM would create its pool from a config, and there is none here. */
function driverOn(pool: ConnectionSource): typeof sql {
  return driverWith(
    class extends sql.ConnectionPool {
      constructor({ pool: settings }: Given) {
        const [name] = Object.keys(settings ?? {}).filter((key) => key !== 'errorHandler');
        if (name !== undefined) {
          throw new ConfigurationError(`TypeORM's own 'pool.${name}' has no effect on a pool that is shared.`, {
            hint: 'Set it where that pool is created.',
          });
        }
        super(pool);
      }
    },
  );
}

function driverWith(ConnectionPool: object): typeof sql {
  return Object.defineProperties({} as typeof sql, {
    ...Object.getOwnPropertyDescriptors(sql),
    ConnectionPool: { value: ConnectionPool, enumerable: true },
  });
}

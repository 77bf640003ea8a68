/**
 * `mssql-token-pool/mikro-orm`: MikroORM 6 and 7 on a pool that never logs in with a stale token.
 *
 * @module mssql-token-pool/mikro-orm
 */

import { assertInstalled } from '../require-peer.js';
import { type KnexDialect, knexClient } from './knex-client.js';
import { type DialectConfig, tokenDialectConfig } from './kysely-dialect.js';
import type { PoolInput } from './pool-for.js';

assertInstalled('@mikro-orm/core', 'mikro-orm');

/** `MssqlDialect` of the Kysely that MikroORM 7 is built on. */
export type KyselyDialect<Dialect extends object> = new (config: never) => Dialect;

/**
 * MikroORM's `driverOptions`. MikroORM 7 is built on Kysely, 6 on knex: give it the dialect of the one in use.
 *
 * ```ts
 * import { MssqlDialect } from 'kysely'; // MikroORM 6: import { MsSqlKnexDialect } from '@mikro-orm/knex';
 * const orm = await MikroORM.init({
 *   driver: MsSqlDriver,
 *   dbName: 'app',
 *   entities: [Author],
 *   driverOptions: driverOptions(MssqlDialect, { server, database: 'app', authentication: credential }),
 * });
 * ```
 *
 * @param input an mssql config, a connection string, or a `TokenPool` shared with others
 * @throws ConfigurationError that names the setting and how to fix it
 */
export function driverOptions<Dialect extends KnexDialect>(
  dialect: Dialect & { prototype: { acquireRawConnection(): unknown } },
  input: PoolInput,
): { client: Dialect };
export function driverOptions<Dialect extends object>(dialect: KyselyDialect<Dialect>, input: PoolInput): Dialect;
export function driverOptions(dialect: KnexDialect, input: PoolInput): object {
  if ('acquireRawConnection' in dialect.prototype) return { client: knexClient(dialect, input, 'mikro-orm') };
  const Dialect = dialect as unknown as new (config: DialectConfig) => object;
  return new Dialect(tokenDialectConfig(input, 'mikro-orm'));
}

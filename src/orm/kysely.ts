/**
 * `mssql-token-pool/kysely`: Kysely on a pool that never logs in with a stale token.
 *
 * @module mssql-token-pool/kysely
 */
import type { MssqlDialectConfig } from 'kysely';
import { assertInstalled } from '../require-peer.js';
import { tokenDialectConfig } from './kysely-dialect.js';
import type { PoolInput } from './pool-for.js';

assertInstalled('kysely', 'kysely');

/**
 * The configuration of Kysely's own `MssqlDialect`, with a token pool in place of tarn's.
 *
 * ```ts
 * const db = new Kysely<Database>({
 *   dialect: new MssqlDialect(dialectConfig({ server, database, authentication: credential, pool: { max: 10 } })),
 * });
 * ```
 *
 * @param input an mssql config, a connection string, or a `TokenPool` shared with others
 * @throws ConfigurationError that names the setting and how to fix it
 */
export function dialectConfig(input: PoolInput): MssqlDialectConfig {
  return tokenDialectConfig(input, 'kysely') as unknown as MssqlDialectConfig;
}

/**
 * `mssql-token-pool/prisma`: Prisma with a fresh token for every connection. Its adapter keeps its own pool, so expiry is
 * checked when a connection is borrowed.
 *
 * @module mssql-token-pool/prisma
 */
import type { TokenPoolConfig } from '../connections/config.js';
import { type RefreshingConfig, withTokenRefresh } from '../mssql/with-token-refresh.js';
import { assertInstalled } from '../require-peer.js';
import { readConfig } from './pool-for.js';

assertInstalled('@prisma/adapter-mssql', 'prisma');

/**
 * The configuration of Prisma's adapter for SQL Server.
 *
 * ```ts
 * const adapter = new PrismaMssql(adapterConfig({ server, database, authentication: credential, pool: { max: 10 } }));
 * const prisma = new PrismaClient({ adapter });
 * ```
 *
 * @param input an mssql config or a connection string
 * @throws ConfigurationError that names the setting and how to fix it
 */
export function adapterConfig(input: TokenPoolConfig | string): RefreshingConfig<TokenPoolConfig> {
  return withTokenRefresh(readConfig(input));
}

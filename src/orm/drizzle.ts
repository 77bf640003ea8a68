/**
 * `mssql-token-pool/drizzle`: Drizzle on a pool that never logs in with a stale token.
 *
 * @module mssql-token-pool/drizzle
 */
import { ConnectionPool } from '../mssql/connection-pool.js';
import { assertInstalled } from '../require-peer.js';
import type { PoolInput } from './pool-for.js';

assertInstalled('drizzle-orm', 'drizzle');

/**
 * A connected pool for Drizzle's `client` setting; closing it is up to you.
 *
 * ```ts
 * const client = await connectClient({ server, database, authentication: credential, pool: { max: 10 } });
 * const db = drizzle({ client });
 * ```
 *
 * @param input an mssql config, a connection string, or a `TokenPool` shared with others
 * @throws ConfigurationError that names the setting and how to fix it; ConnectionError (of mssql) if the first login
 *   fails
 */
export function connectClient(input: PoolInput): Promise<ConnectionPool> {
  return new ConnectionPool(input).connect();
}

import type { TokenPoolConfig } from '../connections/config.js';
import { settingsFrom } from '../connections/settings.js';
import { TokenPool } from './token-pool.js';

/**
 * A pool of raw tedious connections that never log in with a stale token.
 *
 * ```ts
 * const pool = createTokenPool({ server: 'example.database.windows.net', database: 'app', authentication: credential });
 * const rows = await pool.use((connection) => query(connection, 'SELECT 1'));
 * await pool.close();
 * ```
 *
 * @param config an mssql config or an ADO.NET connection string
 * @throws ConfigurationError that names the setting and how to fix it
 */
export function createTokenPool(config: TokenPoolConfig | string): TokenPool {
  return new TokenPool(settingsFrom(config));
}

import { checkConfig } from '../connections/check-config.js';
import type { ReadOnlyConfig, TokenPoolConfig } from '../connections/config.js';
import { withInherited } from '../connections/inherited-settings.js';
import { type Settings, settingsFrom } from '../connections/settings.js';
import { limitForBoth, ReadOnlyPool } from './read-only-pool.js';
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
  const settings = settingsFrom(config);
  const { readOnly = false } = typeof config === 'string' ? {} : config;
  if (readOnly === false || readOnly === null) return new TokenPool(settings);
  return openWithReplica(settings, replicaSettings(config as TokenPoolConfig, settings), readOnly).primary;
}

/** The settings of the replica's pool: the same credential and token, but the replica's server. */
function replicaSettings(given: TokenPoolConfig, { source, tedious, tokenStore }: Settings): Settings {
  const config = withInherited(given);
  const { server, database } = typeof config.readOnly === 'object' ? config.readOnly : {};
  const options = { ...config.options, readOnlyIntent: true };
  const { config: _, ...checked } = checkConfig({
    ...config,
    ...(server === undefined ? { options } : { server, port: undefined, options: { ...options, port: undefined } }),
    ...(database !== undefined && { database }),
    readOnly: undefined,
  });
  return { ...checked, tedious, source, tokenStore };
}

/** The pool of a primary, and that of its replica behind `primary.readOnly`. */
export function openWithReplica(
  settings: Settings,
  replica: Settings,
  readOnly: true | ReadOnlyConfig,
): { primary: TokenPool; replica: TokenPool } {
  const { max, overlap, acquireTimeoutMillis } = settings.pool;
  const pools: TokenPool[] = [];
  const limit = limitForBoth(max + overlap, () => pools);
  const primary = new TokenPool(settings, { limit: limit.share(max + overlap) });
  // Only connections to the primary are kept open.
  const ofReplica = { ...replica, pool: { ...replica.pool, min: 0 } };
  const secondary = new TokenPool(ofReplica, { limit: limit.share(max + overlap) });
  pools.push(primary, secondary);
  const fallback = typeof readOnly === 'object' && readOnly.fallback === true;
  const pool = new ReadOnlyPool(primary, secondary, { acquireTimeoutMs: acquireTimeoutMillis, fallback });
  primary.attachReadOnly(pool, secondary);
  return { primary, replica: secondary };
}

import type { TokenPoolConfig } from '../connections/config.js';
import type { TediousModule } from '../connections/dial.js';
import { type Settings, settingsFrom } from '../connections/settings.js';
import { ConfigurationError } from '../errors.js';
import { isMissing } from '../installed.js';
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
  return new TokenPool(settings, tediousFor(settings));
}

/** How a pool gets tedious when it first needs it. */
export function tediousFor({ tedious }: Settings): () => Promise<TediousModule> {
  let loading: Promise<TediousModule> | undefined;
  return () => {
    loading ??= tedious === undefined ? loadTedious() : Promise.resolve(tedious);
    return loading;
  };
}

/** Loaded at the first connection, so that importing this package costs nothing. */
async function loadTedious(): Promise<TediousModule> {
  try {
    const tedious = await import('tedious');
    // CommonJS under another loader may keep everything on `default`.
    return tedious.Connection === undefined ? (tedious as unknown as { default: TediousModule }).default : tedious;
  } catch (error) {
    if (!isMissing(error, 'tedious')) throw error;
    throw new ConfigurationError("The package 'tedious' is not installed: npm install tedious", { cause: error });
  }
}

import type { TokenPoolConfig } from '../connections/config.js';
import { configFromConnectionString } from '../connections/connection-string-config.js';
import { withInherited } from '../connections/inherited-settings.js';
import { settingsFrom } from '../connections/settings.js';
import { type ConnectionSource, isConnectionSource } from '../pool/connection-source.js';
import { createTokenPool } from '../pool/create-token-pool.js';
import { type TarnFacade, type TarnFacadeOptions, tarnFacade } from '../pool/tarn-facade.js';
import { require } from '../require.js';
import { requirePeer } from '../require-peer.js';

/**
 * What every ORM's factory takes: an mssql config, an ADO.NET connection string, or a shared pool (a
 * `TokenPool`, or `pools.current` of many identities). A pool created here is closed by the ORM; one that was passed in is
 * closed by its owner.
 */
export type PoolInput = TokenPoolConfig | string | ConnectionSource;

/** All of tedious, as ORMs need it. */
export type Tedious = typeof import('tedious');

/** Creates pools with tarn's interface, and names the copy of tedious that their connections use. */
export interface OrmPool {
  /** A pool. ORMs close theirs and open another one, to check a connection or to connect again. */
  open(options?: OpenOptions): TarnFacade;
  tedious: Tedious;
}

export interface OpenOptions extends Pick<TarnFacadeOptions, 'mapError'> {
  /** The library's own setting; it replaces that of the config, and does not apply to a shared pool. */
  acquireTimeoutMillis?: number | undefined;
}

/** @throws ConfigurationError that names the setting and how to fix it, or says that tedious is not installed */
export function poolFor(input: PoolInput, subpath: string): OrmPool {
  if (isConnectionSource(input))
    return {
      open: ({ mapError } = {}) => tarnFacade(input, { shared: true, mapError }),
      tedious: requireTedious(subpath),
    };
  const given = readConfig(input);
  const tedious = (given.tedious as Tedious | undefined) ?? requireTedious(subpath);
  const config = { ...given, tedious };
  // Mistakes in it are reported now, not at the first query.
  settingsFrom(config);
  const open = ({ acquireTimeoutMillis = config.pool?.acquireTimeoutMillis, mapError }: OpenOptions = {}): TarnFacade =>
    tarnFacade(createTokenPool({ ...config, pool: { ...config.pool, acquireTimeoutMillis } }), { mapError });
  return { open, tedious };
}

/** @throws ConfigurationError if tedious is not installed */
export function requireTedious(subpath: string): Tedious {
  return requirePeer(() => require('tedious'), 'tedious', subpath);
}

/** @throws ConfigurationError for an invalid connection string, and for a pool */
export function readConfig(input: TokenPoolConfig | string): TokenPoolConfig {
  return typeof input === 'string' ? configFromConnectionString(input) : withInherited(input);
}

/**
 * `mssql-token-pool/knex`: knex, and what is built on it (Objection), on a pool that never logs in with a stale token.
 *
 * @module mssql-token-pool/knex
 */
import type { Knex } from 'knex';
import type { TokenPoolConfig } from '../connections/config.js';
import { type ConnectionSource, isConnectionSource } from '../pool/connection-source.js';
import { type TarnFacade, tarnFacade } from '../pool/tarn-facade.js';
import { require } from '../require.js';
import { requirePeer } from '../require-peer.js';
import { type KnexTimeoutClass, knexClient } from './knex-client.js';
import { type PoolInput, readConfig } from './pool-for.js';
import { singleReturn } from './single-return.js';

const Client = requirePeer<typeof Knex.Client>(() => require('knex/lib/dialects/mssql/index.js'), 'knex', 'knex');
const { KnexTimeoutError: Timeout } = requirePeer<{ KnexTimeoutError: KnexTimeoutClass }>(
  () => require('knex/lib/util/timeout.js'),
  'knex',
  'knex',
);

export { type KnexDialect, knexClient } from './knex-client.js';

/**
 * The connection part of a knex config, for knex 3.
 *
 * ```ts
 * const db = knex({ ...knexConfig({ server, database, authentication: credential, pool: { max: 10 } }) });
 * ```
 *
 * @param input an mssql config, a connection string, or a `TokenPool` shared with others
 * @throws ConfigurationError that names the setting and how to fix it
 */
export function knexConfig(input: PoolInput): {
  client: typeof Knex.Client;
  connection: { server: string; database?: string; options?: { mapBinding: unknown } };
} {
  const {
    server = '',
    database,
    options,
  }: Partial<TokenPoolConfig> = isConnectionSource(input) ? {} : readConfig(input);
  const { mapBinding } = (options ?? {}) as { mapBinding?: unknown };
  // Not for connecting: knex asks it for the name of the database, in `columnInfo()` for example.
  return {
    client: knexClient(Client, input, 'knex', Timeout),
    connection: {
      server,
      ...(database !== undefined && { database }),
      ...(mapBinding !== undefined && { options: { mapBinding } }),
    },
  };
}

/**
 * A pool for the `connectionPool` setting of knex 3.3 and later. knex leaves such a pool open when it is destroyed, and
 * does not learn the name of the database from it (`columnInfo()` needs that): {@link knexConfig} has neither
 * limitation.
 */
export function connectionPool(pool: ConnectionSource): TarnFacade {
  return singleReturn(tarnFacade(pool));
}

/**
 * `mssql-token-pool/sequelize`: Sequelize 6 and 7 with a fresh token for every connection. Sequelize keeps its own pool,
 * so expiry is checked when a connection is borrowed.
 *
 * @module mssql-token-pool/sequelize
 */
import type { Connection, ConnectionConfiguration } from 'tedious';
import { refuseReadOnly } from '../connections/check-config.js';
import type { PoolConfig, TokenPoolConfig } from '../connections/config.js';
import { type Settings, settingsFrom } from '../connections/settings.js';
import { ConfigurationError } from '../errors.js';
import { requireFrom } from '../installed.js';
import { require } from '../require.js';
import { assertInstalled, assertOneInstalled } from '../require-peer.js';
import { readConfig, requireTedious, type Tedious } from './pool-for.js';
import { tediousModule, type WatchedTedious, withoutPassword } from './tedious-module.js';

assertOneInstalled(['sequelize', '@sequelize/mssql'], 'sequelize');

/** An mssql config, with the pool settings of mssql or those of Sequelize. */
export type SequelizeConfig = Omit<TokenPoolConfig, 'pool'> & { pool?: SequelizePoolConfig | undefined };

/** Sequelize's pool settings, or mssql's under their own names. */
export interface SequelizePoolConfig
  extends Pick<PoolConfig, 'max' | 'min' | 'idleTimeoutMillis' | 'maxAgeMillis' | 'resetSession'> {
  acquireTimeoutMillis?: number | undefined;
  /** Same as `idleTimeoutMillis`, ms. Sequelize's default is 10,000. */
  idle?: number | undefined;
  /** Same as `acquireTimeoutMillis`, ms. Sequelize's default is 60,000. */
  acquire?: number | undefined;
  /** Interval between checks for idle connections, ms. */
  evict?: number | undefined;
  /** Times a connection is used before it is closed. */
  maxUses?: number | undefined;
  /** Further check at checkout; false or an exception closes the connection. Sequelize does not wait for a promise. */
  validate?: PoolConfig['validate'];
}

/** The settings of Sequelize's pool. */
export interface SequelizePool {
  max?: number;
  min?: number;
  idle?: number;
  acquire?: number;
  evict?: number;
  maxUses?: number;
  validate: (connection: unknown) => boolean;
}

/** The part of the options of Sequelize 6 that {@link sequelizeOptions} fills in. */
export interface Sequelize6Options {
  dialect: 'mssql';
  dialectModule: Tedious;
  dialectOptions: { options: NonNullable<ConnectionConfiguration['options']>; authentication?: object };
  host: string;
  port: number;
  database: string;
  pool: SequelizePool;
}

/** The part of the options of Sequelize 7 that {@link sequelize7Options} fills in. */
export interface Sequelize7Options {
  tediousModule: Tedious;
  server: string;
  pool: SequelizePool;
}

/**
 * The connection part of the options of Sequelize 6.
 *
 * ```ts
 * const sequelize = new Sequelize({ ...sequelizeOptions({ server, database, authentication: credential }), logging: false });
 * ```
 *
 * @throws ConfigurationError that names the setting and how to fix it
 */
export function sequelizeOptions(input: SequelizeConfig | string): Sequelize6Options {
  const { settings, watched, pool } = prepare(input, () => requireTedious('sequelize'));
  const { server, options = {} } = settings.configuration;
  const authentication = withoutPassword(settings.configuration.authentication);
  return {
    dialect: 'mssql',
    dialectModule: watched.tedious,
    dialectOptions: { options, ...(authentication && { authentication }) },
    host: server,
    port: options.port ?? 1433,
    database: options.database ?? '',
    pool,
  };
}

/**
 * The connection part of the options of Sequelize 7.
 *
 * ```ts
 * const sequelize = new Sequelize({
 *   dialect: MsSqlDialect,
 *   ...sequelize7Options({ server, database, authentication: credential }),
 * });
 * ```
 *
 * @throws ConfigurationError that names the setting and how to fix it
 */
export function sequelize7Options(
  input: SequelizeConfig | string,
): Sequelize7Options & NonNullable<ConnectionConfiguration['options']> {
  // Sequelize 7 brings its own tedious, whose data types it uses.
  const { settings, watched, pool } = prepare(input, requireTediousOfSequelize7);
  const { server } = settings.configuration;
  const authentication = withoutPassword(settings.configuration.authentication);
  // Sequelize 7 refuses options it does not know.
  const { useColumnNames: _, ...options } = settings.configuration.options ?? {};
  return { tediousModule: watched.tedious, server, ...options, ...(authentication && { authentication }), pool };
}

function requireTediousOfSequelize7(): Tedious {
  assertInstalled('@sequelize/mssql', 'sequelize');
  return requireFrom(
    () => require.resolve('@sequelize/mssql'),
    'tedious',
    () => requireTedious('sequelize'),
  );
}

function prepare(
  input: SequelizeConfig | string,
  loadTedious: () => Tedious,
): { settings: Settings; watched: WatchedTedious; pool: SequelizePool } {
  const { pool: given, ...config } = readConfig(input as TokenPoolConfig | string) as SequelizeConfig;
  refuseReadOnly(config, 'sequelizeOptions()');
  const { shared, own } = poolSettings(given ?? {});
  const settings = settingsFrom({ ...config, pool: shared });
  const tedious = (settings.tedious ?? loadTedious()) as Tedious;
  const watched = tediousModule(tedious, settings);
  const { validate } = settings.pool;
  return {
    settings,
    watched,
    pool: {
      ...own,
      validate: (connection) =>
        watched.mayServe(connection as Connection) &&
        (validate === undefined || passes(validate, connection as Connection)),
    },
  };
}

/** Sequelize's names for settings that mssql has as well. */
const NAMES = { idle: 'idleTimeoutMillis', acquire: 'acquireTimeoutMillis' } as const;
/** Settings that are checked as those of any pool, and that Sequelize's pool has too. */
const SHARED = ['max', 'min', 'idleTimeoutMillis', 'acquireTimeoutMillis', 'maxAgeMillis', 'resetSession', 'validate'];
const OF_SEQUELIZE = ['idle', 'acquire', 'evict', 'maxUses'];

/**
 * The settings that our policy reads, and those that Sequelize's pool gets.
 *
 * @throws ConfigurationError for a setting that this pool does not have, and for one of the wrong type
 */
function poolSettings(given: SequelizePoolConfig): { shared: PoolConfig; own: Omit<SequelizePool, 'validate'> } {
  if (typeof given !== 'object' || Array.isArray(given)) throw new ConfigurationError("'pool' must be an object.");
  const settings = definedOnly(given);
  if (given.validate?.constructor.name === 'AsyncFunction') {
    throw new ConfigurationError('pool.validate must return true or false.', {
      hint: "Sequelize's pool does not wait for a promise.",
    });
  }
  for (const key of Object.keys(settings)) {
    if (SHARED.includes(key) || OF_SEQUELIZE.includes(key)) continue;
    throw new ConfigurationError(`pool.${key} is not a setting of Sequelize's pool.`, {
      hint: `Known are ${[...SHARED, ...OF_SEQUELIZE].join(', ')}.`,
    });
  }
  for (const key of OF_SEQUELIZE) {
    const value = settings[key];
    if (value === undefined || (typeof value === 'number' && value >= 0)) continue;
    throw new ConfigurationError(`pool.${key} must be a number, 0 or more.`, {
      hint: 'Text from the environment must be converted: Number(text).',
    });
  }
  for (const [name, ours] of Object.entries(NAMES)) {
    if (settings[name] === undefined || settings[ours] === undefined) continue;
    throw new ConfigurationError(`pool.${name} and pool.${ours} are the same setting: set only one of them.`);
  }
  const { idle, acquire, evict, maxUses, ...shared } = settings;
  const { max, min, idleTimeoutMillis = idle, acquireTimeoutMillis = acquire } = shared;
  return {
    shared,
    own: definedOnly({ max, min, idle: idleTimeoutMillis, acquire: acquireTimeoutMillis, evict, maxUses }),
  };
}

let warned = false;

/**
 * Whether the application's own check passes. Never throws: Sequelize's pool calls it in a place where nothing could catch the
 * exception.
 */
function passes(validate: NonNullable<PoolConfig['validate']>, connection: Connection): boolean {
  try {
    const answer: unknown = validate(connection);
    if (!(answer instanceof Promise)) return Boolean(answer);
    answer.catch(() => undefined);
    if (!warned) process.emitWarning("pool.validate has no effect: Sequelize's pool does not wait for its promise.");
    warned = true;
    return true;
  } catch {
    return false;
  }
}

function definedOnly(settings: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined && value !== null));
}

import type { Connection, ConnectionConfiguration } from 'tedious';
import { didYouMean } from '../credentials/input/did-you-mean.js';
import { ConfigurationError } from '../errors.js';
import { LONGEST_TIMER_MS } from '../time.js';
import { boundConnector } from './bound-connector.js';
import type { PoolConfig, TokenPoolConfig } from './config.js';
import { numberHint, requireKinds } from './config-kinds.js';
import { configFromConnectionString } from './connection-string-config.js';
import type { TediousModule } from './dial.js';
import { withInherited } from './inherited-settings.js';
import { refuseMisspelt } from './misspelt-settings.js';
import { isPlaceholder } from './placeholder-credential.js';
import { isInstanceName, parseServerAddress } from './server-address.js';

/** A config with all defaults filled in; nothing has been built from it yet. */
export interface CheckedConfig {
  /** The input; a connection string has become a config object. */
  config: TokenPoolConfig;
  /** For tedious; without `authentication` when a token is used. */
  configuration: ConnectionConfiguration;
  pool: Readonly<PoolSettings>;
  validateConnection: boolean | 'socket';
  strictExpiry: boolean;
  beforeConnect: ((connection: Connection) => void) | undefined;
  tedious: TediousModule | undefined;
}

export type PoolSettings = {
  [K in keyof PoolConfig]-?: K extends 'validate' ? PoolConfig[K] : NonNullable<PoolConfig[K]>;
};

/** mssql's own (tarn): max 10, min 0, idle 30 s, acquire 30 s. */
const POOL_DEFAULTS: PoolSettings = {
  max: 10,
  min: 0,
  idleTimeoutMillis: 30_000,
  acquireTimeoutMillis: 30_000,
  createTimeoutMillis: 30_000,
  destroyTimeoutMillis: 5_000,
  overlap: 1,
  maxRenewals: 2,
  // Azure SQL validates a session's token again at a reset after about 10 h (dotnet/SqlClient #635, #767).
  maxAgeMillis: 9.5 * 3_600_000,
  leakDetectionMillis: 0,
  maxOpening: 0,
  resetSession: 'never',
  keepaliveMillis: 0,
  validate: undefined,
};

/** Settings of tarn without a counterpart here: a drop-in must accept them. */
const TARN_ONLY = new Set([
  'reapIntervalMillis',
  'createRetryIntervalMillis',
  'propagateCreateError',
  'log',
  // Settings of TypeORM, which passes them on with the others.
  'errorHandler',
]);

/**
 * Checks an mssql config or connection string and fills in the defaults. Pure: it creates no credential and no cache, opens
 * nothing, and does not change its input.
 *
 * @example
 * const { pool } = checkConfig({ server: 'db.example.com', user, password });
 * pool.max; // 10
 *
 * @throws ConfigurationError that names the setting and how to fix it; values are never quoted
 */
export function checkConfig(input: TokenPoolConfig | string): CheckedConfig {
  const config = typeof input === 'string' ? configFromConnectionString(input) : withInherited(input);
  if (config === null || typeof config !== 'object' || Array.isArray(config)) {
    throw new ConfigurationError('The config must be an mssql config object or a connection string.');
  }
  requireKinds(config);
  refuseMisspelt(config);
  requireReadOnly(config);
  const withToken = usesToken(config);
  const checked: CheckedConfig = {
    config,
    configuration: tediousConfiguration(config, withToken),
    pool: shared(poolSettings(config.pool ?? {}, withToken)),
    validateConnection: config.validateConnection ?? 'socket',
    strictExpiry: config.strictExpiry === true,
    beforeConnect: config.beforeConnect ?? undefined,
    tedious: config.tedious ?? undefined,
  };
  if (!withToken) requireLogin(config);
  return checked;
}

/** @throws ConfigurationError if a replica is named that would be ignored */
export function refuseReadOnly({ readOnly }: TokenPoolConfig, where: string): void {
  if (readOnly === undefined || readOnly === null || readOnly === false) return;
  throw new ConfigurationError(`'readOnly' has no effect in ${where}.`, {
    hint: 'createTokenPool() and ConnectionPool take it. Elsewhere, create a second pool with options.readOnlyIntent: true.',
  });
}

function requireReadOnly({ readOnly }: TokenPoolConfig): void {
  if (readOnly === undefined || readOnly === null || typeof readOnly === 'boolean') return;
  if (typeof readOnly !== 'object' || Array.isArray(readOnly))
    throw new ConfigurationError("'readOnly' must be true, false or an object.");
  for (const [key, value] of Object.entries(readOnly)) {
    const kind = { server: 'string', database: 'string', fallback: 'boolean' }[key];
    if (kind === undefined) {
      throw new ConfigurationError(`'readOnly.${key}' is not a setting; known are server, database, fallback.`);
    }
    if (value !== undefined && (typeof value !== kind || value === '')) {
      throw new ConfigurationError(`'readOnly.${key}' must be ${kind === 'string' ? 'a name' : 'true or false'}.`);
    }
  }
}

/** False for SQL login and NTLM. */
export function usesToken({ authentication, authentication_type: flat }: TokenPoolConfig): boolean {
  if (authentication === undefined || authentication === null) {
    return flat !== undefined && flat !== 'default' && flat !== 'ntlm';
  }
  const { type, options } = authentication as { type?: unknown; options?: { credential?: unknown } };
  if (isPlaceholder(options?.credential)) {
    throw new ConfigurationError('This config comes from withTokenRefresh(), which is for pools of mssql only.', {
      hint: 'Pass the config that you gave to withTokenRefresh().',
    });
  }
  return type !== 'default' && type !== 'ntlm';
}

function requireLogin(config: TokenPoolConfig): void {
  const { userName } = passwordLogin(config).options as { userName?: unknown };
  if (userName !== undefined && userName !== '') return;
  throw new ConfigurationError("No login is named: set 'authentication' to a credential, or 'user' and 'password'.");
}

/** What mssql would pass to tedious for this config, except for options that would expose a token. */
function tediousConfiguration(config: TokenPoolConfig, withToken: boolean): ConnectionConfiguration {
  const { host, instanceName, port } = parseServerAddress(config.server);
  if (port !== undefined && (config.port ?? config.options?.port ?? port) !== port) {
    throw new ConfigurationError("'port' and the port in 'server' differ; give one of them.");
  }
  for (const key of ['encrypt', 'trustServerCertificate'] as const) {
    const [own, ofOptions] = [config[key] ?? undefined, config.options?.[key] ?? undefined];
    if (own === undefined || ofOptions === undefined || own === ofOptions) continue;
    throw new ConfigurationError(`'${key}' and 'options.${key}' differ; give one of them.`);
  }
  const options: NonNullable<ConnectionConfiguration['options']> & { encrypt?: boolean | string } = {
    tdsVersion: '7_4',
    rowCollectionOnDone: false,
    rowCollectionOnRequestCompletion: false,
    useColumnNames: false,
    appName: 'node-mssql',
    connectTimeout: config.connectionTimeout ?? config.timeout ?? 15_000,
    requestTimeout: config.requestTimeout ?? config.timeout ?? 15_000,
    ...givenOnly({ database: config.database }),
    ...givenOnly({ encrypt: config.encrypt, trustServerCertificate: config.trustServerCertificate }),
    ...optionsGiven(config.options ?? {}),
    // The dialer retries; tedious would request a token for each of its own attempts, 500 ms apart.
    maxRetriesOnTransientErrors: 0,
  };
  options.encrypt ??= true;
  options.trustServerCertificate ??= false;
  if (instanceName !== undefined) options.instanceName ??= instanceName;
  if (options.instanceName !== undefined && !isInstanceName(options.instanceName)) {
    throw new ConfigurationError(
      "'options.instanceName' must be the name of an instance: a letter, then letters, digits, _ or $.",
    );
  }
  if (options.instanceName === undefined) options.port ??= config.port ?? port ?? 1433;
  else delete options.port;
  const { requestTimeout } = options;
  // As in mssql.
  if (typeof requestTimeout === 'number' && (requestTimeout < 0 || requestTimeout === Number.POSITIVE_INFINITY)) {
    options.requestTimeout = 0;
  }
  options.connectTimeout = timeoutOf('connectionTimeout', options.connectTimeout, 1);
  options.requestTimeout = timeoutOf('requestTimeout', options.requestTimeout, 0);
  if (withToken) {
    if (options.encrypt === false) {
      throw new ConfigurationError(
        'options.encrypt is false: an access token would be sent in cleartext. Remove it or set it to true.',
      );
    }
    // tedious prints packet contents, the token among them.
    delete options.debug;
  }
  const configuration: ConnectionConfiguration = { server: host, options };
  if (!withToken) configuration.authentication = passwordLogin(config);
  return boundConnector(configuration);
}

function timeoutOf(key: string, ms: unknown, least: 0 | 1): number {
  if (typeof ms === 'number' && ms >= least) return Math.min(ms, LONGEST_TIMER_MS);
  throw new ConfigurationError(
    `'${key}' must be a number of ms, ${least === 0 ? '0 (no limit) or more' : '1 or more'}.`,
    numberHint(ms),
  );
}

function passwordLogin(config: TokenPoolConfig): NonNullable<ConnectionConfiguration['authentication']> {
  const { authentication } = config as { authentication?: { type?: string; options?: object } };
  const type = authentication?.type ?? ((config.domain ?? undefined) === undefined ? 'default' : 'ntlm');
  const options = {
    ...givenOnly({ userName: config.user, password: config.password, domain: config.domain }),
    ...authentication?.options,
  };
  return { type, options } as NonNullable<ConnectionConfiguration['authentication']>;
}

function poolSettings(given: PoolConfig, withToken: boolean): PoolSettings {
  for (const key of Object.keys(given)) {
    if (!(key in POOL_DEFAULTS) && !TARN_ONLY.has(key)) {
      throw new ConfigurationError(
        `pool.${key} is not a setting of this pool.${didYouMean(key, Object.keys(POOL_DEFAULTS), 'pool.')} Its settings are ${Object.keys(POOL_DEFAULTS).join(', ')}.`,
      );
    }
  }
  // Without a token there is nothing to validate again after 10 h.
  const maxAgeMillis = withToken ? POOL_DEFAULTS.maxAgeMillis : 0;
  const pool: PoolSettings = { ...POOL_DEFAULTS, maxAgeMillis, ...(givenOnly(given) as Partial<PoolSettings>) };
  for (const key of ['max', 'min', 'overlap', 'maxRenewals', 'maxOpening'] as const) {
    const least = key === 'max' ? 1 : 0;
    if (!Number.isInteger(pool[key]) || pool[key] < least) {
      throw new ConfigurationError(`pool.${key} must be a whole number, ${least} or more.`, numberHint(pool[key]));
    }
  }
  if (pool.min > pool.max)
    throw new ConfigurationError(`pool.min (${pool.min}) must not be more than pool.max (${pool.max}).`);
  for (const key of [
    'acquireTimeoutMillis',
    'createTimeoutMillis',
    'destroyTimeoutMillis',
    'idleTimeoutMillis',
  ] as const) {
    if (typeof pool[key] !== 'number' || !(pool[key] > 0)) {
      throw new ConfigurationError(`pool.${key} must be a number of ms, more than 0.`, numberHint(pool[key]));
    }
    pool[key] = Math.min(pool[key], LONGEST_TIMER_MS);
  }
  // A caller that is prepared to wait longer, for example for a database that resumes, expects the attempts to last as
  // long.
  if ((given.createTimeoutMillis ?? undefined) === undefined && pool.acquireTimeoutMillis > pool.createTimeoutMillis) {
    pool.createTimeoutMillis = pool.acquireTimeoutMillis;
  }
  if (pool.resetSession !== 'never' && pool.resetSession !== 'always') {
    throw new ConfigurationError("pool.resetSession must be 'never' or 'always'.");
  }
  for (const [key, none] of [
    ['maxAgeMillis', 'no limit'],
    ['leakDetectionMillis', 'off'],
    ['keepaliveMillis', 'off'],
  ] as const) {
    if (typeof pool[key] === 'number' && pool[key] >= 0) continue;
    throw new ConfigurationError(`pool.${key} must be a number of ms, 0 (${none}) or more.`, numberHint(pool[key]));
  }
  pool.keepaliveMillis = Math.min(pool.keepaliveMillis, LONGEST_TIMER_MS);
  return pool;
}

let latest: Readonly<PoolSettings> | undefined;

/**
 * An application with a pool for each of a thousand databases uses the same settings for all, so those pools share one
 * object.
 */
function shared(pool: PoolSettings): Readonly<PoolSettings> {
  const isSame = (key: keyof PoolSettings): boolean => latest?.[key] === pool[key];
  if (latest !== undefined && (Object.keys(pool) as (keyof PoolSettings)[]).every(isSame)) return latest;
  // A function may hold on to anything.
  if (pool.validate === undefined) latest = pool;
  return Object.freeze(pool);
}

/** An object without its values that are undefined or null. */
function givenOnly<T extends object>(object: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined && value !== null)) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };
}

/**
 * Options of tedious that have a default here. For all others, null is a value: tedious then sends no SET statement.
 */
const WITH_DEFAULT = [
  'port',
  'database',
  'instanceName',
  'encrypt',
  'trustServerCertificate',
  'connectTimeout',
  'requestTimeout',
];

function optionsGiven<T extends object>(options: T): { [K in keyof T]?: NonNullable<T[K]> } {
  const given = definedOnly(options) as Record<string, unknown>;
  for (const key of WITH_DEFAULT) if (given[key] === null) delete given[key];
  return given as { [K in keyof T]?: NonNullable<T[K]> };
}

/** An object without its undefined values. */
export function definedOnly<T extends object>(object: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };
}

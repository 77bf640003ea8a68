import type { Connection, ConnectionConfiguration } from 'tedious';
import { type CredentialInput, createCredential } from '../credentials/create-credential.js';
import type { TokenCredential } from '../credentials/credential.js';
import { scopeForServer } from '../credentials/entra/scope-for-server.js';
import { ConfigurationError } from '../errors.js';
import { LONGEST_TIMER_MS } from '../time.js';
import { sharedTokenCache } from '../tokens/shared-token-cache.js';
import { boundConnector } from './bound-connector.js';
import type { PoolConfig, TokenPoolConfig } from './config.js';
import { configFromConnectionString } from './connection-string-config.js';
import type { TediousModule } from './dial.js';
import { isPlaceholder } from './placeholder-credential.js';
import type { TokenSource } from './token-login.js';

/** A config after all defaults: what a pool works with. */
export interface Settings {
  configuration: ConnectionConfiguration;
  /** Where tokens come from; undefined for SQL login and NTLM. */
  source: TokenSource | undefined;
  pool: PoolSettings;
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
  validate: undefined,
};

/** tarn's settings that have no counterpart here: accepted, because a drop-in must take them. */
const TARN_ONLY = new Set(['reapIntervalMillis', 'createRetryIntervalMillis', 'propagateCreateError', 'log']);

/**
 * Reads an mssql config or connection string. The input is never changed.
 *
 * @throws ConfigurationError that names the key and the mend
 */
export function settingsFrom(input: TokenPoolConfig | string): Settings {
  const config = typeof input === 'string' ? configFromConnectionString(input) : input;
  if (config === null || typeof config !== 'object') {
    throw new ConfigurationError('The config must be an mssql config object or a connection string.');
  }
  requireKinds(config);
  const credential = credentialOf(config);
  const configuration = tediousConfiguration(config, credential !== undefined);
  return {
    configuration,
    source: credential && tokenSource(credential, config, configuration),
    pool: poolSettings(config.pool ?? {}, credential !== undefined),
    validateConnection: config.validateConnection ?? 'socket',
    strictExpiry: config.strictExpiry === true,
    beforeConnect: config.beforeConnect,
    tedious: config.tedious,
  };
}

/** The credential a config asks for; undefined where it asks for SQL login or NTLM. */
export function credentialOf(config: TokenPoolConfig): TokenCredential | undefined {
  const authentication = config.authentication ?? flatAuthentication(config);
  if (authentication === undefined) return undefined;
  if (isPlaceholder((authentication as { options?: { credential?: unknown } }).options?.credential)) {
    throw new ConfigurationError('This config comes from withTokenRefresh(), which is for pools of mssql only.', {
      hint: 'Pass the config that withTokenRefresh() was given.',
    });
  }
  if (typeof authentication === 'object' && 'type' in authentication && typeof authentication.type === 'string') {
    if (authentication.type === 'default' || authentication.type === 'ntlm') return undefined;
  }
  return createCredential(authentication as CredentialInput, { server: config.server });
}

/** mssql's parseConnectionString puts the parts of a credential beside `server`. */
function flatAuthentication(config: TokenPoolConfig): { type: string; options: object } | undefined {
  const { authentication_type: type, user, password, clientId, clientSecret, tenantId, token } = config;
  if (type === undefined) return undefined;
  return { type, options: definedOnly({ userName: user, password, clientId, clientSecret, tenantId, token }) };
}

function tokenSource(
  credential: TokenCredential,
  config: TokenPoolConfig,
  { server }: ConnectionConfiguration,
): TokenSource {
  const scope = config.scope ?? scopeForServer(server);
  const { tokenStore } = config;
  return { tokens: sharedTokenCache(credential, { tokenStore }), scope, scopeIsFixed: config.scope !== undefined };
}

/** What mssql would give tedious for this config, less everything that must not happen to a token. */
function tediousConfiguration(config: TokenPoolConfig, withToken: boolean): ConnectionConfiguration {
  const { host, instanceName, port } = serverOf(config.server);
  if (port !== undefined && (config.port ?? config.options?.port ?? port) !== port) {
    throw new ConfigurationError("'port' and the port in 'server' differ; give one of them.");
  }
  const options: NonNullable<ConnectionConfiguration['options']> & { encrypt?: boolean | string } = {
    tdsVersion: '7_4',
    rowCollectionOnDone: false,
    rowCollectionOnRequestCompletion: false,
    useColumnNames: false,
    appName: 'node-mssql',
    connectTimeout: config.connectionTimeout ?? config.timeout ?? 15_000,
    requestTimeout: config.requestTimeout ?? config.timeout ?? 15_000,
    ...definedOnly({ database: config.database }),
    ...definedOnly({ encrypt: config.encrypt, trustServerCertificate: config.trustServerCertificate }),
    ...definedOnly(config.options ?? {}),
    // The dialer does the retries; tedious would ask for a token each time, 500 ms apart.
    maxRetriesOnTransientErrors: 0,
  };
  options.encrypt ??= true;
  options.trustServerCertificate ??= false;
  if (instanceName !== undefined) options.instanceName ??= instanceName;
  if (options.instanceName === undefined) options.port ??= config.port ?? port ?? 1433;
  else delete options.port;
  if (options.requestTimeout === Number.POSITIVE_INFINITY || Number(options.requestTimeout) < 0)
    options.requestTimeout = 0;
  options.connectTimeout = timeoutOf('connectionTimeout', options.connectTimeout, 1);
  options.requestTimeout = timeoutOf('requestTimeout', options.requestTimeout, 0);
  if (withToken) {
    if (options.encrypt === false) {
      throw new ConfigurationError(
        'options.encrypt is false: an access token would be sent in the clear. Remove it or set it to true.',
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
  );
}

function passwordLogin(config: TokenPoolConfig): NonNullable<ConnectionConfiguration['authentication']> {
  const { authentication } = config as { authentication?: { type?: string; options?: object } };
  const type = authentication?.type ?? (config.domain === undefined ? 'default' : 'ntlm');
  const options = {
    ...definedOnly({ userName: config.user, password: config.password, domain: config.domain }),
    ...authentication?.options,
  };
  return { type, options } as NonNullable<ConnectionConfiguration['authentication']>;
}

/** `host`, `host\\instance`, `host,port`; `tcp:` in front of them, as the Azure portal shows it, means nothing here. */
function serverOf(server: unknown): { host: string; instanceName?: string | undefined; port?: number | undefined } {
  if (typeof server !== 'string' || server === '') {
    throw new ConfigurationError("'server' is missing: give the host name of the SQL Server.");
  }
  const [, host = '', instanceName, port] =
    /^(?:tcp:)?\s*([^,\\]+?)\s*(?:\\\s*([^,]+?)\s*)?(?:,\s*(\d+)\s*)?$/i.exec(server) ?? [];
  if (host === '' || Number(port) > 65_535) {
    throw new ConfigurationError("'server' must be a host name, host,port or host\\instance.");
  }
  // A port leads to the instance by itself.
  return port === undefined ? { host, instanceName } : { host, port: Number(port) };
}

/** What would be taken for something else, or for nothing, told instead. */
function requireKinds(config: TokenPoolConfig): void {
  const { strictExpiry, validateConnection, scope, beforeConnect, tedious, pool } = config;
  if (typeof (strictExpiry ?? false) !== 'boolean')
    throw new ConfigurationError("'strictExpiry' must be true or false.");
  if (typeof (validateConnection ?? true) !== 'boolean' && validateConnection !== 'socket') {
    throw new ConfigurationError("'validateConnection' must be true, false or 'socket'.");
  }
  if (scope !== undefined && (typeof scope !== 'string' || scope === '')) {
    throw new ConfigurationError("'scope' must be a string such as https://database.windows.net/.default.");
  }
  for (const [key, hook] of Object.entries({ beforeConnect, 'pool.validate': pool?.validate })) {
    if (hook !== undefined && hook !== null && typeof hook !== 'function') {
      throw new ConfigurationError(`'${key}' must be a function.`);
    }
  }
  if (tedious !== undefined && typeof tedious?.Connection !== 'function') {
    throw new ConfigurationError("'tedious' must be the tedious module: import * as tedious from 'tedious'.");
  }
}

function poolSettings(given: PoolConfig, withToken: boolean): PoolSettings {
  for (const key of Object.keys(given)) {
    if (!(key in POOL_DEFAULTS) && !TARN_ONLY.has(key)) {
      throw new ConfigurationError(
        `pool.${key} is not a setting of this pool; known are ${Object.keys(POOL_DEFAULTS).join(', ')}.`,
      );
    }
  }
  // Without a token there is nothing to validate again after 10 h.
  const maxAgeMillis = withToken ? POOL_DEFAULTS.maxAgeMillis : 0;
  const pool: PoolSettings = { ...POOL_DEFAULTS, maxAgeMillis, ...(definedOnly(given) as Partial<PoolSettings>) };
  // Who may wait longer for a connection, for a database that resumes say, wants it to be tried for as long.
  if (given.createTimeoutMillis === undefined && pool.acquireTimeoutMillis > pool.createTimeoutMillis) {
    pool.createTimeoutMillis = pool.acquireTimeoutMillis;
  }
  for (const key of ['max', 'min', 'overlap', 'maxRenewals'] as const) {
    if (!Number.isInteger(pool[key]) || pool[key] < 0) {
      throw new ConfigurationError(`pool.${key} must be a whole number, 0 or more.`);
    }
  }
  if (pool.max < 1) throw new ConfigurationError('pool.max must be 1 or more.');
  if (pool.min > pool.max)
    throw new ConfigurationError(`pool.min (${pool.min}) must not be more than pool.max (${pool.max}).`);
  for (const key of [
    'acquireTimeoutMillis',
    'createTimeoutMillis',
    'destroyTimeoutMillis',
    'idleTimeoutMillis',
  ] as const) {
    if (!(pool[key] > 0)) throw new ConfigurationError(`pool.${key} must be more than 0 ms.`);
    pool[key] = Math.min(pool[key], LONGEST_TIMER_MS);
  }
  if (!(pool.maxAgeMillis >= 0)) throw new ConfigurationError('pool.maxAgeMillis must be 0 (no limit) or more, in ms.');
  return pool;
}

function definedOnly<T extends object>(object: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };
}

import type { Connection, ConnectionAuthentication, ConnectionConfiguration, ConnectionOptions } from 'tedious';
import { refuseReadOnly } from '../connections/check-config.js';
import type { TokenPoolConfig } from '../connections/config.js';
import { configFromConnectionString } from '../connections/connection-string-config.js';
import { withInherited } from '../connections/inherited-settings.js';
import { LOGIN_SETTINGS } from '../connections/login-settings.js';
import { LoginWatch } from '../connections/login-watch.js';
import { placeholderCredential } from '../connections/placeholder-credential.js';
import { namesPort } from '../connections/server-address.js';
import { settingsFrom } from '../connections/settings.js';
import { assertSupportedMssql } from './stock.js';
import { passesStockChecks } from './stock-checks.js';

/** What {@link withTokenRefresh} returns: a config for stock mssql, made of its public keys only. */
export type RefreshingConfig<C extends TokenPoolConfig> = Omit<
  C,
  (typeof CONSUMED)[number] | 'options' | 'pool' | 'beforeConnect'
> & {
  authentication: ConnectionAuthentication;
  options: ConnectionOptions;
  pool: Omit<NonNullable<C['pool']>, (typeof CONSUMED_OF_POOL)[number] | 'validate'> & {
    /** tarn accepts a promise as well, although its types do not. */
    validate: (connection: Connection) => boolean;
  };
  beforeConnect: (connection: Connection) => void;
};

interface FromConnectionString {
  server: string;
  port?: number | undefined;
  database?: string | undefined;
  connectionTimeout?: number | undefined;
  requestTimeout?: number | undefined;
  pool: { min?: number; max?: number };
}

/** Keys of the login, and keys that mssql does not know. */
const CONSUMED = [...LOGIN_SETTINGS, 'scope', 'strictExpiry', 'readOnly', 'tokenStore', 'tedious'] as const;
/** Keys that mssql does not know. */
const NOT_OF_MSSQL = ['scope', 'strictExpiry', 'tokenStore', 'tedious'] as const;
/** Pool settings that tarn refuses. */
const CONSUMED_OF_POOL = [
  'overlap',
  'maxRenewals',
  'maxOpening',
  'maxAgeMillis',
  'leakDetectionMillis',
  'resetSession',
  'keepaliveMillis',
] as const;

/** Options of tedious that this function sets. */
const CHANGED_OPTIONS = ['encrypt', 'debug', 'maxRetriesOnTransientErrors', 'connectTimeout', 'connector'] as const;

/** How much longer a login may take while there is no token yet: a token request ends after 10 s at the latest. */
const TOKEN_WAIT_MS = 10_000;

/** The original of each refreshing config, by its one part that every kind of copy shares: a function. */
const originals = new WeakMap<object, TokenPoolConfig>();
/** Our hooks, and the user's own hooks that they call. */
const userHooks = new WeakMap<object, unknown>();

/**
 * Makes a config of mssql keep its tokens fresh: config in, config out, for `sql.connect(config)`,
 * `new sql.ConnectionPool(config)`, and everything that hands a config to mssql 12. The input is not changed; applying
 * it twice has the same effect as once.
 *
 * A config with a SQL login or NTLM gets two hooks and is otherwise unchanged: the password is sent only over a connection that
 * is encrypted (unless `encrypt` is false), and a session that the server has ended is not used again. The password can be read,
 * but is not printed: mssql's pool keeps the config in a public property.
 *
 * ```ts
 * await sql.connect(withTokenRefresh({
 *   server: 'my-server.database.windows.net',
 *   database: 'my-database',
 *   authentication: { type: 'azure-active-directory-default', options: {} },
 * }));
 * ```
 *
 * Every login of stock mssql's pool then gets the token that is current at that moment, and a checkout refuses a
 * connection whose token is about to expire or that is too old. mssql's pool has no hook for the rest: connections are not
 * renewed in the background, a login is not repeated, and mssql's probe login remains. `ConnectionPool` of
 * `mssql-token-pool/mssql` has all of that.
 *
 * Apply it last: it takes the timeouts and hooks of the config it is given.
 *
 * @throws ConfigurationError that names the setting and how to fix it
 */
export function withTokenRefresh<C extends TokenPoolConfig>(config: C): RefreshingConfig<C>;
export function withTokenRefresh(connectionString: string): RefreshingConfig<FromConnectionString>;
export function withTokenRefresh(input: TokenPoolConfig | string): object {
  const original =
    typeof input === 'string' ? configFromConnectionString(input) : withoutTokenRefresh(withInherited(input));
  const settings = settingsFrom(original);
  refuseReadOnly(original, 'withTokenRefresh()');
  const { source } = settings;
  assertSupportedMssql();
  const logins = new LoginWatch(settings);
  const { beforeConnect, validateConnection = true } = original;
  const pool = original.pool ?? {};
  const { encrypt, connectTimeout = 0, connector } = settings.configuration.options ?? {};

  const askedByHook = new WeakSet<Connection>();
  const hooks = {
    beforeConnect(connection: Connection) {
      logins.adopt(connection).begin(connectTimeout);
      describeByPolicy(connection, () => askedByHook.has(connection) || logins.mayServeNow(connection));
      beforeConnect?.(connection);
    },
    pool: {
      ...without(pool, CONSUMED_OF_POOL),
      async validate(connection: Connection) {
        askedByHook.add(connection);
        if (!(await logins.mayServe(connection))) return false;
        return pool.validate ? pool.validate(connection) : passesStockChecks(connection, validateConnection);
      },
    },
  };
  userHooks.set(hooks.beforeConnect, beforeConnect);
  userHooks.set(hooks.pool.validate, pool.validate);
  if (source === undefined) {
    originals.set(hooks.beforeConnect, original);
    return withHiddenPassword({ ...without(original, NOT_OF_MSSQL), ...hooks });
  }

  const credential = placeholderCredential();
  const authentication = { type: 'token-credential', options: { credential } };
  const config = {
    ...without(original, CONSUMED),
    ...serverForMssql(original, settings.configuration),
    authentication,
    options: {
      ...original.options,
      encrypt,
      ...(connector !== undefined && { connector }),
      debug: debugWithoutSecrets(original),
      // tedious would repeat a failed login 3 times within 1.5 s, with a token each.
      maxRetriesOnTransientErrors: 0,
      // mssql reads it for every connection. The token is requested within this time, so time for it is added.
      get connectTimeout() {
        return connectTimeout + (source.tokens.current(source.scope) === undefined ? TOKEN_WAIT_MS : 0);
      },
    },
    ...hooks,
  };
  originals.set(credential.getToken, original);
  return config;
}

/*   * mssql's own check, which runs if the application has set its own `pool` and our hook is lost, refuses a connection
 * with `hasError`.
 */
function describeByPolicy(connection: Connection, mayServe: () => boolean): void {
  let hasError = (connection as { hasError?: boolean }).hasError === true;
  Object.defineProperty(connection, 'hasError', {
    get: () => hasError || !mayServe(),
    set: (value: boolean) => {
      hasError = value;
    },
    configurable: true,
  });
}

function serverForMssql({ server }: TokenPoolConfig, read: ConnectionConfiguration): Partial<TokenPoolConfig> {
  const port = read.options?.port;
  return namesPort(server) && port !== undefined ? { server: read.server, port } : {};
}

/** A copy keeps no password, so the hook gives each connection its own. */
function withHiddenPassword(config: Partial<TokenPoolConfig>): object {
  const { authentication } = config as { authentication?: { options?: object } };
  return hidePassword({
    ...config,
    ...(authentication?.options && {
      authentication: { ...authentication, options: hidePassword({ ...authentication.options }) },
    }),
  });
}

/** The password of a refreshing config, even if a copy has lost it. */
function passwordOf(config: TokenPoolConfig, original: TokenPoolConfig | undefined): Partial<TokenPoolConfig> {
  const { password = original?.password, authentication } = config as WithPassword;
  const given = (original as WithPassword | undefined)?.authentication;
  const nested = authentication?.options?.password ?? given?.options?.password;
  const login = {
    ...(password !== undefined && { password }),
    ...(nested !== undefined &&
      authentication?.type === given?.type && {
        authentication: { ...authentication, options: { ...authentication?.options, password: nested } },
      }),
  };
  return login as Partial<TokenPoolConfig>;
}

interface WithPassword {
  password?: string | undefined;
  authentication?: { type?: string; options?: { password?: string } } | undefined;
}

function hidePassword<T extends { password?: unknown }>(object: T): T {
  let { password } = object;
  if (password === undefined) return object;
  return Object.defineProperty(object, 'password', {
    get: () => password,
    set: (next: unknown) => {
      password = next;
    },
    enumerable: false,
    configurable: true,
  });
}

/** The original of a refreshing config, with later changes applied; any other config unchanged. */
export function withoutTokenRefresh(config: TokenPoolConfig): TokenPoolConfig {
  // A value that is not a config is reported by the code that reads it.
  if (typeof config !== 'object' || config === null) return config;
  const { beforeConnect, options = {} } = config;
  const original = originals.get(getTokenOf(config));
  const withPassword = originals.get(beforeConnect ?? NONE);
  if (original === undefined && withPassword === undefined) return config;
  const pool = config.pool ?? {};
  const ownHooks = {
    beforeConnect: userHook(beforeConnect),
    pool: {
      ...only((original ?? withPassword)?.pool ?? {}, CONSUMED_OF_POOL),
      ...pool,
      validate: userHook(pool.validate),
    },
  };
  if (original === undefined) {
    return {
      ...config,
      ...only(withPassword ?? {}, NOT_OF_MSSQL),
      ...passwordOf(config, withPassword),
      ...ownHooks,
    };
  }
  return {
    ...config,
    ...only(original, CONSUMED),
    options: { ...without(options, CHANGED_OPTIONS), ...only(original.options ?? {}, CHANGED_OPTIONS) },
    ...ownHooks,
  };
}

/** The `getToken` of a config's credential, if it has one. */
function getTokenOf(config: TokenPoolConfig): object {
  const { authentication } = config as { authentication?: { options?: { credential?: { getToken?: unknown } } } };
  const getToken = authentication?.options?.credential?.getToken;
  return typeof getToken === 'function' ? getToken : NONE;
}
const NONE = {};

function userHook<F extends object | undefined>(hook: F): F {
  return hook !== undefined && userHooks.has(hook) ? (userHooks.get(hook) as F) : hook;
}

/** The requested debug output without packet contents, which include the token. */
function debugWithoutSecrets({ debug, options }: TokenPoolConfig & { debug?: unknown }): object | undefined {
  return debug || options?.debug ? { packet: true, token: true, data: false, payload: false } : undefined;
}

function without<T extends object, K extends string>(object: T, keys: readonly K[]): Omit<T, K> {
  return Object.fromEntries(Object.entries(object).filter(([key]) => !keys.includes(key as K))) as Omit<T, K>;
}

function only<T extends object>(object: T, keys: readonly string[]): Partial<T> {
  return Object.fromEntries(Object.entries(object).filter(([key]) => keys.includes(key))) as Partial<T>;
}

import { expect, test } from 'vitest';
import type { TokenPoolConfig } from '../../src/connections/config.js';
import { credentialOf, settingsFrom } from '../../src/connections/settings.js';
import type { TokenCredential } from '../../src/index.js';

const credential: TokenCredential = { getToken: async () => null };
const SERVER = 'orders.database.windows.net';
const LONGEST_TIMER_MS = 2 ** 31 - 1;

function settings(config: object = {}) {
  return settingsFrom({ server: SERVER, authentication: credential, ...config } as TokenPoolConfig);
}

function pool(given: object) {
  return settings({ pool: given }).pool;
}

function options(config: object) {
  return settings(config).configuration.options as Record<string, unknown>;
}

test("a config that names only its server and credential gets mssql's defaults", () => {
  const { source, ...rest } = settings();
  expect(rest).toEqual({
    configuration: {
      server: SERVER,
      options: {
        tdsVersion: '7_4',
        rowCollectionOnDone: false,
        rowCollectionOnRequestCompletion: false,
        useColumnNames: false,
        appName: 'node-mssql',
        connectTimeout: 15_000,
        requestTimeout: 15_000,
        maxRetriesOnTransientErrors: 0,
        encrypt: true,
        trustServerCertificate: false,
        port: 1433,
      },
    },
    pool: {
      max: 10,
      min: 0,
      idleTimeoutMillis: 30_000,
      acquireTimeoutMillis: 30_000,
      createTimeoutMillis: 30_000,
      destroyTimeoutMillis: 5_000,
      overlap: 1,
      maxRenewals: 2,
      maxAgeMillis: 34_200_000,
      leakDetectionMillis: 0,
      maxOpening: 0,
      resetSession: 'never',
      keepaliveMillis: 0,
      validate: undefined,
    },
    validateConnection: 'socket',
    strictExpiry: false,
    beforeConnect: undefined,
    tedious: undefined,
  });
  expect(source).toMatchObject({ scope: 'https://database.windows.net/.default', scopeIsFixed: false });
});

test('a configured scope stays, whatever the server says', () => {
  expect(settings({ scope: 'api://orders/.default' }).source).toMatchObject({
    scope: 'api://orders/.default',
    scopeIsFixed: true,
  });
});

test('other messages are passed on', () => {
  const beforeConnect = (): void => {};
  const tedious = { Connection: class {} } as never;
  expect(settings({ validateConnection: true, strictExpiry: true, beforeConnect, tedious })).toMatchObject({
    validateConnection: true,
    strictExpiry: true,
    beforeConnect,
    tedious,
  });
});

test('the input is never changed', () => {
  const config = Object.freeze({
    server: 'host\\instance',
    authentication: credential,
    options: Object.freeze({ debug: {} }),
    pool: Object.freeze({ max: 3, idleTimeoutMillis: Number.POSITIVE_INFINITY }),
  });
  expect(() => settingsFrom(config as never)).not.toThrow();
});

test.each([
  [
    { connectionTimeout: 1, requestTimeout: 2, timeout: 3 },
    { connectTimeout: 1, requestTimeout: 2 },
  ],
  [{ timeout: 3 }, { connectTimeout: 3, requestTimeout: 3 }],
  [
    { timeout: 3, options: { requestTimeout: 4 } },
    { connectTimeout: 3, requestTimeout: 4 },
  ],
  [{ requestTimeout: Number.POSITIVE_INFINITY }, { requestTimeout: 0 }],
  [{ requestTimeout: -1 }, { requestTimeout: 0 }],
  [{ requestTimeout: 0 }, { requestTimeout: 0 }],
  [{ requestTimeout: 1 }, { requestTimeout: 1 }],
])('timeouts: %j', (config, expected) => {
  expect(options(config)).toMatchObject(expected);
});

test.each([
  [{ database: 'orders' }, { database: 'orders' }],
  [{ database: undefined, options: { database: 'other' } }, { database: 'other' }],
  [
    { encrypt: 'strict', trustServerCertificate: true },
    { encrypt: 'strict', trustServerCertificate: true },
  ],
  [{ encrypt: true, options: { encrypt: undefined } }, { encrypt: true }],
  [{ options: { trustServerCertificate: true } }, { encrypt: true, trustServerCertificate: true }],
  [{ options: { maxRetriesOnTransientErrors: 3 } }, { maxRetriesOnTransientErrors: 0 }],
])('options: %j', (config, expected) => {
  expect(options(config)).toMatchObject(expected);
});

test('options that are not set are absent, because tedious refuses undefined', () => {
  expect(options({ database: undefined, options: { language: undefined } })).toEqual(options({}));
});

test('a port or an instance, never both', () => {
  expect(options({ port: 14_330 }).port).toBe(14_330);
  expect(options({ port: 14_330, options: { port: 1 } }).port).toBe(1);
  const named = settings({ server: 'host\\instance', port: 14_330 }).configuration;
  expect(named.server).toBe('host');
  expect(named.options).toMatchObject({ instanceName: 'instance' });
  expect(named.options).not.toHaveProperty('port');
  expect(options({ server: 'host\\instance', options: { instanceName: 'other' } }).instanceName).toBe('other');
  expect(options({ options: { instanceName: 'other', port: 1 } })).not.toHaveProperty('port');
});

test('a token is never sent in cleartext or printed', () => {
  for (const config of [{ encrypt: false }, { options: { encrypt: false } }]) {
    expect(() => settings(config)).toThrow(/would be sent in cleartext/);
  }
  const debug = { payload: true };
  expect(options({ options: { debug } })).not.toHaveProperty('debug');
  const sqlLogin = { server: SERVER, user: 'sa', password: 'p', encrypt: false, options: { debug } } as TokenPoolConfig;
  expect(settingsFrom(sqlLogin).configuration.options).toMatchObject({ encrypt: false, debug });
});

test.each([
  [
    { user: 'sa', password: 'p' },
    { type: 'default', options: { userName: 'sa', password: 'p' } },
  ],
  [
    { user: 'ada', password: 'p', domain: 'CONTOSO' },
    { type: 'ntlm', options: { userName: 'ada', password: 'p', domain: 'CONTOSO' } },
  ],
  [
    { authentication: { type: 'default', options: { userName: 'sa', password: 'p' } } },
    { type: 'default', options: { userName: 'sa', password: 'p' } },
  ],
  [
    { user: 'other', authentication: { type: 'ntlm', options: { userName: 'ada' } } },
    { type: 'ntlm', options: { userName: 'ada' } },
  ],
])('a login with a password passes through without a token: %j', (config, authentication) => {
  const read = settingsFrom({ server: SERVER, ...config } as TokenPoolConfig);
  expect(read.configuration.authentication).toEqual(authentication);
  expect(read.source).toBeUndefined();
  // Nothing is validated again after 10 h.
  expect(read.pool.maxAgeMillis).toBe(0);
  expect(credentialOf({ server: SERVER, ...config } as TokenPoolConfig)).toBeUndefined();
});

test("a credential may have any form, including mssql's flat one", () => {
  const ids = {
    clientId: '11111111-1111-4111-8111-111111111111',
    tenantId: '22222222-2222-4222-8222-222222222222',
  };
  const flat = { authentication_type: 'azure-active-directory-service-principal-secret', clientSecret: 's', ...ids };
  expect(settings({ authentication: undefined, ...flat }).source?.tokens).toBeDefined();
  expect(credentialOf({ server: SERVER, ...flat })).toMatchObject({
    principal: { method: 'service-principal-secret', id: ids.clientId, tenantId: ids.tenantId },
  });
  const withPassword = {
    authentication_type: 'azure-active-directory-password',
    user: 'ada@contoso.example',
    password: 'p',
    ...ids,
  };
  expect(credentialOf({ server: SERVER, ...withPassword })).toMatchObject({
    principal: { method: 'password', id: 'ada@contoso.example' },
  });
  expect(
    credentialOf({
      server: SERVER,
      authentication: { type: 1, getToken: credential.getToken } as object as typeof credential,
    }),
  ).toBeDefined();
});

test("a pool accepts mssql's settings, and no misspelt ones", () => {
  const tarnOnly = { reapIntervalMillis: 1, createRetryIntervalMillis: 1, propagateCreateError: true, log: () => {} };
  expect(pool({ ...tarnOnly, max: 3 }).max).toBe(3);
  expect(() => pool({ maximum: 3 })).toThrow(
    /^pool\.maximum is not a setting of this pool\. Its settings are max, min, idleTimeoutMillis, /,
  );
  expect(pool({ max: undefined, maxAgeMillis: undefined })).toEqual(pool({}));
});

test('a longer acquireTimeoutMillis extends createTimeoutMillis, unless that is set', () => {
  expect(pool({ acquireTimeoutMillis: 90_000 }).createTimeoutMillis).toBe(90_000);
  expect(pool({ acquireTimeoutMillis: 5_000 }).createTimeoutMillis).toBe(30_000);
  expect(pool({ acquireTimeoutMillis: 90_000, createTimeoutMillis: 1_000 }).createTimeoutMillis).toBe(1_000);
});

test.each([
  ['max', [-1, 0, 1.5, Number.NaN, '3'], 'pool.max must be a whole number, 1 or more.'],
  ['min', [-1, 1.5], 'pool.min must be a whole number, 0 or more.'],
  ['min', [11], 'pool.min (11) must not be more than pool.max (10).'],
  ['overlap', [-1, 0.5], 'pool.overlap must be a whole number, 0 or more.'],
  ['maxRenewals', [-1, 0.5], 'pool.maxRenewals must be a whole number, 0 or more.'],
  [
    'acquireTimeoutMillis',
    [0, -1, Number.NaN, '3000'],
    'pool.acquireTimeoutMillis must be a number of ms, more than 0.',
  ],
  ['createTimeoutMillis', [0, -1, Number.NaN, '3000'], 'pool.createTimeoutMillis must be a number of ms, more than 0.'],
  [
    'destroyTimeoutMillis',
    [0, -1, Number.NaN, '3000'],
    'pool.destroyTimeoutMillis must be a number of ms, more than 0.',
  ],
  ['idleTimeoutMillis', [0, -1, Number.NaN, '3000'], 'pool.idleTimeoutMillis must be a number of ms, more than 0.'],
  ['keepaliveMillis', [-1, Number.NaN, '60000'], 'pool.keepaliveMillis must be a number of ms, 0 (off) or more.'],
  ['resetSession', [true, 'sometimes', 1], "pool.resetSession must be 'never' or 'always'."],
  ['maxAgeMillis', [-1, Number.NaN, '60000'], 'pool.maxAgeMillis must be a number of ms, 0 (no limit) or more.'],
])('pool.%s may not be one of %j', (key, values, message) => {
  for (const value of values) {
    expect(() => pool({ [key]: value })).toThrow(expect.objectContaining({ code: 'ERR_CONFIGURATION', message }));
  }
});

test.each([
  [{ max: 1 }, { max: 1 }],
  [{ max: 10, min: 10 }, { min: 10 }],
  [
    { overlap: 0, maxRenewals: 0, maxAgeMillis: 0 },
    { overlap: 0, maxRenewals: 0, maxAgeMillis: 0 },
  ],
])('the least and the most are allowed: %j', (given, expected) => {
  expect(pool(given)).toMatchObject(expected);
});

test('Infinity becomes the longest time that a timer can hold, not zero', () => {
  for (const key of ['acquireTimeoutMillis', 'createTimeoutMillis', 'destroyTimeoutMillis', 'idleTimeoutMillis']) {
    expect(pool({ [key]: Number.POSITIVE_INFINITY })).toMatchObject({ [key]: LONGEST_TIMER_MS });
  }
});

test('a connection string is accepted as a config', () => {
  const { configuration, pool: sizes } = settingsFrom('Server=host,1434;User Id=sa;Password=p;Max Pool Size=3');
  expect(configuration).toMatchObject({ server: 'host', options: { port: 1434 } });
  expect(configuration.authentication).toEqual({ type: 'default', options: { userName: 'sa', password: 'p' } });
  expect(sizes.max).toBe(3);
});

test('a token store of the config is that of its credential', () => {
  expect(() => settings({ tokenStore: {} })).toThrow(
    /must be created by redisTokenStore\(\) or encryptedTokenStore\(\)/,
  );
});

test.each([null, undefined, 5])('%j is not a config', (config) => {
  expect(() => settingsFrom(config as never)).toThrow('must be an mssql config object or a connection string');
});

test.each([undefined, ''])('%j is not a server', (server) => {
  const config = { server, user: 'sa', password: 'p' } as unknown as TokenPoolConfig;
  expect(() => settingsFrom(config)).toThrow("'server' is missing: set it to the host name of the SQL Server.");
});

test.each(['default', 'ntlm'])("mssql's flat authentication_type '%s' is a login with a password", (type) => {
  const read = settingsFrom({
    server: SERVER,
    user: 'sa',
    password: 'p',
    authentication_type: type,
  } as TokenPoolConfig);
  expect(read.source).toBeUndefined();
  expect(read.configuration.authentication?.options).toEqual({ userName: 'sa', password: 'p' });
});

test('null counts as not set, next to options and inside them', () => {
  const none = { port: null, database: null, instanceName: null, encrypt: null, connectTimeout: null };
  expect(options({ port: null, options: none } as never)).toEqual(options({}));
  // For other options of tedious null is a value of its own: it sends no SET statement.
  expect(options({ options: { enableArithAbort: null } } as never)).toMatchObject({ enableArithAbort: null });
});

test('a port in the name of the server is enough', () => {
  expect(settings({ server: 'host,1434', options: undefined }).configuration.options?.port).toBe(1434);
  expect(options({ port: 65_535 }).port).toBe(65_535);
});

test.each([true, false, 'socket'] as const)('validateConnection: %j is accepted', (validateConnection) => {
  expect(settings({ validateConnection }).validateConnection).toBe(validateConnection);
});

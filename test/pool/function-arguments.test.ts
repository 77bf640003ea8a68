import sql from 'mssql';
import { afterAll, expect, test } from 'vitest';
import {
  ConfigurationError,
  createCredential,
  createTokenPool,
  createTokenPools,
  encryptedTokenStore,
  retryTransaction,
  TokenCache,
  transaction,
  withRetry,
} from '../../src/index.js';
import dropIn from '../../src/mssql/index.js';
import { keepAuthenticated, redisCredentials, redisTokenStore } from '../../src/tokens/redis.js';

const credential = createCredential(async () => '');
const tokens = new TokenCache(credential);
/** Nothing is dialed: each call is refused before that. */
const config = { server: 'localhost', port: 9, authentication: credential };
const pool = createTokenPool({ ...config, readOnly: { server: '127.0.0.1' } });
const pools = createTokenPools({ server: 'localhost', port: 9 });
const identity = { authentication: credential };
const app = { tenantId: 'contoso.example', clientId: '11111111-2222-3333-4444-555555555555' };

afterAll(async () => {
  await Promise.all([pool.close(), pools.close()]);
});

const NO_FUNCTIONS: [string, unknown][] = [
  ['nothing', undefined],
  ['null', null],
  ['a promise', Promise.resolve(1)],
  ['a string', 'SELECT 1'],
  ['an object', { signal: undefined }],
  ['a list', []],
];

/** Every public function that takes a function of the caller, by the word that its refusal must contain. */
const TAKE_A_FUNCTION: Record<string, (fn: never) => unknown> = {
  'withRetry()': (fn) => withRetry(pool, fn),
  'transaction()': (fn) => transaction(pool, fn),
  'transaction() ': (fn) => transaction(new sql.ConnectionPool({ server: 'localhost' }), fn),
  'retryTransaction()': (fn) => retryTransaction(fn),
  'use()': (fn) => pool.use(fn),
  'use() ': (fn) => pool.readOnly.use(fn),
  'use()  ': (fn) => pools.for({ ...identity, key: 'ada' }).use(fn),
  'pools.run(': (fn) => pools.run({ ...identity, key: 'ada' }, fn),
};

test.each(
  Object.entries(TAKE_A_FUNCTION).flatMap(([name, call]) =>
    NO_FUNCTIONS.map(([what, value]) => ({ name, call, what, value: value as never })),
  ),
)('$name with $what instead of a function names the call, and opens nothing', async ({ name, call, value }) => {
  const error: unknown = await (async () => call(value))().catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ConfigurationError);
  expect((error as Error).message).toContain(name.trim());
  expect(pool.stats).toMatchObject({ size: 0, opening: 0, pending: 0 });
});

/** The same where the function is an option, or a method of an object of the caller's own. */
const TAKE_CALLBACKS: Record<string, (fn: never) => unknown> = {
  validate: (validate) => createTokenPool({ ...config, pool: { validate } }),
  beforeConnect: (beforeConnect) => createTokenPool({ ...config, beforeConnect }),
  getToken: (getToken) => new TokenCache({ getToken }),
  credential: (getToken) => createCredential({ method: 'token-credential', credential: { getToken } as never }),
  openBrowser: (openBrowser) => createCredential({ method: 'interactive', ...app, openBrowser }),
  onCode: (onCode) => createCredential({ method: 'device-code', ...app, onCode }),
  lease: (lease) => encryptedTokenStore({ get: async () => undefined, set: async () => {}, lease }, { keys: '00' }),
  redisTokenStore: (fn) => redisTokenStore({ eval: fn } as never, { keys: '0'.repeat(64) }),
  redisCredentials: (fn) => redisCredentials({ get: fn } as never),
  keepAuthenticated: (fn) => keepAuthenticated({ auth: fn } as never, tokens),
};

test.each(
  Object.entries(TAKE_CALLBACKS).flatMap(([name, call]) =>
    NO_FUNCTIONS.filter(([, value]) => value !== undefined && value !== null).map(([what, value]) => ({
      name,
      call,
      what,
      value: value as never,
    })),
  ),
)('$name: $what instead of a function is a configuration error', async ({ call, value }) => {
  await expect((async () => call(value))()).rejects.toBeInstanceOf(ConfigurationError);
});

test.each([
  ['mssql', () => new sql.ConnectionPool({ server: 'localhost' })],
  ['the drop-in', () => new dropIn.ConnectionPool({ server: 'localhost' })],
])('withRetry() with a ConnectionPool of %s says what takes one', async (_, make) => {
  await expect(withRetry(make() as never, () => 1)).rejects.toMatchObject({
    code: 'ERR_CONFIGURATION',
    message: expect.stringContaining('not a ConnectionPool of mssql'),
    hint: expect.stringMatching(/transaction\(pool, fn\).*pool\.tokenPool/),
  });
});

test.each([
  ['withRetry()', (noPool: never) => withRetry(noPool, () => 1)],
  ['transaction()', (noPool: never) => transaction(noPool, () => 1)],
])('%s with an object that can only acquire connections is refused', async (name, call) => {
  await expect(call({ acquire: async () => ({}) } as never)).rejects.toMatchObject({
    code: 'ERR_CONFIGURATION',
    message: `${name} takes a pool and a function.`,
  });
});

import { expect, test } from 'vitest';
import {
  ConfigurationError,
  createCredential,
  createTokenPool,
  createTokenPools,
  encryptedTokenStore,
  OnBehalfOfTokens,
  retryTransaction,
  sharedTokenCache,
  TokenCache,
  transaction,
  withRetry,
} from '../src/index.js';
import { instrument } from '../src/telemetry/otel.js';
import { recordTimeline, timelineReport } from '../src/telemetry/timeline.js';
import { keepAuthenticated, redisCredentials, redisTokenStore } from '../src/tokens/redis.js';
import { MemoryStore } from './tokens/memory-store.js';

const credential = createCredential(async () => '');
const tokens = new TokenCache(credential);
const keys = '0'.repeat(64);
const application = {
  tenantId: 'contoso.example',
  clientId: '11111111-2222-3333-4444-555555555555',
  clientSecret: 'x',
};
const pool = createTokenPool({ server: 'localhost', authentication: credential });
const pools = createTokenPools({ server: 'localhost' });
const ioredis = { status: 'wait', options: {}, auth: async () => {}, on: () => {} };
const redis = { eval: async () => null };

/** Every public function and constructor that takes options, except for configs, which have their own tables. */
const CALLS: Record<string, (options: never) => unknown> = {
  'new TokenCache()': (options) => new TokenCache(credential, options),
  'new TokenCache() ': (options) =>
    sharedTokenCache(
      createCredential(async () => ''),
      options,
    ),
  'get()': (options) => tokens.get(undefined, options),
  'new OnBehalfOfTokens()': (options) => new OnBehalfOfTokens(application, options),
  'encryptedTokenStore()': (options) =>
    encryptedTokenStore(new MemoryStore(), { keys, ...(options as object) } as never),
  'redisTokenStore()': (options) => redisTokenStore(redis as never, { keys, ...(options as object) } as never),
  'redisCredentials()': (options) => redisCredentials(tokens, options),
  'keepAuthenticated()': (options) => keepAuthenticated(ioredis as never, tokens, options),
  'The context of createCredential()': (options) => createCredential({ method: 'chain' }, options),
  'withRetry()': (options) => withRetry(pool, async () => {}, options),
  'transaction()': (options) => transaction(pool, async () => {}, options),
  'retryTransaction()': (options) => retryTransaction(async () => {}, options),
  'evictAll()': (options) => pool.evictAll(options),
  'replaceCredential()': (options) => pool.replaceCredential(credential, options),
  'pools.for()': (options) => pools.for({ authentication: credential, ...(options as object) }),
  'instrument()': (options) => instrument(options),
  'recordTimeline()': (options) => recordTimeline(undefined, options),
  'timelineReport()': (options) => timelineReport([], options),
};

async function refusal(call: (options: never) => unknown, options: unknown): Promise<Error> {
  try {
    await call(options as never);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigurationError);
    return error as Error;
  }
  throw new Error('It was accepted.');
}

test.each(Object.entries(CALLS))('%s refuses an option that does not exist, by its name', async (name, call) => {
  const { message } = await refusal(call, { bogus: 1 });
  expect(message).toMatch(/ has no option 'bogus'; it has \w+/);
  expect(message.startsWith(name.trim())).toBe(true);
});

test.each(Object.entries(CALLS))('%s does not repeat a secret that ended up as a key', async (_, call) => {
  const { message } = await refusal(call, { 'Bearer eyJhbGciOi.J9': 1 });
  expect(message).toContain('no option (not a name)');
});

const SPREADS = ['encryptedTokenStore()', 'redisTokenStore()', 'pools.for()'];
test.each(Object.entries(CALLS).filter(([name]) => !SPREADS.includes(name)))(
  '%s refuses options that are no object',
  async (_, call) => {
    for (const options of [null, 5, 'text']) {
      expect((await refusal(call, options)).message).toMatch(/^The options of .* must be an object/);
    }
  },
);

test('an option that is undefined counts as not set', () => {
  expect(() => new TokenCache(credential, { bogus: undefined } as never)).not.toThrow();
});

test.each<[string, () => unknown, RegExp]>([
  [
    'a scope that is a number',
    () => new TokenCache(credential, { scope: 5 } as never),
    /'scope' must be a non-empty string/,
  ],
  ['an empty scope', () => new TokenCache(credential, { scope: '' }), /'scope' must be a non-empty string/],
  [
    'a time that is text',
    () => new TokenCache(credential, { requestTimeoutMs: '5' } as never),
    /'requestTimeoutMs' must be a number of ms/,
  ],
  [
    'a number that is text',
    () => new OnBehalfOfTokens(application, { maxUsers: '5' } as never),
    /'maxUsers' must be a number/,
  ],
  ['no token cache', () => redisCredentials(undefined as never), /redisCredentials\(\) needs a TokenCache/],
  ['a user name that is a number', () => redisCredentials(tokens, { username: 5 } as never), /'username' must be a/],
])('%s is refused', (_, call, message) => {
  expect(call).toThrow(message);
});

test.each([undefined, {}, { options: {}, auth: async () => {}, on: () => {} }])(
  'keepAuthenticated refuses what is no client of ioredis: %j',
  async (client) => {
    await expect(keepAuthenticated(client as never, tokens)).rejects.toThrow(/needs a client of the package 'ioredis'/);
  },
);

test('a misspelt limit of createTokenPools is refused, with what was meant', () => {
  for (const name of ['maxConections', 'maxPool', 'maxOpenning']) {
    expect(() => createTokenPools({ server: 'localhost', [name]: 5 } as never), name).toThrow(/Did you mean 'max/);
  }
});

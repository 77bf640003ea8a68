import { describe, expect, test } from 'vitest';
import { ConfigurationError, TokenCache, TokenUnavailableError } from '../../src/index.js';
import {
  type AuthenticatingClient,
  type IORedisClient,
  keepAuthenticated,
  type NodeRedisClient,
  redisCredentials,
  redisTokenStore,
} from '../../src/tokens/redis.js';
import { clockPerTest } from '../support/clock-per-test.js';
import { FakeProvider } from './fake-provider.js';

const clock = clockPerTest();

const HOUR = 3_600_000;
const REDIS_SCOPE = 'https://redis.azure.com/.default';
const OBJECT_ID = 'a0000000-0000-4000-8000-000000000001';

/** Redis, as far as the scripts of a token store use it. */
class FakeRedis {
  readonly values = new Map<string, { value: string; endsAt: number }>();
  /** The keys of each call. */
  readonly keys: string[] = [];
  readonly ttls: number[] = [];

  run(script: string, key: string, [value = '', ttlMs = '']: string[]): unknown {
    this.keys.push(key);
    const kept = this.values.get(key);
    const live = kept !== undefined && kept.endsAt > Date.now() ? kept : undefined;
    if (script.includes("== ARGV[1] then return redis.call('DEL'")) {
      return live?.value === value ? Number(this.values.delete(key)) : 0;
    }
    if (script.includes("'SET'")) {
      if (script.includes("'NX'") && live !== undefined) return null;
      this.ttls.push(Number(ttlMs));
      this.values.set(key, { value, endsAt: Date.now() + Number(ttlMs) });
      return 'OK';
    }
    const leftMs = live?.endsAt === Number.POSITIVE_INFINITY ? -1 : (live?.endsAt ?? 0) - Date.now();
    return live === undefined ? [null, -2] : [live.value, leftMs];
  }
}

const clients: [name: string, of: (redis: FakeRedis) => NodeRedisClient | IORedisClient][] = [
  [
    'node-redis',
    (redis) => ({
      eval: async (script: string, options: { keys: string[]; arguments: string[] }) =>
        redis.run(script, options.keys.join(), options.arguments),
    }),
  ],
  [
    'ioredis',
    (redis) => ({
      defineCommand() {},
      eval: async (script: string, count: number, key: string, ...args: string[]) =>
        count === 1 ? redis.run(script, key, args) : undefined,
    }),
  ],
];

describe.each(clients)('two processes that share tokens through %s', (_, of) => {
  function twoProcesses(prefix?: string) {
    const redis = new FakeRedis();
    const provider = new FakeProvider();
    const processes = [0, 1].map(() => {
      const store = redisTokenStore(of(redis), { keys: Buffer.alloc(32, 7), prefix });
      return new TokenCache(provider, { tokenStore: store.named('orders-api') });
    }) as [TokenCache, TokenCache];
    return { redis, provider, processes };
  }

  async function get(tokens: TokenCache): Promise<string> {
    const got = tokens.get();
    await clock.pass(1_000);
    return (await got).reveal();
  }

  test('request each token once, under the prefix of the library', async () => {
    const { redis, provider, processes } = twoProcesses();
    expect(await Promise.all(processes.map(get))).toEqual(['token-1', 'token-1']);
    expect(provider.requests).toHaveLength(1);
    for (const key of redis.keys) expect(key).toMatch(/^mssql-token-pool:[\w-]+(:lease)?$/);
    expect(redis.keys.filter((key) => key.endsWith(':lease')).length).toBeGreaterThan(0);
    for (const ttlMs of redis.ttls) expect(Number.isInteger(ttlMs) && ttlMs > 0 && ttlMs <= HOUR).toBe(true);
  });

  test('use the prefix of the options', async () => {
    const { redis, processes } = twoProcesses('app1/');
    await get(processes[0]);
    for (const key of redis.keys) expect(key).toMatch(/^app1\//);
  });

  test('release the lease of a request, so that the next one does not wait for its end', async () => {
    const { redis, processes } = twoProcesses();
    await get(processes[0]);
    expect([...redis.values.keys()].filter((key) => key.endsWith(':lease'))).toEqual([]);
  });

  test('use an entry whose time to live was removed until its token expires', async () => {
    const { redis, provider, processes } = twoProcesses();
    await get(processes[0]);
    for (const kept of redis.values.values()) kept.endsAt = Number.POSITIVE_INFINITY;
    expect(await get(processes[1])).toBe('token-1');
    await clock.pass(HOUR);
    expect(await get(processes[1])).not.toBe('token-1');
    expect(provider.requests).toHaveLength(2);
  });
});

test.each([undefined, null, {}, { eval: 'return 1' }])('%j is refused as a client', (client) => {
  expect(() => redisTokenStore(client as never, { keys: Buffer.alloc(32) })).toThrow(
    new ConfigurationError("redisTokenStore needs a client of the package 'redis' or 'ioredis'."),
  );
});

test('a prefix that is not text is refused', () => {
  expect(() => redisTokenStore({ eval: async () => null }, { keys: Buffer.alloc(32), prefix: 7 as never })).toThrow(
    new ConfigurationError("'prefix' must be a string."),
  );
});

/** Tokens that name a principal. */
class EntraProvider extends FakeProvider {
  override issue(lifeMs?: number) {
    const issued = super.issue(lifeMs);
    const claims = { tid: 'tenant', oid: OBJECT_ID, nonce: this.issued };
    return { ...issued, token: `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.sig` };
  }
}

function signIn(provider: FakeProvider = new EntraProvider()) {
  return { provider, tokens: new TokenCache(provider) };
}

/** As node-redis subscribes. */
async function subscribed(tokens: TokenCache, options = {}) {
  const seen: { username: string; password: string }[] = [];
  const errors: Error[] = [];
  const [first, subscription] = await redisCredentials(tokens, options).subscribe({
    onNext: (credentials) => seen.push(credentials),
    onError: (error) => errors.push(error),
  });
  return { first, subscription, seen, errors };
}

describe('a client of node-redis', () => {
  test('logs in as the principal of the token, and again with each later one', async () => {
    const { provider, tokens } = signIn();
    const { first, seen, errors } = await subscribed(tokens);
    expect(redisCredentials(tokens).type).toBe('streaming-credentials-provider');
    expect(first.username).toBe(OBJECT_ID);
    expect(provider.requests.map(({ scope }) => scope)).toEqual([REDIS_SCOPE]);
    await clock.pass(30 * 60_000);
    expect(seen).toEqual([]);
    await clock.pass(30 * 60_000);
    expect(seen).toHaveLength(1);
    expect(seen[0]).toMatchObject({ username: OBJECT_ID });
    expect(seen[0]?.password).not.toBe(first.password);
    await clock.pass(HOUR);
    expect(new Set(seen.map(({ password }) => password)).size).toBe(seen.length);
    expect(seen.length).toBe(provider.requests.length - 1);
    expect(errors).toEqual([]);
  });

  test('requests no token once it is disposed, and keeps no process alive', async () => {
    const { provider, tokens } = signIn();
    const { subscription, seen } = await subscribed(tokens);
    expect([...clock.pending].filter((timer) => timer.hasRef())).toEqual([]);
    subscription.dispose();
    await clock.pass(3 * HOUR);
    expect([provider.requests.length, seen.length]).toEqual([1, 0]);
    expect(clock.pending.size).toBe(0);
  });

  test('keeps its token through an outage of the identity provider', async () => {
    const { provider, tokens } = signIn();
    const { seen, errors } = await subscribed(tokens);
    provider.sticky = new Error('down');
    await clock.pass(HOUR);
    expect([seen, errors]).toEqual([[], []]);
    provider.sticky = undefined;
    await clock.pass(5 * 60_000);
    expect(seen).toHaveLength(1);
  });

  test('may log in as another user, for another resource', async () => {
    const { provider, tokens } = signIn(new FakeProvider());
    const { first } = await subscribed(tokens, { username: 'app', scope: 'https://cache.example/.default' });
    expect(first).toEqual({ username: 'app', password: 'token-1' });
    expect(provider.requests[0]?.scope).toBe('https://cache.example/.default');
  });

  test('fails when a later token does not name its principal', async () => {
    const { provider, tokens } = signIn();
    const { errors } = await subscribed(tokens);
    provider.sticky = { token: 'opaque', expiresOnTimestamp: Date.now() + 3 * HOUR };
    await clock.pass(HOUR);
    expect(errors).toEqual([
      expect.objectContaining({
        code: 'ERR_CONFIGURATION',
        message: 'The token does not name its principal, so the Redis user is unknown.',
        hint: "Pass 'username': in Azure, the object id of the principal.",
      }),
    ]);
  });

  test('handles a refused AUTH command itself', () => {
    expect(redisCredentials(signIn().tokens).onReAuthenticationError(new Error('WRONGPASS'))).toBeUndefined();
  });
});

describe('a client of ioredis', () => {
  function aClient(status = 'ready') {
    const listeners = new Map<string, () => void>();
    const client = {
      status,
      options: {} as { username?: string; password?: string },
      logins: [] as [string, string][],
      auth(...login: [string, string]) {
        client.logins.push(login);
        return Promise.reject(new Error('WRONGPASS'));
      },
      on: (event: string, listener: () => void) => listeners.set(event, listener),
      emit: (event: string) => listeners.get(event)?.(),
    };
    return client satisfies AuthenticatingClient;
  }

  test('opens connections with the latest token, and logs in again on the one it has', async () => {
    const { provider, tokens } = signIn();
    const client = aClient();
    await keepAuthenticated(client, tokens);
    expect(client.options.username).toBe(OBJECT_ID);
    expect(client.logins).toEqual([]);
    const first = client.options.password;
    await clock.pass(HOUR);
    expect(client.options.password).not.toBe(first);
    expect(client.logins).toEqual([[OBJECT_ID, client.options.password]]);
    expect(provider.requests[0]?.scope).toBe(REDIS_SCOPE);
  });

  test('does not log in again while it is not connected', async () => {
    const client = aClient('reconnecting');
    await keepAuthenticated(client, signIn().tokens);
    const first = client.options.password;
    await clock.pass(HOUR);
    expect(client.logins).toEqual([]);
    expect(client.options.password).not.toBe(first);
  });

  test.each(['stopped', 'ended by the application'])('that is %s asks for no further token', async (how) => {
    const { provider, tokens } = signIn();
    const client = aClient();
    const stop = await keepAuthenticated(client, tokens, { username: 'app', scope: 'https://cache.example/.default' });
    expect(client.options.username).toBe('app');
    if (how === 'stopped') stop();
    else client.emit('end');
    await clock.pass(3 * HOUR);
    expect(provider.requests.map(({ scope }) => scope)).toEqual(['https://cache.example/.default']);
    expect(client.logins).toEqual([]);
  });

  test('gets the error of the identity provider when it is set up', async () => {
    const { provider, tokens } = signIn();
    provider.sticky = new Error('down');
    await expect(keepAuthenticated(aClient(), tokens)).rejects.toThrow(TokenUnavailableError);
  });
});

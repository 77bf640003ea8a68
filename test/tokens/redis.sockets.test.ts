import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { TokenCache } from '../../src/index.js';
import { type RedisTokenStoreOptions, redisTokenStore } from '../../src/tokens/redis.js';
import { hasRedis, Network, RedisServer } from '../support/redis.js';
import { FakeProvider } from './fake-provider.js';

const keys = randomBytes(32);
let warnings: string[];
const cleanUp: (() => unknown)[] = [];

beforeEach(() => {
  warnings = [];
  vi.spyOn(process, 'emitWarning').mockImplementation((warning) => void warnings.push(String(warning)));
});
afterEach(async () => {
  for (const act of cleanUp.splice(0).reverse()) await act();
  vi.restoreAllMocks();
});

/** The two common clients, with default settings. */
const CLIENTS = {
  redis: async (port: number, password?: string) => {
    const client = createClient({ socket: { port, host: '127.0.0.1' }, ...(password && { password }) });
    client.on('error', () => {});
    client.connect().catch(() => {});
    cleanUp.push(() => client.destroy());
    return client;
  },
  ioredis: async (port: number, password?: string) => {
    const client = new Redis({ port, ...(password && { password }) });
    client.on('error', () => {});
    cleanUp.push(() => client.disconnect());
    return client;
  },
};

async function redis(...args: string[]): Promise<RedisServer> {
  const server = await RedisServer.start(...args);
  cleanUp.push(() => server[Symbol.asyncDispose]());
  return server;
}

/** A timeout that holds on an overloaded machine; the faults here last longer. */
const options: RedisTokenStoreOptions = { keys, timeoutMs: 20_000 };

describe.skipIf(!hasRedis).each(Object.entries(CLIENTS))('with the client of %s', (_, connectTo) => {
  async function aProcess(port: number, provider: FakeProvider, more: { password?: string; timeoutMs?: number } = {}) {
    const { password, ...overrides } = more;
    const client = await connectTo(port, password);
    const tokenStore = redisTokenStore(client, { ...options, ...overrides });
    return new TokenCache(provider, { tokenStore: tokenStore.named('orders-api') });
  }

  test('two processes share one token and its expiry', async () => {
    const { port } = await redis();
    const provider = new FakeProvider();
    const processes = await Promise.all([aProcess(port, provider), aProcess(port, provider)]);
    const [one, other] = await Promise.all(processes.map((tokens) => tokens.get()));
    expect(other?.reveal()).toBe('token-1');
    expect(Math.abs((other?.expiresOn ?? 0) - (one?.expiresOn ?? 0))).toBeLessThan(1_000);
    expect(provider.requests).toHaveLength(1);
    expect(warnings).toEqual([]);
  });

  test('a renewed token reaches the others', async () => {
    const { port } = await redis();
    const provider = new FakeProvider();
    const [one, other] = await Promise.all([aProcess(port, provider), aProcess(port, provider)]);
    const refused = await one.get();
    await other.get();
    one.invalidate(refused);
    await one.get();
    other.invalidate(refused);
    await vi.waitFor(async () => expect((await other.get()).reveal()).toBe('token-2'));
    expect(provider.requests).toHaveLength(2);
  });

  test('a wrong password causes a warning, not a failed login', async () => {
    const { port } = await redis('--requirepass', 'right');
    const tokens = await aProcess(port, new FakeProvider(), { password: 'Hunter2wrong', timeoutMs: 200 });
    expect((await tokens.get()).reveal()).toBe('token-1');
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).not.toContain('Hunter2');
  });

  test('a Redis server stops and recovers', async () => {
    const server = await redis();
    const provider = new FakeProvider();
    const tokens = await aProcess(server.port, provider, { timeoutMs: 300 });
    await tokens.get();
    await server.stop();
    expect((await tokens.get('https://vault.azure.net/.default')).reveal()).toBe('token-2');
    expect((await tokens.get('https://graph.microsoft.com/.default')).reveal()).toBe('token-3');
    expect(warnings).toHaveLength(1);
    await server.start();
    const other = await aProcess(server.port, provider);
    await vi.waitFor(
      async () => {
        const scope = `https://${provider.requests.length}/.default`;
        const held = await tokens.get(scope);
        expect((await other.get(scope)).id).toBe(held.id);
      },
      { timeout: 15_000 },
    );
  });

  test('an unresponsive network costs only the timeout', async () => {
    const { port } = await redis();
    await using network = new Network(port);
    network.silent = true;
    const tokens = await aProcess(await network.listen(), new FakeProvider(), { timeoutMs: 200 });
    expect((await tokens.get()).reveal()).toBe('token-1');
    expect(warnings[0]).toMatch(/does not answer in time/);
  });

  test('nothing that is sent to Redis or stored there is readable', async () => {
    const server = await redis();
    await using network = new Network(server.port);
    const provider = new FakeProvider();
    const token = randomBytes(900).toString('base64url');
    provider.sticky = { token, expiresOnTimestamp: Date.now() + 3_600_000 };
    await (await aProcess(await network.listen(), provider)).get();
    await vi.waitFor(() => expect(network.seen.length).toBeGreaterThan(1_200), { timeout: 15_000 });
    const kept = await vi.waitFor(async () => {
      const dump = await server.dump();
      expect(dump.length).toBeGreaterThan(1_200);
      return dump;
    });
    for (const bytes of [network.seen, kept]) {
      expect(bytes.includes('mssql-token-pool:')).toBe(true);
      for (const secret of [token.slice(40, 60), 'orders-api', 'database.windows.net']) {
        for (const form of [secret, ...(['hex', 'base64'] as const).map((f) => Buffer.from(secret).toString(f))]) {
          expect(bytes.includes(form.slice(0, -4)), form).toBe(false);
        }
      }
    }
  });

  test('a lease is released only by its owner', async () => {
    const { port } = await redis();
    const client = await connectTo(port);
    const provider = new FakeProvider();
    const own = redisTokenStore(client, { ...options, leaseMs: 300 }).named('orders-api');
    const slow = new FakeProvider();
    slow.delayMs = 900;
    slow.next = [slow.issue(1_800_000)];
    const late = new TokenCache(slow, { tokenStore: own }).get();
    const prompt = await new TokenCache(provider, { tokenStore: own }).get();
    expect((await late).reveal()).toBe('token-1');
    expect(prompt.expiresOn).toBeGreaterThan((await late).expiresOn);
    const third = await new TokenCache(new FakeProvider(), { tokenStore: own }).get();
    expect(third.id).toBe(prompt.id);
  });
});

test('a value that is not a client is rejected', () => {
  expect(() => redisTokenStore({} as never, options)).toThrow(/client/);
});

test('names the option that is missing or not text', () => {
  const client = { eval: async () => null };
  expect(() => redisTokenStore(client, undefined as never)).toThrow('A key of the token store must be 32 bytes');
  expect(() => redisTokenStore(client, { keys: Buffer.alloc(32), prefix: 7 as never })).toThrow("'prefix' must be");
});

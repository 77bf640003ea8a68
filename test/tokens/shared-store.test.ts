import { randomBytes } from 'node:crypto';
import { afterEach, expect, test, vi } from 'vitest';
import {
  createCredential,
  encryptedTokenStore,
  sharedTokenCache,
  TokenCache,
  TokenUnavailableError,
} from '../../src/index.js';
import { clockPerTest } from '../support/clock-per-test.js';
import { FakeProvider } from './fake-provider.js';
import { MemoryStore } from './memory-store.js';

const clock = clockPerTest();

afterEach(() => void vi.restoreAllMocks());

const KEY = randomBytes(32);
const HOUR = 3_600_000;

/** A simulated process: a connection to the store, and a cache. */
function aProcess(store: MemoryStore, provider: FakeProvider, options = {}): TokenCache {
  const tokenStore = encryptedTokenStore(store, { keys: KEY, ...options }).named('orders-api');
  return new TokenCache(provider, { tokenStore });
}

function fleet(size: number): { store: MemoryStore; provider: FakeProvider; processes: TokenCache[] } {
  const store = new MemoryStore();
  const provider = new FakeProvider();
  return { store, provider, processes: Array.from({ length: size }, () => aProcess(store, provider)) };
}

/** Lets time pass while every process looks up its token, as busy pools do. */
async function live(processes: TokenCache[], ms: number, stepMs = 1_000): Promise<void> {
  for (let passed = 0; passed < ms; passed += stepMs) {
    for (const tokens of processes) tokens.current();
    await clock.pass(stepMs);
  }
}

test('fifty processes that start together make one request', async () => {
  const { provider, processes } = fleet(50);
  provider.delayMs = 800;
  const taken = Promise.all(processes.map((tokens) => tokens.get()));
  await clock.pass(2_000);
  expect(new Set((await taken).map((held) => held.reveal()))).toEqual(new Set(['token-1']));
  expect(provider.requests).toHaveLength(1);
});

test('a fleet renews its token once, and no caller waits for it', async () => {
  const { provider, processes } = fleet(20);
  await processes[0]?.get();
  provider.delayMs = 800;
  await live(processes, 1_000);
  for (let hour = 0; hour < 5; hour += 1) {
    await live(processes, HOUR, 10_000);
    for (const tokens of processes) expect(tokens.current()).toBeDefined();
  }
  // A token is renewed at the latest 10 min before its expiry, or up to 10 % of 50 min earlier.
  expect(provider.requests.length).toBeGreaterThanOrEqual(6);
  expect(provider.requests.length).toBeLessThanOrEqual(7);
  expect(new Set(processes.map((tokens) => tokens.current()?.id)).size).toBe(1);
});

test.each([200, 0])(
  'callers of get({ timeoutMs: %d }) do not hurry a renewal for which they need not wait',
  async (timeoutMs) => {
    const { provider, processes } = fleet(20);
    const first = Promise.all(processes.map((tokens) => tokens.get()));
    await clock.pass(1_000);
    await first;
    provider.delayMs = 800;
    await clock.pass(51 * 60_000);
    for (let passed = 0; passed < 3_000; passed += 100) {
      const taken = Promise.all(processes.map((tokens) => tokens.get(undefined, { timeoutMs })));
      await clock.pass(100);
      await taken;
    }
    expect(provider.requests).toHaveLength(2);
    expect(new Set(processes.map((tokens) => tokens.current()?.reveal()))).toEqual(new Set(['token-2']));
  },
);

test('a process that joins late has the same margins as the others, not those of a new token', async () => {
  const { store, provider, processes } = fleet(1);
  const held = await processes[0]?.get();
  await clock.pass(30 * 60_000);
  const late = await aProcess(store, provider).get();
  expect(late).toMatchObject({ id: held?.id, obtainedAt: held?.obtainedAt, expiresOn: held?.expiresOn });
  expect(late).toMatchObject({ loginBefore: held?.loginBefore, evictAt: held?.evictAt });
  expect(provider.requests).toHaveLength(1);
});

test('a process that dies during its request delays the others by at most its lease and costs one request', async () => {
  const { store, provider, processes } = fleet(20);
  provider.next = ['hang'];
  processes[0]?.get().catch(() => {});
  await clock.pass(0);
  const startedAt = performance.now();
  const others = Promise.all(processes.slice(1).map((tokens) => tokens.get()));
  others.then(() => expect(performance.now() - startedAt).toBeLessThanOrEqual(5_000 + 500));
  await clock.pass(3_600);
  expect(provider.requests).toHaveLength(1);
  await clock.pass(1_400);
  expect(new Set((await others).map((held) => held.reveal()))).toEqual(new Set(['token-1']));
  expect(provider.requests).toHaveLength(2);
  expect(store.leases.size).toBe(0);
});

test('a lease that is never released does not block a login', async () => {
  const { store, provider, processes } = fleet(1);
  vi.spyOn(store, 'lease').mockResolvedValue(undefined);
  const taken = processes[0]?.get();
  await clock.pass(4_999);
  expect(provider.requests).toHaveLength(0);
  await clock.pass(1);
  expect((await taken)?.reveal()).toBe('token-1');
  expect(provider.requests).toHaveLength(1);
});

test('a lease that is never released takes at most half of the time that callers wait for a connection', async () => {
  const { store, provider } = fleet(0);
  vi.spyOn(store, 'lease').mockResolvedValue(undefined);
  const tokenStore = encryptedTokenStore(store, { keys: KEY }).named('orders-api');
  const ofPools = [3_000, 30_000].map((patienceMs) => sharedTokenCache(provider, { tokenStore }, patienceMs));
  const taken = ofPools[1]?.get();
  await clock.pass(1_499);
  expect(provider.requests).toHaveLength(0);
  await clock.pass(1);
  expect((await taken)?.reveal()).toBe('token-1');
});

test('a lease that arrives too late is released', async () => {
  vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
  const { store, processes } = fleet(2);
  const lease = store.lease.bind(store);
  vi.spyOn(store, 'lease').mockImplementationOnce(async (...args) => {
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    return lease(...args);
  });
  const taken = processes[0]?.get();
  await clock.pass(1_000);
  expect((await taken)?.reveal()).toBe('token-1');
  await clock.pass(1_500);
  expect(store.leases.size).toBe(0);
});

test('if the provider fails, the next process tries at once', async () => {
  const { provider, processes } = fleet(2);
  provider.next = [new TokenUnavailableError('HTTP 503')];
  await expect(processes[0]?.get()).rejects.toMatchObject({ code: 'ERR_TOKEN_UNAVAILABLE' });
  expect((await processes[1]?.get())?.reveal()).toBe('token-1');
  expect((await processes[0]?.get().catch(() => undefined))?.reveal()).toBeUndefined();
});

test('a token that the server refused is not read from the store again', async () => {
  const { provider, processes } = fleet(2);
  const [one, other] = processes as [TokenCache, TokenCache];
  const refused = await one.get();
  await other.get();
  one.invalidate(refused);
  expect((await one.get()).reveal()).toBe('token-2');
  other.invalidate(refused);
  expect((await other.get()).reveal()).toBe('token-2');
  expect(provider.requests).toHaveLength(2);
});

test('an answer that arrives after its lease does not replace a later token', async () => {
  const { store, provider, processes } = fleet(2);
  provider.delayMs = 9_000;
  provider.next = [provider.issue(HOUR / 2)];
  const slow = processes[0]?.get();
  await clock.pass(100);
  provider.delayMs = 0;
  const next = processes[1]?.get();
  await clock.pass(20_000);
  expect((await slow)?.reveal()).toBe('token-1');
  expect((await next)?.reveal()).toBe('token-2');
  expect((await aProcess(store, provider).get()).reveal()).toBe('token-2');
});

test('scopes, tenants and claims have separate entries', async () => {
  const { store, provider, processes } = fleet(2);
  for (const tokens of processes) {
    await tokens.getToken('https://a/.default');
    await tokens.getToken('https://b/.default');
    await tokens.getToken('https://a/.default', { tenantId: 'other' });
    await tokens.getToken('https://a/.default', { enableCae: true });
  }
  expect(provider.requests).toHaveLength(4);
  expect(store.values.size).toBe(4);
});

test('our own credentials need no name: equal options share a token, another secret or tenant does not', async () => {
  const store = encryptedTokenStore(new MemoryStore(), { keys: KEY });
  const clientId = '11111111-1111-4111-8111-111111111111';
  const keyOf = (tenantId: string, clientSecret: string) =>
    store.keyOf(createCredential({ tenantId, clientId, clientSecret }));
  const [a, b] = ['22222222-2222-4222-8222-222222222222', '33333333-3333-4333-8333-333333333333'] as const;
  expect(keyOf(a, 'secret one')).toBe(keyOf(a, 'secret one'));
  expect(keyOf(a, 'secret one')).not.toBe(keyOf(a, 'secret two'));
  expect(keyOf(a, 'secret one')).not.toBe(keyOf(b, 'secret one'));
  expect(keyOf(a, 'secret one')).not.toContain('secret one');
});

test('a credential that differs between processes must be named', () => {
  const tokenStore = encryptedTokenStore(new MemoryStore(), { keys: KEY });
  const clientId = '11111111-1111-4111-8111-111111111111';
  const rotating = createCredential({ tenantId: clientId, clientId, clientSecret: () => 'rotated' });
  for (const credential of [new FakeProvider(), rotating]) {
    expect(() => new TokenCache(credential, { tokenStore })).toThrow(/cannot determine which principal/);
    expect(() => new TokenCache(credential, { tokenStore: tokenStore.named('orders') })).not.toThrow();
  }
  expect(() => tokenStore.named('')).toThrow(/name/);
});

import { randomBytes } from 'node:crypto';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { encryptedTokenStore, TokenCache } from '../../src/index.js';
import { clockPerTest } from '../support/clock-per-test.js';
import { FakeProvider } from './fake-provider.js';
import { MemoryStore } from './memory-store.js';

const clock = clockPerTest();

const KEY = randomBytes(32);
const HOUR = 3_600_000;
let events: string[] = [];
let warnings: string[] = [];
const onFailed = (message: unknown) => events.push((message as { reason: string }).reason);
const onRecovered = () => events.push('recovered');

beforeEach(() => {
  events = [];
  warnings = [];
  subscribe('mssql-token-pool:token:store-failed', onFailed);
  subscribe('mssql-token-pool:token:store-recovered', onRecovered);
  vi.spyOn(process, 'emitWarning').mockImplementation((warning) => void warnings.push(String(warning)));
});
afterEach(() => {
  unsubscribe('mssql-token-pool:token:store-failed', onFailed);
  unsubscribe('mssql-token-pool:token:store-recovered', onRecovered);
  vi.restoreAllMocks();
});

function aProcess(store: MemoryStore, provider = new FakeProvider(), keys = KEY): TokenCache {
  return new TokenCache(provider, { tokenStore: encryptedTokenStore(store, { keys }).named('orders-api') });
}

/** Looks up the token while time passes; a token is always available. */
async function live(tokens: TokenCache, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 10_000) {
    expect(tokens.current()).toBeDefined();
    await clock.pass(10_000);
  }
}

test.each([
  ['reject', 'unreachable', 0],
  ['throw', 'unreachable', 0],
  ['hang', 'slow', 500],
] as const)(
  'a store whose calls %s costs at most its timeout, is reported once, and is used again when it recovers',
  async (fault, reason, costMs) => {
    const store = new MemoryStore();
    store.fault = fault;
    const provider = new FakeProvider();
    const tokens = aProcess(store, provider);
    const startedAt = performance.now();
    const taken = tokens.get().then((held) => [held.reveal(), performance.now() - startedAt]);
    await clock.pass(costMs);
    expect(await taken).toEqual(['token-1', costMs]);

    await live(tokens, 5 * HOUR);
    expect(events).toEqual([reason]);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/Tokens are requested without it/);

    store.fault = 'none';
    await live(tokens, HOUR);
    expect(events).toEqual([reason, 'recovered']);
    expect(store.values.size).toBe(1);

    store.fault = fault;
    await live(tokens, HOUR);
    expect(events).toEqual([reason, 'recovered', reason]);
    expect(warnings).toHaveLength(1);
  },
);

test('a store that accepts no values is reported once and does not affect logins', async () => {
  const store = new MemoryStore();
  vi.spyOn(store, 'set').mockRejectedValue(new Error('OOM command not allowed'));
  const tokens = aProcess(store);
  expect((await tokens.get()).reveal()).toBe('token-1');
  await clock.pass(0);
  expect(warnings.join()).toMatch(/OOM command not allowed/);
  expect(store.leases.size).toBe(0);
});

test('after a slow store, a slow provider still has its full ten seconds', async () => {
  const store = new MemoryStore();
  store.fault = 'hang';
  const provider = new FakeProvider();
  provider.delayMs = 9_900;
  const taken = aProcess(store, provider).get();
  await clock.pass(10_400);
  expect((await taken).reveal()).toBe('token-1');
});

test('an unreadable entry is reported once, not at each read', async () => {
  const store = new MemoryStore();
  await aProcess(store).get();
  await clock.pass(0);
  store.tamper((value) => `${value.slice(0, -8)}AAAAAAA=`);
  const set = vi.spyOn(store, 'set').mockResolvedValue();
  const tokens = aProcess(store);
  await tokens.get();
  await live(tokens, HOUR / 2);
  expect(events).toEqual(['unreadable-entry']);
  expect(warnings).toHaveLength(1);
  expect(set).toHaveBeenCalled();
});

test('reports errors of the store without secrets', async () => {
  const store = new MemoryStore();
  vi.spyOn(store, 'get').mockRejectedValue(new Error('connect redis://:x@host?password=Hunter2Hunter2 failed'));
  await aProcess(store).get();
  expect(warnings.join()).not.toContain('Hunter2');
});

test.each([
  ['fast', 2 * 60_000],
  ['slow', -2 * 60_000],
])(
  'if the clock of the process that got the token is %s, the token is not used beyond its lifetime, and this is reported once',
  async (_, aheadMs) => {
    const store = new MemoryStore();
    const truth = Date.now();
    clock.jump(aheadMs);
    await aProcess(store).get();
    await clock.pass(0);
    clock.jump(-aheadMs);
    const provider = new FakeProvider();
    const tokens = aProcess(store, provider);
    const held = await tokens.get();
    expect(provider.requests).toHaveLength(0);
    expect(held.expiresOn).toBeLessThanOrEqual(truth + HOUR);
    expect(held.expiresOn).toBeGreaterThanOrEqual(truth + HOUR - 2 * 60_000 - 1_000);
    await live(tokens, HOUR / 2);
    expect(events).toEqual(['clock-skew']);
    expect(warnings).toHaveLength(1);
  },
);

test('a process whose clock makes a shared token look expired gets its own', async () => {
  const store = new MemoryStore();
  await aProcess(store).get();
  await clock.pass(0);
  clock.jump(2 * HOUR);
  const provider = new FakeProvider();
  expect((await aProcess(store, provider).get()).expiresOn).toBe(Date.now() + HOUR);
  expect(provider.requests).toHaveLength(1);
});

import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, expect, type MockInstance, test, vi } from 'vitest';
import { encryptedTokenStore, type StoreKey, type StoreKeysFunction, TokenCache } from '../../src/index.js';
import { sleep } from '../../src/time.js';
import { clockPerTest } from '../support/clock-per-test.js';
import { FakeProvider } from './fake-provider.js';
import { MemoryStore } from './memory-store.js';

const clock = clockPerTest();
let warnings: MockInstance<typeof process.emitWarning>;

beforeEach(() => {
  warnings = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
});
afterEach(() => {
  vi.restoreAllMocks();
});

const [oldKey, newKey] = [randomBytes(32), randomBytes(32)];
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** A simulated process that reads its keys from a vault. */
function aProcess(store: MemoryStore, provider: FakeProvider, keys: StoreKeysFunction): TokenCache {
  return new TokenCache(provider, { tokenStore: encryptedTokenStore(store, { keys }).named('orders-api') });
}

/** Lets time pass while every process looks up its token, as busy pools do. */
async function live(processes: TokenCache[], ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 10_000) {
    for (const tokens of processes) tokens.current();
    await clock.pass(10_000);
  }
}

test('a fleet follows a rotation in the vault without a restart, with one request per token', async () => {
  const store = new MemoryStore();
  const provider = new FakeProvider(HOUR);
  let vault: StoreKey[] = [oldKey];
  const processes = Array.from({ length: 10 }, () => aProcess(store, provider, async () => vault));
  const taken = Promise.all(processes.map((tokens) => tokens.get()));
  await clock.pass(1_000);
  const first = await taken;
  expect(new Set(first.map((token) => token.reveal()))).toEqual(new Set(['token-1']));

  for (const [keys, tokens] of [
    [[oldKey, newKey], 2],
    [[newKey, oldKey], 3],
    [[newKey], 4],
  ] as const) {
    vault = [...keys];
    while (provider.requests.length < tokens) await live(processes, 10_000);
    await live(processes, 10 * MINUTE);
    expect(provider.requests).toHaveLength(tokens);
    expect(new Set(processes.map((each) => each.current()?.reveal()))).toEqual(new Set([`token-${tokens}`]));
  }
  expect(warnings).not.toHaveBeenCalled();
});

test('the function is called once for callers that arrive together, and again only after 5 minutes', async () => {
  const keys = vi.fn(async () => oldKey);
  const tokenStore = encryptedTokenStore(new MemoryStore(), { keys }).named('orders-api');
  const caches = Array.from({ length: 5 }, () => new TokenCache(new FakeProvider(), { tokenStore }));
  const taken = Promise.all(caches.map((tokens) => tokens.get()));
  await clock.pass(1_000);
  await taken;
  await clock.pass(4 * MINUTE);
  await new TokenCache(new FakeProvider(), { tokenStore }).get();
  expect(keys).toHaveBeenCalledTimes(1);
  await clock.pass(2 * MINUTE);
  await new TokenCache(new FakeProvider(), { tokenStore }).get();
  expect(keys).toHaveBeenCalledTimes(2);
});

test.each<[string, StoreKeysFunction]>([
  ['rejects', () => Promise.reject(new Error('403 from the vault'))],
  [
    'throws',
    () => {
      throw new Error('403 from the vault');
    },
  ],
  ['rejects with undefined', () => Promise.reject(undefined)],
  ['returns no key', async () => []],
  ['returns something that is not a key', async () => 'a password'],
  ['returns nothing', async () => undefined as never],
  ['never answers', () => new Promise(() => {})],
])('if the function %s, the token is requested without the store, within 5 s', async (_, keys) => {
  const store = new MemoryStore();
  let token: string | undefined;
  void aProcess(store, new FakeProvider(), keys)
    .get()
    .then((taken) => {
      token = taken.reveal();
    });
  await clock.pass(5_000);
  expect(token).toBe('token-1');
  expect(store.calls).toBe(0);
  await clock.pass(5_000);
  expect(warnings.mock.calls.map(([text]) => text)).toEqual([expect.stringMatching(/is not used: `keys` failed/)]);
});

test('a vault that recovers is read again within a minute', async () => {
  const store = new MemoryStore();
  let isDown = true;
  const keys: StoreKeysFunction = async () => {
    if (isDown) throw new Error('503');
    return oldKey;
  };
  const tokenStore = encryptedTokenStore(store, { keys }).named('orders-api');
  await new TokenCache(new FakeProvider(), { tokenStore }).get();
  isDown = false;
  await clock.pass(30_000);
  await new TokenCache(new FakeProvider(), { tokenStore }).get();
  expect(store.values.size).toBe(0);
  await clock.pass(31_000);
  await new TokenCache(new FakeProvider(), { tokenStore }).get();
  expect(store.values.size).toBe(1);
});

test('keys that were read once remain in use while the vault is down', async () => {
  const store = new MemoryStore();
  const provider = new FakeProvider();
  let isDown = false;
  const keys: StoreKeysFunction = async () => {
    if (isDown) throw new Error('503');
    return oldKey;
  };
  const tokenStore = encryptedTokenStore(store, { keys }).named('orders-api');
  await new TokenCache(provider, { tokenStore }).get();
  await clock.settle();
  isDown = true;
  await clock.pass(6 * MINUTE);
  expect((await new TokenCache(provider, { tokenStore }).get()).reveal()).toBe('token-1');
  expect(provider.requests).toHaveLength(1);
  expect(warnings.mock.calls.map(([text]) => text)).toEqual([
    expect.stringMatching(/continues with the keys that it has: `keys` failed/),
  ]);
});

test('only the first caller waits for a function that hangs', async () => {
  const tokenStore = encryptedTokenStore(new MemoryStore(), { keys: () => new Promise(() => {}) }).named('orders-api');
  const first = new TokenCache(new FakeProvider(), { tokenStore }).get();
  await clock.pass(5_000);
  await first;
  let served = false;
  void new TokenCache(new FakeProvider(), { tokenStore }).get().then(() => {
    served = true;
  });
  await clock.settle();
  expect(served).toBe(true);
});

test('a vault that becomes slow delays a refresh by at most 5 s; the keys are used once they arrive', async () => {
  const store = new MemoryStore();
  let answerAfterMs = 0;
  const keys: StoreKeysFunction = async () => {
    await sleep(answerAfterMs);
    return answerAfterMs === 0 ? oldKey : [newKey, oldKey];
  };
  const tokenStore = encryptedTokenStore(store, { keys }).named('orders-api');
  const first = new TokenCache(new FakeProvider(), { tokenStore }).get();
  await clock.pass(1_000);
  await first;
  answerAfterMs = 8_000;
  await clock.pass(6 * MINUTE);
  store.values.clear();
  const second = new TokenCache(new FakeProvider(), { tokenStore }).get();
  await clock.pass(5_000);
  await second;
  const [underOldKey] = store.values.keys();
  await clock.pass(4_000);
  store.values.clear();
  await new TokenCache(new FakeProvider(), { tokenStore }).get();
  await clock.settle();
  expect(underOldKey).toBeDefined();
  expect([...store.values.keys()]).not.toContain(underOldKey);
});

test.each<[string, (timeoutMs: number) => Promise<unknown>]>([
  [
    'a function for keys that hangs',
    (timeoutMs) =>
      aProcess(new MemoryStore(), new FakeProvider(), () => new Promise(() => {})).get(undefined, { timeoutMs }),
  ],
  [
    'a lease that is always taken',
    (timeoutMs) => {
      const store = new MemoryStore();
      store.lease = async () => undefined;
      return aProcess(store, new FakeProvider(), () => oldKey).get(undefined, { timeoutMs });
    },
  ],
])('with %s, a caller of the cache that waits for 2 s gets its token after half of that', async (_, get) => {
  let outcome = 'waits';
  void get(2_000).then(
    () => {
      outcome = 'served';
    },
    () => {
      outcome = 'failed';
    },
  );
  await clock.pass(1_200);
  expect(outcome).toBe('served');
});

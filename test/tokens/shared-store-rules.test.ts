import { randomBytes } from 'node:crypto';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { encryptedTokenStore, TokenCache } from '../../src/index.js';
import { CachedToken } from '../../src/tokens/cached-token.js';
import type { CredentialRequest } from '../../src/tokens/credential-request.js';
import type { TokenEncryptionOptions } from '../../src/tokens/encrypted-token-store.js';
import { StoreHealth } from '../../src/tokens/store-health.js';
import { clockPerTest } from '../support/clock-per-test.js';
import { FakeProvider } from './fake-provider.js';
import { MemoryStore } from './memory-store.js';

const clock = clockPerTest();

const KEY = randomBytes(32);
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const REQUEST: CredentialRequest = { identity: 'orders', scope: 'https://database.windows.net/.default' };

let warnings: unknown[][] = [];

beforeEach(() => {
  warnings = [];
  vi.spyOn(process, 'emitWarning').mockImplementation((...call: unknown[]) => void warnings.push(call));
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** A token as returned by a credential, valid for about an hour. */
function answer(token: string, lifeMs = HOUR): CachedToken {
  return new CachedToken({ token, expiresOnTimestamp: Date.now() + lifeMs });
}

function held(token: string, lifeMs = HOUR): CachedToken {
  const now = Date.now();
  return new CachedToken({ token, expiresOnTimestamp: now + lifeMs }, { obtainedAt: now, refreshOn: now + lifeMs / 2 });
}

/** The token that a process gets, and whether it had to request it. */
function aProcess(store: MemoryStore, options: Partial<TokenEncryptionOptions> = {}) {
  const named = encryptedTokenStore(store, { keys: KEY, ...options }).named('orders-api');
  return async (token: string | CachedToken, request: Partial<CredentialRequest> = {}, takesMs = 0) => {
    const ask = vi.fn(async () => {
      const asked = typeof token === 'string' ? answer(token) : token;
      if (takesMs > 0) await new Promise((resolve) => setTimeout(resolve, takesMs));
      return asked;
    });
    const got = await named.obtain(new FakeProvider(), { ...REQUEST, ...request }, ask);
    await clock.pass(0);
    return {
      token: got.reveal(),
      expiresOn: got.expiresOn,
      obtainedAt: got.obtainedAt,
      refreshAfter: got.refreshAfter,
      fromStore: got.fromStore,
      asked: ask.mock.calls.length,
    };
  };
}

test.each([0, -1, Number.NaN, 2 ** 31])("a time of %s ms is rejected with the option's name", (ms) => {
  for (const name of ['leaseMs', 'timeoutMs']) {
    expect(() => encryptedTokenStore(new MemoryStore(), { keys: KEY, [name]: ms })).toThrow(
      expect.objectContaining({
        code: 'ERR_CONFIGURATION',
        message: `'${name}' must be a number of ms greater than 0.`,
      }),
    );
  }
  expect(() => encryptedTokenStore(new MemoryStore(), { keys: KEY, leaseMs: 1, timeoutMs: 2 ** 31 - 1 })).not.toThrow();
});

test.each([undefined, null, {}, { obtain() {} }, { keyOf() {} }])(
  '%j is rejected as a store for a cache',
  (tokenStore) => {
    const make = () => new TokenCache(new FakeProvider()).shareThrough(tokenStore as never);
    expect(make).toThrow(
      expect.objectContaining({
        message: "'tokenStore' must be created by redisTokenStore() or encryptedTokenStore().",
        hint: expect.stringContaining('encryptedTokenStore(yourStore, { keys })'),
      }),
    );
  },
);

test.each([undefined, null])('%s is rejected as a store to encrypt', (store) => {
  expect(() => encryptedTokenStore(store as never, { keys: KEY })).toThrow("'get' is missing");
});

test('the name of an identity must be a string', () => {
  for (const name of ['', 5, undefined]) {
    expect(() => encryptedTokenStore(new MemoryStore(), { keys: KEY }).named(name as string)).toThrow(/non-empty/);
  }
  expect(() =>
    new TokenCache(new FakeProvider()).shareThrough(encryptedTokenStore(new MemoryStore(), { keys: KEY })),
  ).toThrow(expect.objectContaining({ hint: expect.stringContaining("store.named('orders-api')") }));
});

test('requests a token each time for a credential without a name, and does not use the store', async () => {
  const store = new MemoryStore();
  const unnamed = encryptedTokenStore(store, { keys: KEY });
  const got = await unnamed.obtain(new FakeProvider(), REQUEST, async () => answer('own'));
  expect(got.reveal()).toBe('own');
  expect(store.calls).toBe(0);
});

test('a caller that needs a token reads, takes the lease, reads again, requests, and shares the token', async () => {
  const store = new MemoryStore();
  const calls: string[] = [];
  for (const name of ['get', 'lease', 'set'] as const) {
    const call = store[name].bind(store) as (...args: unknown[]) => never;
    vi.spyOn(store, name).mockImplementation((...args: unknown[]) => {
      calls.push(name);
      return call(...args);
    });
  }
  const first = await aProcess(store)(
    new CachedToken({
      token: 'one',
      expiresOnTimestamp: Date.now() + HOUR,
      refreshAfterTimestamp: Date.now() + 40 * MINUTE,
    }),
  );
  expect(first).toMatchObject({ token: 'one', asked: 1, fromStore: false });
  expect(calls).toEqual(['get', 'lease', 'get', 'set']);
  calls.length = 0;
  const { asked, ...second } = await aProcess(store)('two');
  expect(asked).toBe(0);
  const { asked: _, ...original } = first;
  expect(second).toEqual({ ...original, fromStore: true });
  expect(calls).toEqual(['get']);
  expect(warnings).toEqual([]);
  expect(clock.pending.size).toBe(0);
});

test('uses a token that arrives between the read and the lease, and releases the lease', async () => {
  const store = new MemoryStore();
  const lease = store.lease.bind(store);
  vi.spyOn(store, 'lease').mockImplementationOnce(async (...args) => {
    await aProcess(store)('theirs');
    return lease(...args);
  });
  expect(await aProcess(store)('mine')).toMatchObject({ token: 'theirs', asked: 0, fromStore: true });
  expect(store.leases.size).toBe(0);
});

test('a store that grants no lease is bypassed', async () => {
  const store = new MemoryStore();
  vi.spyOn(store, 'lease').mockRejectedValue(new Error('READONLY'));
  const set = vi.spyOn(store, 'set');
  expect(await aProcess(store)('own')).toMatchObject({ token: 'own', asked: 1 });
  expect(set).not.toHaveBeenCalled();
});

test("waits for another process's lease with growing pauses and jitter, until the token is available", async () => {
  const store = new MemoryStore();
  const get = vi.spyOn(store, 'get');
  void aProcess(store)('theirs', {}, 2_000);
  await clock.pass(0);
  get.mockClear();
  vi.spyOn(Math, 'random').mockReturnValue(1);
  const mine = aProcess(store)('mine');
  await clock.pass(49);
  expect(get).toHaveBeenCalledTimes(1);
  await clock.pass(1);
  expect(get).toHaveBeenCalledTimes(2);
  await clock.pass(2_500);
  expect(await mine).toMatchObject({ token: 'theirs', asked: 0 });
});

test("a wait for another process's lease ends when its request is abandoned", async () => {
  const store = new MemoryStore();
  void aProcess(store)('theirs', {}, 4_000);
  await clock.pass(0);
  const abort = new AbortController();
  const mine = aProcess(store)('mine', { abortSignal: abort.signal }).catch((error: Error) => error.message);
  await clock.pass(100);
  abort.abort(new Error('given up'));
  await clock.pass(500);
  expect(await mine).toBe('given up');
});

test.each([
  ['a later', 2 * HOUR, 'slow'],
  ['an earlier', HOUR / 2, 'quick'],
])('after its lease %s token than that of another process: %s', async (_, lifeMs, kept) => {
  const store = new MemoryStore();
  const slow = aProcess(store)(answer('slow', lifeMs), {}, 6_000);
  await clock.pass(5_100);
  const quick = aProcess(store)('quick');
  await clock.pass(2_000);
  expect([(await slow).token, (await quick).token]).toEqual(['slow', 'quick']);
  expect(await aProcess(store)('none')).toMatchObject({ token: kept, asked: 0 });
});

test.each(['works', 'reject'] as const)(
  'a late answer is shared if no other process has one (the next read: %s)',
  async (look) => {
    const store = new MemoryStore();
    const slow = aProcess(store)('slow', {}, 6_000);
    await clock.pass(5_500);
    if (look === 'reject') vi.spyOn(store, 'get').mockRejectedValueOnce(new Error('LOADING'));
    await clock.pass(1_000);
    expect((await slow).token).toBe('slow');
    expect(await aProcess(store)('none')).toMatchObject({ token: 'slow', asked: 0 });
  },
);

test('a store that fails after granting a lease does not stop the request', async () => {
  const store = new MemoryStore();
  const get = vi.spyOn(store, 'get');
  vi.spyOn(store, 'lease').mockImplementation(async () => {
    get.mockRejectedValueOnce(new Error('LOADING'));
    return async () => {};
  });
  expect(await aProcess(store)('own')).toMatchObject({ token: 'own', asked: 1 });
});

test.each([0, -MINUTE])('an expired token (%d ms left) is not shared', async (lifeMs) => {
  const store = new MemoryStore();
  const set = vi.spyOn(store, 'set');
  await aProcess(store)(answer('ended', lifeMs));
  expect(set).not.toHaveBeenCalled();
});

test('of tokens under several keys, the latest is used', async () => {
  const [one, other] = [randomBytes(32), randomBytes(32)];
  const store = new MemoryStore();
  await aProcess(store, { keys: one })(answer('earlier', HOUR));
  await aProcess(store, { keys: other })(answer('later', HOUR + MINUTE));
  for (const keys of [
    [one, other],
    [other, one],
  ]) {
    expect(await aProcess(store, { keys })('none')).toMatchObject({ token: 'later', asked: 0 });
  }
});

test('a token requested by a claims challenge has its own entry', async () => {
  const store = new MemoryStore();
  expect((await aProcess(store)('plain')).token).toBe('plain');
  expect((await aProcess(store)('one', { claims: '{"nbf":1}' })).token).toBe('one');
  expect((await aProcess(store)('two', { claims: '{"nbf":2}' })).token).toBe('two');
  expect((await aProcess(store)('none', { claims: '{"nbf":1}' })).token).toBe('one');
});

test('a token from the store is used only if it is later than the cached or refused one', async () => {
  const store = new MemoryStore();
  await aProcess(store)('stored');
  const shorter = held('shorter', HOUR / 2);
  const asLong = held('as long', HOUR);
  const longer = held('longer', 2 * HOUR);
  const get = async (request: Partial<CredentialRequest>) => {
    const copy = new MemoryStore();
    for (const [name, kept] of store.values) copy.values.set(name, kept);
    return (await aProcess(copy)('asked for', request)).token;
  };
  expect(await get({})).toBe('stored');
  expect(await get({ cached: shorter })).toBe('stored');
  expect(await get({ cached: asLong })).toBe('asked for');
  expect(await get({ cached: longer })).toBe('asked for');
  expect(await get({ cached: longer, refusedId: longer.id })).toBe('stored');
  expect(await get({ cached: longer, refusedId: shorter.id })).toBe('asked for');
  expect(await get({ cached: held('stored', HOUR / 2) })).toBe('asked for');
  expect(await get({ refusedId: held('stored').id })).toBe('asked for');
});

test('a token inside its eviction margin is not shared', async () => {
  const store = new MemoryStore();
  await aProcess(store)('stored');
  await clock.pass(55 * MINUTE - 1);
  expect((await aProcess(store)('none')).token).toBe('stored');
  await clock.pass(1);
  expect((await aProcess(store)('asked for')).token).toBe('asked for');
});

test('clocks are not compared with a store that does not report the remaining life of an entry', async () => {
  const store = new MemoryStore();
  const get = store.get.bind(store);
  vi.spyOn(store, 'get').mockImplementation(async (name) => {
    const kept = await get(name);
    return kept && { value: kept.value, ttlMs: undefined };
  });
  await aProcess(store)('stored');
  const truth = Date.now();
  clock.jump(10 * MINUTE);
  expect(await aProcess(store)('none')).toMatchObject({ token: 'stored', expiresOn: truth + HOUR });
  expect(warnings).toEqual([]);
});

test.each([
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  -1,
  0,
  1e300,
  '3600000',
  'soon',
  null,
  {},
  [],
  true,
])('a store that reports %s as the remaining life of an entry fails no request', async (ttlMs) => {
  const store = new MemoryStore();
  await aProcess(store)('stored');
  const get = store.get.bind(store);
  vi.spyOn(store, 'get').mockImplementation(async (name) => {
    const kept = await get(name);
    return kept && { value: kept.value, ttlMs: ttlMs as number };
  });
  const { token, expiresOn } = await aProcess(store)('asked for');
  expect(['stored', 'asked for']).toContain(token);
  expect(Math.abs(expiresOn - Date.now() - HOUR)).toBeLessThan(MINUTE);
});

test.each([
  [30_000, undefined],
  [30_001, -30],
  [-30_001, 30],
  [MINUTE, -60],
])('clocks that are %d ms apart: said to be %s s off', async (ms, apart) => {
  const store = new MemoryStore();
  await aProcess(store)('stored');
  clock.jump(ms);
  await aProcess(store)('none');
  const said = `The shared token store is not used: the clocks of two machines differ (The clock of another process differs by ${apart} s.). Tokens are requested without it.`;
  expect(warnings.map(([text]) => text)).toEqual(apart === undefined ? [] : [said]);
});

test('a warning has its own code and says what happened', async () => {
  const store = new MemoryStore();
  store.fault = 'hang';
  const got = aProcess(store, { timeoutMs: 77 })('own');
  await clock.pass(100);
  await got;
  expect(warnings).toEqual([
    [
      expect.stringContaining('it does not answer in time (No answer within 77 ms.)'),
      { type: 'TokenStoreWarning', code: 'MSSQL_TOKEN_POOL_STORE' },
    ],
  ]);
});

test('a recovery is published as an event, and a working store leaves no timer behind', async () => {
  const events: unknown[] = [];
  const onRecovered = (message: unknown) => events.push(message);
  subscribe('mssql-token-pool:token:store-recovered', onRecovered);
  const health = new StoreHealth(500);
  expect(await health.run(async () => 1)).toBe(1);
  expect(events).toEqual([]);
  expect(await health.run(() => Promise.reject(new Error('down')))).toBe('store-failed');
  expect(await health.run(async () => undefined)).toBeUndefined();
  unsubscribe('mssql-token-pool:token:store-recovered', onRecovered);
  expect(events).toEqual([expect.any(Object)]);
  expect(clock.pending.size).toBe(0);
});

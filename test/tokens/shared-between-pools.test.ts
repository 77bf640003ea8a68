import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import {
  createCredential,
  encryptedTokenStore,
  sharedTokenCache,
  TokenCache,
  type TokenCredential,
} from '../../src/index.js';
import { MemoryStore } from './memory-store.js';

function credential(): TokenCredential & { asked: number } {
  const self = {
    asked: 0,
    async getToken() {
      self.asked += 1;
      await sleep(5);
      return { token: `token-${self.asked}`, expiresOnTimestamp: Date.now() + 3_600_000 };
    },
  };
  return self;
}

test('one credential has one cache and makes one request', async () => {
  const one = credential();
  expect(sharedTokenCache(one)).toBe(sharedTokenCache(one));
  await Promise.all([sharedTokenCache(one).get(), sharedTokenCache(one).get()]);
  expect(one.asked).toBe(1);
});

test('a copy of a credential object has its own cache, because its function may read other fields of the copy', () => {
  const one = credential();
  expect(sharedTokenCache({ ...one })).not.toBe(sharedTokenCache(one));
});

test('a copy of one of our credentials shares its cache', () => {
  const one = createCredential(async () => 'token');
  expect(sharedTokenCache({ ...one })).toBe(sharedTokenCache(one));
});

test('two credentials have two caches', () => {
  expect(sharedTokenCache(credential())).not.toBe(sharedTokenCache(credential()));
});

test.each([{}, undefined, null])('a value without getToken (%j) is rejected at once, with a hint', (nothing) => {
  for (const make of [sharedTokenCache, (credential: TokenCredential) => new TokenCache(credential)]) {
    expect(() => make(nothing as unknown as TokenCredential)).toThrow(/getToken/);
  }
  expect(() => new TokenCache(nothing as unknown as TokenCredential)).toThrow(
    expect.objectContaining({ code: 'ERR_CONFIGURATION', hint: expect.stringContaining('createCredential()') }),
  );
});

test('uses the store of the first pool that has one, regardless of what created the cache', async () => {
  const one = credential();
  const [first, second] = [new MemoryStore(), new MemoryStore()];
  const named = (store: MemoryStore) => encryptedTokenStore(store, { keys: randomBytes(32) }).named('orders-api');
  const cache = sharedTokenCache(one);
  sharedTokenCache(one, { tokenStore: named(first) });
  sharedTokenCache(one, { tokenStore: named(second) });
  sharedTokenCache(one, {});
  await cache.get();
  await expect.poll(() => first.values.size).toBe(1);
  expect(second.calls).toBe(0);
});

test('a later pool cannot add a store that does not encrypt', () => {
  const one = credential();
  sharedTokenCache(one);
  expect(() => sharedTokenCache(one, { tokenStore: new MemoryStore() as never })).toThrow(/encryptedTokenStore/);
});

test('the first options take precedence', async () => {
  const asked: unknown[] = [];
  const one: TokenCredential = {
    async getToken(scope) {
      asked.push(scope);
      return { token: 'one', expiresOnTimestamp: Date.now() + 3_600_000 };
    },
  };
  const cache = sharedTokenCache(one, { scope: 'https://a/.default' });
  expect(sharedTokenCache(one, { scope: 'https://b/.default' })).toBe(cache);
  await cache.get();
  expect(asked).toEqual(['https://a/.default']);
});

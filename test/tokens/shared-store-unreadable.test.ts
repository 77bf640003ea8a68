import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { encryptedTokenStore, TokenCache } from '../../src/index.js';
import { FakeProvider } from './fake-provider.js';
import { MemoryStore } from './memory-store.js';

beforeEach(() => {
  vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
});
afterEach(() => {
  vi.restoreAllMocks();
});

const [oldKey, newKey] = [randomBytes(32), randomBytes(32)];

async function takes(store: MemoryStore, provider: FakeProvider, keys: Buffer[], name = 'orders-api'): Promise<string> {
  const tokenStore = encryptedTokenStore(store, { keys }).named(name);
  const held = await new TokenCache(provider, { tokenStore }).get();
  // The others get it a moment later.
  await new Promise((resolve) => setImmediate(resolve));
  return held.reveal();
}

test('the store contains no readable token, name, identity or scope', async () => {
  const store = new MemoryStore();
  await takes(store, new FakeProvider(), [oldKey]);
  const [[name, { value }] = ['', { value: '' }]] = [...store.values];
  for (const text of [name, value, Buffer.from(value, 'base64').toString('latin1')]) {
    expect(text).not.toMatch(/token-1|orders|database|windows|expires|named/);
  }
});

test('two entries of one token share no bytes', async () => {
  const [one, other] = [new MemoryStore(), new MemoryStore()];
  const provider = new FakeProvider();
  provider.sticky = provider.issue();
  await takes(one, provider, [oldKey]);
  await takes(other, provider, [oldKey]);
  const [a, b] = [one, other].map((store) => Buffer.from([...store.values.values()][0]?.value ?? '', 'base64'));
  expect(a?.subarray(1)).toHaveLength((b?.length ?? 0) - 1);
  expect(a?.subarray(1, 40).equals(b?.subarray(1, 40) as Buffer)).toBe(false);
});

test('a process with another key reads nothing and does not interfere', async () => {
  const store = new MemoryStore();
  const provider = new FakeProvider();
  expect(await takes(store, provider, [oldKey])).toBe('token-1');
  expect(await takes(store, provider, [newKey])).toBe('token-2');
  expect(await takes(store, provider, [oldKey])).toBe('token-1');
});

test('keys rotate without a token request: [old], [old, new], [new, old], [new]', async () => {
  const store = new MemoryStore();
  const provider = new FakeProvider();
  expect(await takes(store, provider, [oldKey])).toBe('token-1');
  expect(await takes(store, provider, [oldKey, newKey])).toBe('token-1');
  expect(await takes(store, provider, [newKey, oldKey])).toBe('token-1');
  store.values.clear();
  expect(await takes(store, provider, [newKey, oldKey])).toBe('token-2');
  expect(await takes(store, provider, [oldKey, newKey])).toBe('token-2');
  expect(await takes(store, provider, [newKey])).toBe('token-2');
});

test('P9: an entry moved to the name of another identity is not served', async () => {
  const store = new MemoryStore();
  await takes(store, new FakeProvider(), [oldKey], 'alice');
  const [alice = ''] = [...store.values.keys()];
  await takes(store, new FakeProvider(), [oldKey], 'bob');
  const bob = [...store.values.keys()].find((name) => name !== alice) ?? '';
  store.values.set(bob, store.values.get(alice) as { value: string; endsAt: number });
  const provider = new FakeProvider();
  expect(await takes(store, provider, [oldKey], 'bob')).toBe('token-1');
  expect(provider.requests).toHaveLength(1);
});

test('an entry with any byte changed, or truncated at any length, is not served; the correct one replaces it', async () => {
  const store = new MemoryStore();
  const provider = new FakeProvider();
  await takes(store, provider, [oldKey]);
  const [[name, kept]] = [...store.values] as [[string, { value: string; endsAt: number }]];
  const whole = Buffer.from(kept.value, 'base64');
  const wrong = [
    ...Array.from(whole, (byte, i) => Buffer.from(whole).fill(byte ^ (1 << (i % 8)), i, i + 1)),
    ...Array.from(whole, (_, length) => whole.subarray(0, length)),
  ].map((bytes) => bytes.toString('base64'));
  for (const value of [...wrong, 'null', '{"token":"mine"}', '\u0000', 'A'.repeat(100_000)]) {
    store.values.set(name, { ...kept, value });
    const requests = provider.requests.length;
    expect(await takes(store, provider, [oldKey])).toBe(`token-${requests + 1}`);
    expect(provider.requests).toHaveLength(requests + 1);
  }
  const requests = provider.requests.length;
  expect(await takes(store, provider, [oldKey])).toBe(`token-${requests}`);
});

test.each([
  ['none', []],
  ['31 bytes', randomBytes(31)],
  ['a password', 'correct horse battery staple'],
  ['no key', undefined],
  ['hex of 31 bytes', randomBytes(31).toString('hex')],
])('%s is not a key', (_, keys) => {
  expect(() => encryptedTokenStore(new MemoryStore(), { keys: keys as Buffer })).toThrow(/key/);
});

test('a key can be bytes, base64, base64url or hex', async () => {
  const store = new MemoryStore();
  const provider = new FakeProvider();
  for (const key of [oldKey, ...(['base64', 'base64url', 'hex'] as const).map((form) => oldKey.toString(form))]) {
    const tokenStore = encryptedTokenStore(store, { keys: key }).named('orders-api');
    expect((await new TokenCache(provider, { tokenStore }).get()).reveal()).toBe('token-1');
    await new Promise((resolve) => setImmediate(resolve));
  }
});

test('a store without encryption is rejected', () => {
  const tokenStore = new MemoryStore() as never;
  expect(() => new TokenCache(new FakeProvider(), { tokenStore })).toThrow(
    /redisTokenStore\(\) or encryptedTokenStore/,
  );
  expect(() => encryptedTokenStore({} as never, { keys: oldKey })).toThrow(/'get' is missing/);
});

test('printing a config with a store does not show the key', () => {
  const tokenStore = encryptedTokenStore(new MemoryStore(), { keys: oldKey });
  const text = inspect({ tokenStore }, { depth: 10, showHidden: true }) + JSON.stringify({ tokenStore });
  expect(text).not.toContain(oldKey.toString('hex').slice(0, 12));
  expect(text).not.toMatch(/Buffer|KeyObject/);
});

describe('an adapter that does not return what it should', () => {
  const secret = 'what-the-store-holds';
  test.each<[string, object, RegExp]>([
    ['get: text', { get: async () => secret }, /get\(\) must resolve to \{ value, ttlMs \}.*a value of type string/],
    ['get: a number', { get: async () => 5 }, /a value of type number/],
    ['get: bytes', { get: async () => Buffer.from(secret) }, /an object whose value is undefined/],
    ['get: bytes as the value', { get: async () => ({ value: Buffer.from(secret) }) }, /whose value is bytes/],
    ['get: a list', { get: async () => [secret, 5] }, /an object whose value is undefined/],
    ['get: an object of its own', { get: async () => ({ token: secret }) }, /an object whose value is undefined/],
    ['lease: true', { lease: async () => true }, /lease\(\) must resolve to a function.*a value of type boolean/],
    ['lease: false', { lease: async () => false }, /a value of type boolean/],
    ['lease: a text', { lease: async () => 'OK' }, /a value of type string/],
    ['lease: an object', { lease: async () => ({ release: async () => {} }) }, /a value of type object/],
    ['lease: true, without a promise', { lease: () => true }, /a value of type boolean/],
  ])('%s is reported as such, and the token is requested without the store', async (_, methods, message) => {
    const store = Object.assign(new MemoryStore(), methods);
    expect(await takes(store, new FakeProvider(), [oldKey])).toBe('token-1');
    const texts = vi.mocked(process.emitWarning).mock.calls.map(([text]) => String(text));
    expect(texts).toEqual([expect.stringMatching(/is not used: its adapter does not return what it should/)]);
    expect(texts[0]).toMatch(message);
    expect(texts[0]).not.toContain(secret);
  });

  test('null from either means undefined', async () => {
    const store = Object.assign(new MemoryStore(), { get: async () => null });
    expect(await takes(store as never, new FakeProvider(), [oldKey])).toBe('token-1');
    expect(process.emitWarning).not.toHaveBeenCalled();
  });
});

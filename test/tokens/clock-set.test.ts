import { beforeEach, expect, test } from 'vitest';
import { encryptedTokenStore, TokenCache, TokenUnavailableError } from '../../src/index.js';
import { CachedToken } from '../../src/tokens/cached-token.js';
import { clockPerTest } from '../support/clock-per-test.js';
import { FakeProvider } from './fake-provider.js';
import { MemoryStore } from './memory-store.js';

const clock = clockPerTest();

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

let provider: FakeProvider;
let tokens: TokenCache;

beforeEach(() => {
  provider = new FakeProvider();
  tokens = new TokenCache(provider);
});

/** Sets the wall clock; monotonic time is unaffected. */
function setClock(ms: number): void {
  clock.jump(ms);
}

/** Lets time pass while a pool looks up its token ten times per second. */
async function pass(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 100) {
    tokens.current();
    await clock.pass(100);
  }
}

test.each([[-HOUR], [-24 * HOUR], [-MINUTE]])(
  'a wall clock set by %d ms does not prolong a token that cannot be refreshed',
  async (ms) => {
    const token = await tokens.get();
    provider.sticky = new Error('HTTP 503');
    await clock.pass(30 * MINUTE);
    setClock(ms);
    await clock.pass(29 * MINUTE - 1);
    expect(tokens.peek()).toBe(token);
    expect(tokens.current()).toBe(token);
    expect(token.remainingMs()).toBe(MINUTE + 1);
    await clock.pass(1);
    expect(tokens.peek()).toBeUndefined();
    expect(tokens.current()).toBeUndefined();
    await expect(tokens.get()).rejects.toMatchObject({ code: 'ERR_TOKEN_UNAVAILABLE' });
  },
);

test.each([-HOUR, -5 * MINUTE, 5 * MINUTE, HOUR, 24 * HOUR])(
  'a wall clock set by %d ms causes at most two requests per minute',
  async (ms) => {
    await tokens.get();
    await pass(10 * MINUTE);
    const before = provider.requests.length;
    setClock(ms);
    await pass(10 * MINUTE);
    expect(provider.requests.length - before).toBeLessThanOrEqual(20);
    expect(provider.mostInFlight).toBe(1);
  },
);

test('after the clock is set back by an hour, the next token replaces the old one although its expiry date is earlier', async () => {
  const old = await tokens.get();
  await clock.pass(30 * MINUTE);
  setClock(-HOUR);
  await clock.pass(old.refreshOn - old.now());
  tokens.current();
  await clock.pass(0);
  const next = tokens.current();
  expect(next?.reveal()).toBe('token-2');
  expect(next?.expiresOn).toBeLessThan(old.expiresOn);
  expect(next?.remainingMs()).toBe(HOUR);
});

test.each([2 * HOUR, 24 * HOUR])(
  'P4: a clock that is set ahead by %d ms and corrected: the token is served again although its refresh has failed',
  async (ms) => {
    const token = await tokens.get();
    provider.sticky = new Error('HTTP 503');
    setClock(ms);
    await expect(tokens.get()).rejects.toMatchObject({ code: 'ERR_TOKEN_UNAVAILABLE' });
    setClock(-ms);
    expect(tokens.peek()).toBe(token);
    expect(tokens.current()).toBe(token);
    expect(await tokens.get()).toBe(token);
    expect(await tokens.getToken()).toMatchObject({ token: token.reveal() });
    expect(provider.requests).toHaveLength(2);
  },
);

test.each(['fails', 'hangs'])(
  'P4: a clock that is corrected while a caller waits for a refresh, which %s: the caller gets the token',
  async (outcome) => {
    const token = await tokens.get();
    provider.delayMs = 1_000;
    provider.sticky = outcome === 'hangs' ? 'hang' : new Error('HTTP 503');
    setClock(2 * HOUR);
    const waiting = tokens.get();
    await clock.pass(100);
    setClock(-2 * HOUR);
    await clock.pass(10_000);
    expect(await waiting).toBe(token);
    expect(tokens.status().failure).toBeInstanceOf(TokenUnavailableError);
  },
);

test('after a suspend, the token has its real age', async () => {
  const token = await tokens.get();
  setClock(59 * MINUTE);
  expect(token.remainingMs()).toBe(MINUTE);
  expect(tokens.peek()).toBeUndefined();
});

test('a momentarily wrong clock causes no request', async () => {
  const token = await tokens.get();
  setClock(HOUR);
  expect(tokens.peek()).toBeUndefined();
  setClock(-HOUR);
  expect(tokens.peek()).toBe(token);
});

test('a token that is returned again after the clock is set back keeps its remaining lifetime', async () => {
  const issued = provider.issue();
  provider.sticky = issued;
  const token = await tokens.get();
  await clock.pass(50 * MINUTE);
  setClock(-HOUR);
  tokens.current();
  await clock.pass(0);
  expect(tokens.current()).toBe(token);
  expect(token.remainingMs()).toBe(10 * MINUTE);
  await clock.pass(9 * MINUTE);
  expect(tokens.current()).toBeUndefined();
});

test('a slow clock does not prolong a token beyond the lifetime in its claims', async () => {
  const now = Date.now() / 1000;
  // This machine is two hours behind the issuer.
  const claims = { iat: now + 7_200, exp: now + 7_200 + 3_600 };
  const token = `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.sig`;
  const slow = new TokenCache({ getToken: async () => ({ token, expiresOnTimestamp: claims.exp * 1000 }) });
  expect((await slow.get()).remainingMs()).toBe(HOUR);
});

test.each([
  ['has no issue time', { exp: 1_900_000_000 }],
  ['ends before it begins', { iat: 2_000_000_000, exp: 1_900_000_000 }],
  ['lives for longer', { iat: 1_000_000_000, exp: 1_900_000_000 }],
])('a token that %s is believed by its expiry', async (_, claims) => {
  const token = `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.sig`;
  const cache = new TokenCache({ getToken: async () => ({ token, expiresOnTimestamp: Date.now() + HOUR }) });
  expect((await cache.get()).remainingMs()).toBe(HOUR);
});

test('both clock readings can be passed in, so that a caller reads each clock once', () => {
  const token = new CachedToken({ token: 't', expiresOnTimestamp: Date.now() + HOUR });
  const [wall, monotonic] = [Date.now(), performance.now()];
  expect(token.now(wall + 5, monotonic)).toBe(wall + 5);
  expect(token.now(wall, monotonic + 7)).toBe(wall + 7);
  expect(token.remainingMs(wall - HOUR, monotonic + MINUTE)).toBe(59 * MINUTE);
  expect(token.isUsable(wall, monotonic + 59 * MINUTE - 1)).toBe(true);
  expect(token.isUsable(wall, monotonic + 59 * MINUTE)).toBe(false);
});

test('a shared token is compared by remaining time, not by date', async () => {
  const store = new MemoryStore();
  const shared = () => encryptedTokenStore(store, { keys: Buffer.alloc(32, 1) }).named('orders-api');
  tokens = new TokenCache(provider, { tokenStore: shared() });
  const old = await tokens.get();
  await clock.pass(20 * MINUTE);
  setClock(-HOUR);
  await clock.pass(old.refreshOn - old.now());
  const other = await new TokenCache(provider, { tokenStore: shared() }).get();
  expect(other.remainingMs()).toBe(old.remainingMs());
  tokens.current();
  await clock.pass(100);
  expect(tokens.current()?.reveal()).toBe('token-2');
});

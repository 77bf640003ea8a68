import { describe, expect, test } from 'vitest';
import { TokenCache } from '../../src/index.js';
import { clockPerTest } from '../support/clock-per-test.js';
import { FakeProvider } from './fake-provider.js';

const clock = clockPerTest();

const HOUR = 3_600_000;
const MINUTE = 60_000;

async function until(time: number): Promise<void> {
  await clock.pass(time - Date.now());
}

describe('a token cache after a cold start', () => {
  test('makes one request for a hundred callers', async () => {
    const provider = new FakeProvider();
    provider.delayMs = 500;
    const tokens = new TokenCache(provider);
    const waiting = Promise.all(Array.from({ length: 100 }, () => tokens.get()));
    await clock.pass(500);
    const held = await waiting;
    expect(new Set(held.map((token) => token.reveal()))).toEqual(new Set(['token-1']));
    expect(provider.requests).toHaveLength(1);
    expect(provider.requests[0]?.scope).toBe('https://database.windows.net/.default');
  });

  test('returns the same object without a promise while the token is fresh', async () => {
    const tokens = new TokenCache(new FakeProvider());
    const held = await tokens.get();
    expect(tokens.current()).toBe(held);
    expect(tokens.current()).toBe(tokens.current());
  });

  test('current() starts the first request', async () => {
    const provider = new FakeProvider();
    const tokens = new TokenCache(provider);
    expect(tokens.current()).toBeUndefined();
    await clock.pass(0);
    expect(tokens.current()?.reveal()).toBe('token-1');
  });

  test('keeps scopes separate', async () => {
    const provider = new FakeProvider();
    const tokens = new TokenCache(provider);
    const sql = await tokens.getToken();
    const vault = await tokens.getToken(['https://vault.azure.net/.default']);
    expect([sql.token, vault.token]).toEqual(['token-1', 'token-2']);
    expect((await tokens.getToken('https://vault.azure.net/.default')).token).toBe('token-2');
    expect((await tokens.getToken()).token).toBe('token-1');
  });

  test("does not call the credential inside the caller's own call", async () => {
    let inside = false;
    let calledInside = false;
    const tokens = new TokenCache({
      async getToken() {
        calledInside ||= inside;
        tokens.current();
        return { token: 't', expiresOnTimestamp: Date.now() + HOUR };
      },
    });
    inside = true;
    tokens.current();
    inside = false;
    await clock.pass(0);
    expect(calledInside).toBe(false);
    expect(tokens.current()?.reveal()).toBe('t');
  });
});

describe('the background refresh', () => {
  test('is due within the last 10 minutes of an hour, less up to 10 %, and no caller waits', async () => {
    const provider = new FakeProvider();
    const tokens = new TokenCache(provider);
    const held = await tokens.get();
    expect(held.refreshOn - held.obtainedAt).toBeLessThanOrEqual(50 * MINUTE);
    expect(held.refreshOn - held.obtainedAt).toBeGreaterThanOrEqual(45 * MINUTE);

    await until(held.refreshOn - 1);
    tokens.current();
    await clock.pass(0);
    expect(provider.requests).toHaveLength(1);

    provider.delayMs = 1_500;
    await until(held.refreshOn);
    expect(tokens.current()).toBe(held);
    expect(await tokens.get()).toBe(held);
    await clock.pass(1_500);
    expect(tokens.current()?.reveal()).toBe('token-2');
    expect(provider.requests).toHaveLength(2);
  });

  test('is due halfway through a token with a lifetime under 20 minutes', async () => {
    const tokens = new TokenCache(new FakeProvider(10_000));
    const held = await tokens.get();
    expect(held.refreshOn - held.obtainedAt).toBeLessThanOrEqual(5_000);
    expect(held.refreshOn - held.obtainedAt).toBeGreaterThanOrEqual(4_500);
  });

  test("follows the issuer's refresh time", async () => {
    const provider = new FakeProvider(24 * HOUR);
    provider.refreshInMs = 12 * HOUR;
    const held = await new TokenCache(provider).get();
    expect(held.refreshOn - held.obtainedAt).toBeLessThanOrEqual(12 * HOUR);
    expect(held.refreshOn - held.obtainedAt).toBeGreaterThanOrEqual(10.8 * HOUR);
  });

  test('has jitter: two caches do not refresh at the same instant', async () => {
    const times = new Set<number>();
    for (let i = 0; i < 20; i += 1) times.add((await new TokenCache(new FakeProvider()).get()).refreshOn);
    expect(times.size).toBeGreaterThan(15);
  });

  test('does not spin when the issuer marks every token as due at once', async () => {
    const provider = new FakeProvider();
    provider.refreshInMs = 0;
    const tokens = new TokenCache(provider);
    await tokens.get();
    for (let ms = 0; ms < 60_000; ms += 100) {
      tokens.current();
      await clock.pass(100);
    }
    expect(provider.requests.length).toBeLessThanOrEqual(13);
  });

  test('leaves no timer behind after the answer', async () => {
    const tokens = new TokenCache(new FakeProvider());
    await tokens.get(undefined, { timeoutMs: 5_000 });
    expect(clock.pending.size).toBe(0);
  });
});

describe('a provider that returns the same token again', () => {
  test('does not shrink the margins, and is not requested at every lookup', async () => {
    const provider = new FakeProvider();
    const same = provider.issue(HOUR);
    provider.sticky = same;
    const tokens = new TokenCache(provider);
    const first = await tokens.get();
    await until(first.obtainedAt + 55 * MINUTE);
    for (let second = 0; second < 120; second += 1) {
      expect(tokens.current()).toBe(first);
      await clock.pass(1_000);
    }
    // 5 minutes left: asked at once, then each 1/8 of what remains.
    expect(provider.requests.length - 1).toBeGreaterThanOrEqual(3);
    expect(provider.requests.length - 1).toBeLessThanOrEqual(6);
    expect(tokens.current()?.loginBefore).toBe(first.loginBefore);
  });

  test('rejects waiting callers once the token is too close to its expiry, and recovers when it expires', async () => {
    const provider = new FakeProvider();
    provider.sticky = provider.issue(HOUR);
    const tokens = new TokenCache(provider);
    const first = await tokens.get();
    await until(first.loginBefore);
    await expect(tokens.get()).rejects.toMatchObject({ code: 'ERR_TOKEN_EXPIRED', retryAfterMs: 7_500 });
    await expect(tokens.get()).rejects.toMatchObject({ code: 'ERR_TOKEN_EXPIRED' });
    expect(provider.requests).toHaveLength(2);
    provider.sticky = undefined;
    await clock.pass(7_500);
    expect((await tokens.get()).reveal()).toBe('token-2');
  });

  test('never replaces a token with one that expires earlier', async () => {
    const provider = new FakeProvider();
    const tokens = new TokenCache(provider);
    const first = await tokens.get();
    provider.lifeMs = 5 * MINUTE;
    await until(first.refreshOn);
    tokens.current();
    await clock.pass(0);
    expect(provider.requests).toHaveLength(2);
    expect(tokens.current()).toBe(first);
  });
});

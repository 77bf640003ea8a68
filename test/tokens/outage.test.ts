import { describe, expect, test } from 'vitest';
import {
  AbortedError,
  CredentialRejectedError,
  TokenCache,
  TokenThrottledError,
  TokenTimeoutError,
  TokenUnavailableError,
} from '../../src/index.js';
import { clockPerTest } from '../support/clock-per-test.js';
import { FakeProvider } from './fake-provider.js';

const clock = clockPerTest();

const HOUR = 3_600_000;

async function until(time: number): Promise<void> {
  await clock.pass(time - Date.now());
}

const down = new TokenUnavailableError('HTTP 503', { status: 503 });

async function warm(): Promise<{ provider: FakeProvider; tokens: TokenCache }> {
  const provider = new FakeProvider();
  const tokens = new TokenCache(provider);
  const held = await tokens.get();
  await until(held.refreshOn);
  return { provider, tokens };
}

/** Looks up the token every 100 ms, as a busy pool does. */
async function look(tokens: TokenCache, forMs: number): Promise<void> {
  for (let ms = 0; ms < forMs; ms += 100) {
    tokens.current();
    await clock.pass(100);
  }
}

describe('while a valid token is cached and the provider fails', () => {
  test.each([
    ['fails', down],
    ['hangs', 'hang' as const],
    ['gives nothing', null],
    ['refuses', new CredentialRejectedError('wrong secret')],
  ])('no caller waits or fails when it %s', async (_, answer) => {
    const { provider, tokens } = await warm();
    provider.sticky = answer;
    for (let i = 0; i < 50; i += 1) {
      expect((await tokens.get()).reveal()).toBe('token-1');
      await clock.pass(1_000);
    }
    expect(provider.requests.length).toBeLessThanOrEqual(6);
  });

  test('retries after 5 s, then 10, 20, 40, 60 and 60 s, each up to 10 % later', async () => {
    const { provider, tokens } = await warm();
    provider.sticky = down;
    await look(tokens, 230_000);
    const gaps = provider.requests.slice(2).map((request, i) => request.at - (provider.requests[i + 1]?.at ?? 0));
    const expected = [5_000, 10_000, 20_000, 40_000, 60_000, 60_000];
    expect(gaps.length).toBeGreaterThanOrEqual(5);
    for (const [i, gap] of gaps.entries()) {
      expect(gap).toBeGreaterThanOrEqual(expected[i] ?? 0);
      expect(gap).toBeLessThanOrEqual((expected[i] ?? 0) * 1.1 + 100);
    }
  });

  test('starts over at 5 s after a success', async () => {
    const { provider, tokens } = await warm();
    provider.next = [down, down, down];
    await look(tokens, 60_000);
    const held = tokens.current();
    expect(held?.reveal()).toBe('token-2');
    await until(held?.refreshOn ?? 0);
    provider.next = [down];
    const asked = provider.requests.length;
    await look(tokens, 6_000);
    expect(provider.requests.length).toBe(asked + 2);
  });

  test('uses a late answer to an abandoned request', async () => {
    const { provider, tokens } = await warm();
    provider.delayMs = 12_000;
    tokens.current();
    await clock.pass(11_000);
    expect(tokens.current()?.reveal()).toBe('token-1');
    await clock.pass(1_000);
    expect(tokens.current()?.reveal()).toBe('token-2');
    expect(provider.requests).toHaveLength(2);
  });
});

describe('without a valid token', () => {
  test('all waiting callers get the same error with its cause', async () => {
    const provider = new FakeProvider();
    provider.next = [Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })];
    const tokens = new TokenCache(provider);
    const outcomes = await Promise.allSettled([tokens.get(), tokens.get(), tokens.getToken()]);
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'ERR_TOKEN_UNAVAILABLE' } });
      const { cause } = (outcome as PromiseRejectedResult).reason;
      expect(cause).toMatchObject({ code: 'ECONNREFUSED', message: 'connect ECONNREFUSED' });
    }
    expect(provider.requests).toHaveLength(1);
  });

  test('callers during back-off fail at once, with the remaining time', async () => {
    const provider = new FakeProvider();
    provider.sticky = down;
    const tokens = new TokenCache(provider);
    await expect(tokens.get()).rejects.toBeInstanceOf(TokenUnavailableError);
    await clock.pass(2_000);
    const error: TokenUnavailableError = await tokens.get().catch((e) => e);
    expect(error).toBeInstanceOf(TokenUnavailableError);
    expect(error.status).toBe(503);
    expect(error.retryAfterMs).toBeGreaterThanOrEqual(3_000);
    expect(error.retryAfterMs).toBeLessThanOrEqual(3_501);
    expect(provider.requests).toHaveLength(1);
    provider.sticky = undefined;
    await clock.pass(3_501);
    expect((await tokens.get()).reveal()).toBe('token-1');
  });

  test('Retry-After applies if it is longer than the back-off', async () => {
    const provider = new FakeProvider();
    provider.next = [new TokenThrottledError('slow down', { status: 429, retryAfterMs: 30_000 })];
    const tokens = new TokenCache(provider);
    const error = await tokens.get().catch((e) => e);
    expect(error).toBeInstanceOf(TokenThrottledError);
    await look(tokens, 29_900);
    expect(provider.requests).toHaveLength(1);
    await look(tokens, 3_200);
    expect(provider.requests).toHaveLength(2);
  });

  test('a permanent refusal is backed off like any other failure', async () => {
    const provider = new FakeProvider();
    provider.sticky = new CredentialRejectedError('wrong secret', { aadsts: 7000215 });
    const tokens = new TokenCache(provider);
    for (let i = 0; i < 48; i += 1) {
      await expect(tokens.get()).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_REJECTED', aadsts: 7000215 });
      await clock.pass(100);
    }
    expect(provider.requests).toHaveLength(1);
  });

  test('setting the clock does not shorten the back-off', async () => {
    const provider = new FakeProvider();
    provider.sticky = down;
    const tokens = new TokenCache(provider);
    await tokens.get().catch(() => {});
    clock.jump(HOUR);
    await expect(tokens.get()).rejects.toMatchObject({ status: 503 });
    expect(provider.requests).toHaveLength(1);
  });

  test('a provider that never answers times out after 10 s', async () => {
    const provider = new FakeProvider();
    provider.sticky = 'hang';
    const tokens = new TokenCache(provider);
    const outcome = tokens.get().catch((error) => error);
    await clock.pass(9_999);
    expect(provider.requests[0]?.options.abortSignal?.aborted).toBe(false);
    await clock.pass(1);
    expect(await outcome).toBeInstanceOf(TokenTimeoutError);
    expect(provider.requests[0]?.options.abortSignal?.aborted).toBe(true);
    expect(clock.pending.size).toBe(0);
  });
});

describe('a caller that gives up', () => {
  test('on its own timeout does not end the request for the others', async () => {
    const provider = new FakeProvider();
    provider.delayMs = 2_000;
    const tokens = new TokenCache(provider);
    const hurried = tokens.get(undefined, { timeoutMs: 1_000 }).catch((error) => error);
    const patient = tokens.get();
    await clock.pass(1_000);
    expect(await hurried).toBeInstanceOf(TokenTimeoutError);
    await clock.pass(1_000);
    expect((await patient).reveal()).toBe('token-1');
    expect(provider.requests[0]?.options.abortSignal?.aborted).toBe(false);
  });

  test("through an AbortSignal gets the signal's reason as cause", async () => {
    const provider = new FakeProvider();
    provider.delayMs = 2_000;
    const tokens = new TokenCache(provider);
    const abort = new AbortController();
    const gone = tokens.getToken(undefined, { abortSignal: abort.signal }).catch((error) => error);
    await clock.pass(10);
    abort.abort(new Error('user closed the tab'));
    const error = await gone;
    expect(error).toBeInstanceOf(AbortedError);
    expect(error.cause).toMatchObject({ message: 'user closed the tab' });
    await clock.pass(2_000);
    expect(tokens.current()?.reveal()).toBe('token-1');
    await expect(tokens.get(undefined, { abortSignal: abort.signal })).rejects.toBeInstanceOf(AbortedError);
  });

  test('can wait longer than the limit of a Node timer', async () => {
    const provider = new FakeProvider();
    provider.delayMs = 100;
    const tokens = new TokenCache(provider);
    const patient = tokens.get(undefined, { timeoutMs: Number.POSITIVE_INFINITY });
    await clock.pass(100);
    expect((await patient).reveal()).toBe('token-1');
  });
});

describe('answers that are not tokens', () => {
  test.each([
    ['null', null, 'ERR_CREDENTIAL_UNAVAILABLE'],
    ['an empty token', { token: '', expiresOnTimestamp: 4e12 }, 'ERR_TOKEN_UNAVAILABLE'],
    ['NaN as expiry', { token: 't', expiresOnTimestamp: Number.NaN }, 'ERR_TOKEN_UNAVAILABLE'],
    ['an expiry in seconds', { token: 't', expiresOnTimestamp: 1_800_000_000 }, 'ERR_TOKEN_UNAVAILABLE'],
    ['an expired token', { token: 't', expiresOnTimestamp: 1_600_000_000_000 }, 'ERR_TOKEN_EXPIRED'],
    ['a pop token', { token: 't', expiresOnTimestamp: 4e12, tokenType: 'pop' }, 'ERR_TOKEN_UNAVAILABLE'],
  ])('%s is a typed error', async (_, answer, code) => {
    const provider = new FakeProvider();
    provider.sticky = answer;
    const error = await new TokenCache(provider).get().catch((e) => e);
    expect(error.code).toBe(code);
    expect(error.hint).toBeTruthy();
  });

  test('a credential that throws before it returns a promise also causes a typed error', async () => {
    const credential = {
      getToken(): never {
        throw new TypeError('boom');
      },
    };
    await expect(new TokenCache(credential).get()).rejects.toMatchObject({ code: 'ERR_TOKEN_UNAVAILABLE' });
  });
});

import { beforeEach, expect, test } from 'vitest';
import { TokenCache, TokenUnavailableError } from '../../src/index.js';
import { clockPerTest } from '../support/clock-per-test.js';
import { FakeProvider } from './fake-provider.js';

const clock = clockPerTest();

let provider: FakeProvider;
let tokens: TokenCache;

beforeEach(() => {
  provider = new FakeProvider();
  tokens = new TokenCache(provider);
});

test('before the first request, nothing is known, and reading the status starts no request', async () => {
  expect(tokens.status()).toEqual({ current: undefined, refresh: undefined, failure: undefined });
  expect(tokens.peek()).toBeUndefined();
  await clock.pass(1_000);
  expect(provider.requests).toEqual([]);
});

test('neither peek nor status refreshes a token that is due', async () => {
  const token = await tokens.get();
  await clock.pass(token.refreshOn - Date.now());
  expect(tokens.peek()).toBe(token);
  expect(tokens.status()).toEqual({ current: token, refresh: undefined, failure: undefined });
  await clock.pass(1_000);
  expect(provider.requests).toHaveLength(1);
});

test('shows when a refresh started and when it ended', async () => {
  provider.delayMs = 1_000;
  const startedAt = performance.now();
  const got = tokens.get();
  await clock.pass(400);
  const { refresh } = tokens.status();
  expect(refresh?.startedAt).toBe(startedAt);
  let ended = false;
  void refresh?.settled.then(() => {
    ended = true;
  });
  await clock.pass(599);
  expect(ended).toBe(false);
  await clock.pass(1);
  expect(ended).toBe(true);
  expect(tokens.status()).toEqual({ current: await got, refresh: undefined, failure: undefined });
});

test('shows a usable token with the error of the failed refresh and the remaining wait, until one succeeds', async () => {
  const token = await tokens.get();
  await clock.pass(token.refreshOn - Date.now());
  provider.next = [new TokenUnavailableError('HTTP 503', { status: 503, retryAfterMs: 30_000 })];
  tokens.current();
  const { refresh } = tokens.status();
  await clock.pass(0);
  // It does not reject.
  await refresh?.settled;
  const { current, failure } = tokens.status();
  expect(current).toBe(token);
  expect(failure).toMatchObject({ message: 'HTTP 503', status: 503 });
  const { retryAfterMs = 0 } = failure ?? {};
  expect(retryAfterMs).toBeGreaterThanOrEqual(30_000);
  await clock.pass(10_000);
  expect(tokens.status().failure?.retryAfterMs).toBe(retryAfterMs - 10_000);
  await clock.pass(retryAfterMs);
  tokens.current();
  await clock.pass(0);
  expect(tokens.status()).toMatchObject({ current: expect.anything(), failure: undefined });
});

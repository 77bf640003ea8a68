import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { TokenCache, TokenUnavailableError } from '../../src/index.js';
import { FakeProvider } from './fake-provider.js';

let provider: FakeProvider;
let tokens: TokenCache;

beforeEach(() => {
  vi.useFakeTimers({ now: Date.UTC(2026, 0, 1) });
  provider = new FakeProvider();
  tokens = new TokenCache(provider);
});

afterEach(() => {
  vi.useRealTimers();
});

test('nothing is known before the first request, and looking starts none', async () => {
  expect(tokens.status()).toEqual({ current: undefined, refresh: undefined, failure: undefined });
  expect(tokens.peek()).toBeUndefined();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(provider.requests).toEqual([]);
});

test('neither peek nor status refreshes a token that is due', async () => {
  const token = await tokens.get();
  await vi.advanceTimersByTimeAsync(token.refreshOn - Date.now());
  expect(tokens.peek()).toBe(token);
  expect(tokens.status()).toEqual({ current: token, refresh: undefined, failure: undefined });
  await vi.advanceTimersByTimeAsync(1_000);
  expect(provider.requests).toHaveLength(1);
});

test('a refresh under way shows since when, and when it has ended', async () => {
  provider.delayMs = 1_000;
  const startedAt = performance.now();
  const got = tokens.get();
  await vi.advanceTimersByTimeAsync(400);
  const { refresh } = tokens.status();
  expect(refresh?.startedAt).toBe(startedAt);
  let ended = false;
  void refresh?.settled.then(() => {
    ended = true;
  });
  await vi.advanceTimersByTimeAsync(599);
  expect(ended).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  expect(ended).toBe(true);
  expect(tokens.status()).toEqual({ current: await got, refresh: undefined, failure: undefined });
});

test('a failed refresh shows its error behind a usable token, with the wait that is left, until one succeeds', async () => {
  const token = await tokens.get();
  await vi.advanceTimersByTimeAsync(token.refreshOn - Date.now());
  provider.next = [new TokenUnavailableError('HTTP 503', { status: 503, retryAfterMs: 30_000 })];
  tokens.current();
  const { refresh } = tokens.status();
  await vi.advanceTimersByTimeAsync(0);
  // It does not reject.
  await refresh?.settled;
  const { current, failure } = tokens.status();
  expect(current).toBe(token);
  expect(failure).toMatchObject({ message: 'HTTP 503', status: 503 });
  const { retryAfterMs = 0 } = failure ?? {};
  expect(retryAfterMs).toBeGreaterThanOrEqual(30_000);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(tokens.status().failure?.retryAfterMs).toBe(retryAfterMs - 10_000);
  await vi.advanceTimersByTimeAsync(retryAfterMs);
  tokens.current();
  await vi.advanceTimersByTimeAsync(0);
  expect(tokens.status()).toMatchObject({ current: expect.anything(), failure: undefined });
});

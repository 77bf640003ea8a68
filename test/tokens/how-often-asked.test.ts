import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { TokenCache, TokenUnavailableError } from '../../src/index.js';
import { clockPerTest } from '../support/clock-per-test.js';
import { FakeProvider } from './fake-provider.js';

const clock = clockPerTest();

const MINUTE = 60_000;

let provider: FakeProvider;
let tokens: TokenCache;

beforeEach(() => {
  provider = new FakeProvider();
  tokens = new TokenCache(provider);
});

/** Request times, ms, while a caller looks up the token ten times per second. */
async function requestsWithin(ms: number): Promise<number> {
  const before = provider.requests.length;
  for (let passed = 0; passed < ms; passed += 100) {
    tokens.current();
    await clock.pass(100);
  }
  return provider.requests.length - before;
}

function heard(channel: string): unknown[] {
  const events: unknown[] = [];
  const name = `mssql-token-pool:${channel}`;
  const listener = (event: unknown) => events.push(event);
  subscribe(name, listener);
  onTestFinished(() => void unsubscribe(name, listener));
  return events;
}

test('every 5 s if every token is new but due at once', async () => {
  provider.refreshInMs = 0;
  await tokens.get();
  expect(await requestsWithin(MINUTE)).toBe(11);
});

test("every tenth of the token's lifetime if that is less", async () => {
  provider.lifeMs = 10_000;
  provider.refreshInMs = 0;
  await tokens.get();
  expect(await requestsWithin(10_000)).toBe(9);
});

test('after an eighth of the remaining time if the answer expires earlier than the cached token', async () => {
  const held = await tokens.get();
  await clock.pass(50 * MINUTE);
  provider.lifeMs = 5 * MINUTE;
  // 10 minutes left: again after 75 s.
  expect(await requestsWithin(74_000)).toBe(1);
  expect(await requestsWithin(2_000)).toBe(1);
  expect(tokens.current()).toBe(held);
});

test('at once if a refused token is reported twice, at most every 5 s', async () => {
  const first = await tokens.get();
  expect([tokens.invalidate(first), tokens.invalidate(first)]).toEqual([true, false]);
  const second = await tokens.get();
  await clock.pass(4_999);
  expect(tokens.invalidate(second)).toBe(false);
  await clock.pass(1);
  expect(tokens.invalidate(second)).toBe(true);
});

test('a token can be discarded again after the back-off', async () => {
  const held = await tokens.get();
  await clock.pass(held.refreshOn - Date.now());
  provider.next = [new TokenUnavailableError('HTTP 503')];
  tokens.current();
  await clock.pass(4_999);
  expect(tokens.invalidate(held)).toBe(false);
  await clock.pass(501);
  expect(tokens.invalidate(held)).toBe(true);
});

test('publishes the outcome: the duration, the same token again, discarded, failed', async () => {
  const [refreshed, invalidated, failed] = ['token:refreshed', 'token:invalidated', 'token:failed'].map(heard);
  await clock.pass(1_000);
  provider.delayMs = 40;
  provider.sticky = provider.issue();
  const about = { identity: tokens.identity, scope: 'https://database.windows.net/.default' };
  const waiting = tokens.get();
  await clock.pass(40);
  const held = await waiting;
  tokens.invalidate(held);
  tokens.current();
  await clock.pass(40);
  const answer = { ...about, tokenId: held.id, expiresOn: held.expiresOn, durationMs: 40, fromStore: false };
  expect(refreshed).toMatchObject([
    { ...answer, sameToken: false },
    { ...answer, sameToken: true },
  ]);
  expect(invalidated).toMatchObject([{ ...about, tokenId: held.id }]);

  provider.sticky = new TokenUnavailableError('HTTP 503', { status: 503 });
  await clock.pass(held.expiresOn - Date.now());
  tokens.current();
  await clock.pass(40);
  expect(failed).toMatchObject([
    { ...about, error: { message: 'HTTP 503' }, durationMs: 40, retryAfterMs: expect.any(Number) },
  ]);
});

test('if only a token near its expiry is available, the error says when it expires and what to change', async () => {
  provider.sticky = provider.issue();
  const held = await tokens.get();
  await clock.pass(held.loginBefore - Date.now());
  await expect(tokens.get()).rejects.toMatchObject({
    message: 'The only token available expires at 2026-01-01T01:00:00.000Z, too soon for a login.',
    hint: expect.stringContaining('must renew the token'),
  });
});

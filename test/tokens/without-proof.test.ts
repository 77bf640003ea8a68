import { expect, test } from 'vitest';
import { ProofUnavailableError, TokenCache, TokenThrottledError, TokenUnavailableError } from '../../src/index.js';
import { clockPerTest } from '../support/clock-per-test.js';
import { FakeProvider } from './fake-provider.js';

const clock = clockPerTest();

const late = new ProofUnavailableError("The token file in 'tokenFilePath' is empty.", { hint: 'It is read again.' });

/** Asks every 100 ms, as callers that retry do. */
async function ask(tokens: TokenCache, forMs: number): Promise<void> {
  for (let ms = 0; ms < forMs; ms += 100) {
    await tokens.get().catch(() => {});
    await clock.pass(100);
  }
}

function gapsOf({ requests }: FakeProvider): number[] {
  return requests.slice(1).map(({ at }, i) => at - (requests[i]?.at ?? 0));
}

test('a missing proof is looked for again after 1 s, then 2, 4, 5 and 5 s, each up to 10 % later', async () => {
  const provider = new FakeProvider();
  provider.sticky = late;
  await ask(new TokenCache(provider), 30_000);
  const expected = [1_000, 2_000, 4_000, 5_000, 5_000, 5_000];
  const gaps = gapsOf(provider);
  expect(gaps.length).toBeGreaterThanOrEqual(expected.length);
  for (const [i, ms] of expected.entries()) {
    expect(gaps[i]).toBeGreaterThanOrEqual(ms);
    expect(gaps[i]).toBeLessThanOrEqual(ms * 1.1 + 100);
  }
});

test('a proof that arrives is used at the next attempt, and the schedule starts over', async () => {
  const provider = new FakeProvider();
  provider.next = [late, late];
  provider.lifeMs = 60_000;
  const tokens = new TokenCache(provider);
  await ask(tokens, 3_500);
  expect(tokens.current()?.reveal()).toBe('token-1');
  await clock.pass(60_000);
  provider.next = [late];
  const asked = provider.requests.length;
  await ask(tokens, 1_300);
  expect(provider.requests.length).toBe(asked + 2);
});

test('callers in between get the same error, with the remaining wait', async () => {
  const provider = new FakeProvider();
  provider.sticky = late;
  const tokens = new TokenCache(provider);
  const error: ProofUnavailableError = await tokens.get().catch((e) => e);
  expect(error).toBeInstanceOf(ProofUnavailableError);
  expect(error).toMatchObject({ code: 'ERR_PROOF_UNAVAILABLE', message: late.message, hint: late.hint });
  expect(error.retryAfterMs).toBeLessThanOrEqual(1_100);
  const callers = await Promise.all(Array.from({ length: 50 }, () => tokens.get().catch((e) => e)));
  expect(new Set(callers.map(({ code }) => code))).toEqual(new Set(['ERR_PROOF_UNAVAILABLE']));
  expect(provider.requests).toHaveLength(1);
});

test("a missing proof neither shortens nor restarts the identity provider's own back-off", async () => {
  const provider = new FakeProvider();
  const down = new TokenUnavailableError('HTTP 503', { status: 503 });
  provider.next = [down, down, late, down, new TokenThrottledError('slow down', { status: 429, retryAfterMs: 90_000 })];
  provider.sticky = late;
  await ask(new TokenCache(provider), 165_000);
  // 5 and 10 s of the provider, 1 s without a proof, 20 s as the third failure in a row, and what it asked for.
  for (const [i, ms] of [5_000, 10_000, 1_000, 20_000, 90_000].entries()) {
    expect(gapsOf(provider)[i]).toBeGreaterThanOrEqual(ms);
    expect(gapsOf(provider)[i]).toBeLessThanOrEqual(ms * 1.1 + 100);
  }
});

test('a valid token is served meanwhile, and its renewal follows soon', async () => {
  const provider = new FakeProvider();
  const tokens = new TokenCache(provider);
  const first = await tokens.get();
  await clock.pass(first.refreshOn - Date.now());
  provider.next = [late];
  for (let ms = 0; ms < 1_300; ms += 100) {
    expect(tokens.current()).toBeDefined();
    await clock.pass(100);
  }
  expect(tokens.current()?.reveal()).toBe('token-2');
});

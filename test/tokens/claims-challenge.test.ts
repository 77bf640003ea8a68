import { beforeEach, expect, test } from 'vitest';
import { TokenCache, TokenUnavailableError } from '../../src/index.js';
import { clockPerTest } from '../support/clock-per-test.js';
import { FakeProvider } from './fake-provider.js';

const clock = clockPerTest();

const HOUR = 3_600_000;
const ONE = '{"access_token":{"nbf":1}}';
const OTHER = '{"access_token":{"nbf":2}}';

let provider: FakeProvider;
let tokens: TokenCache;

beforeEach(() => {
  provider = new FakeProvider();
  tokens = new TokenCache(provider);
});

function claimsAskedFor(): (string | undefined)[] {
  return provider.requests.map(({ options }) => options.claims);
}

test('a repeated challenge is answered with the cached token; a new one is not', async () => {
  const first = await tokens.get(undefined, { claims: ONE });
  expect(await tokens.get(undefined, { claims: ONE })).toBe(first);
  expect(claimsAskedFor()).toEqual([ONE]);
  expect((await tokens.get(undefined, { claims: OTHER })).reveal()).toBe('token-2');
  expect(claimsAskedFor()).toEqual([ONE, OTHER]);
});

test.each([
  ['answered', undefined],
  ['refused', new TokenUnavailableError('HTTP 400')],
])('waits for the request under way, which lacks its claims, to be %s', async (_, answer) => {
  provider.delayMs = 1_000;
  if (answer !== undefined) provider.next = [answer];
  const ordinary = tokens.get().catch((error) => error);
  const challenged = tokens.get(undefined, { claims: ONE }).catch((error) => error);
  await clock.pass(1_000);
  const first = await ordinary;
  await clock.pass(1_000);
  if (answer === undefined) {
    expect([first.reveal(), (await challenged).reveal()]).toEqual(['token-1', 'token-2']);
    expect(claimsAskedFor()).toEqual([undefined, ONE]);
  } else {
    // Back-off applies to this caller as well.
    expect(await challenged).toMatchObject({ code: 'ERR_TOKEN_UNAVAILABLE', retryAfterMs: expect.any(Number) });
    expect(claimsAskedFor()).toEqual([undefined]);
  }
});

test('shares its request with callers that have the same challenge, or none', async () => {
  provider.delayMs = 1_000;
  const waiting = Promise.all([
    tokens.get(undefined, { claims: ONE }),
    tokens.get(undefined, { claims: ONE }),
    tokens.get(),
  ]);
  await clock.pass(1_000);
  expect(new Set(await waiting).size).toBe(1);
  expect(claimsAskedFor()).toEqual([ONE]);
});

test('is kept for the requests of callers that wait without a challenge', async () => {
  await tokens.get(undefined, { claims: ONE });
  await clock.pass(HOUR);
  await tokens.get();
  expect(claimsAskedFor()).toEqual([ONE, ONE]);
});

import { beforeEach, expect, test } from 'vitest';
import { TokenCache, TokenUnavailableError } from '../../src/index.js';
import { clockPerTest } from '../support/clock-per-test.js';
import { FakeProvider } from './fake-provider.js';

const clock = clockPerTest();

const HOUR = 3_600_000;

let provider: FakeProvider;
let tokens: TokenCache;

beforeEach(() => {
  provider = new FakeProvider();
  tokens = new TokenCache(provider);
});

/** A server that names a different scope at each login, a hundred times per second. */
async function logIn(times: number, then: (token: string | undefined) => void = () => {}): Promise<void> {
  for (let i = 0; i < times; i += 1) {
    const token = await tokens.get(`https://scope-${i}/.default`).catch(() => undefined);
    then(token?.reveal());
    await clock.pass(10);
  }
}

test('a server that names an unknown scope at each login causes 16 requests in 10 minutes, not one per login', async () => {
  provider.sticky = new TokenUnavailableError('AADSTS500011');
  await logIn(1_000);
  expect(provider.requests).toHaveLength(16);
  await expect(tokens.get('https://one-more/.default')).rejects.toMatchObject({
    code: 'ERR_TOKEN_UNAVAILABLE',
    message: 'Tokens for too many different scopes were requested for one identity.',
    hint: expect.stringContaining('set the scope'),
  });
  expect(tokens.current('https://one-more/.default')).toBeUndefined();
  await clock.pass(600_001);
  await logIn(1_000);
  expect(provider.requests).toHaveLength(32);
});

test('a server that names another valid scope at each login gets 64 tokens', async () => {
  await logIn(1_000);
  expect(provider.requests).toHaveLength(64);
});

test('a server that also refuses each token gets no more than 64', async () => {
  await logIn(1_000, (token) => token !== undefined && tokens.invalidate(token));
  expect(provider.requests.length).toBeLessThanOrEqual(64);
});

test('the scope of the pool is served throughout', async () => {
  await tokens.get();
  await logIn(1_000);
  await clock.pass(HOUR);
  provider.sticky = new TokenUnavailableError('AADSTS500011');
  await logIn(100);
  provider.sticky = undefined;
  expect((await tokens.get()).reveal()).toBeDefined();
});

test('scopes whose tokens have expired are replaced by others', async () => {
  await logIn(100);
  await clock.pass(HOUR);
  expect((await tokens.get('https://later/.default')).reveal()).toBe('token-65');
});

test('16 concurrent scopes are allowed, the 17th is refused', async () => {
  provider.sticky = 'hang';
  for (let i = 0; i < 16; i += 1) void tokens.get(`https://scope-${i}/.default`).catch(() => {});
  await expect(tokens.get('https://scope-16/.default')).rejects.toBeInstanceOf(TokenUnavailableError);
  await clock.pass(0);
  expect(provider.inFlight).toBe(16);
});

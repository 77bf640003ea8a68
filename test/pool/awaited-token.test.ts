import { expect, test } from 'vitest';
import { TokenCache, TokenTimeoutError } from '../../src/index.js';
import { awaitedToken } from '../../src/pool/awaited-token.js';
import { clockPerTest } from '../support/clock-per-test.js';
import { FakeProvider } from '../tokens/fake-provider.js';

const clock = clockPerTest();

const SCOPE = 'https://database.windows.net/.default';

test('a pool without tokens waits for none', () => {
  expect(awaitedToken(undefined)).toBeUndefined();
});

test('logins wait for a token only while there is none and a request for it is under way', async () => {
  const provider = new FakeProvider();
  provider.delayMs = 4_000;
  const tokens = new TokenCache(provider);
  const source = { tokens, scope: SCOPE, scopeIsFixed: true } as unknown as Parameters<typeof awaitedToken>[0];
  expect(awaitedToken(source)).toBeUndefined();
  await clock.pass(10_000);
  const first = tokens.get(SCOPE);
  await clock.pass(2_500);
  const awaited = awaitedToken(source);
  expect(awaited).toBeInstanceOf(TokenTimeoutError);
  expect(awaited).toMatchObject({
    message: expect.stringContaining('The request for a token has not been answered for 2.5 s.'),
    hint: 'Check the network path to the identity provider, including proxies and firewalls.',
  });
  await clock.pass(1_500);
  await first;
  expect(awaitedToken(source)).toBeUndefined();
  // The request for the next one is under way, and the first can still be used.
  await clock.pass(50 * 60_000);
  tokens.current(SCOPE);
  await clock.pass(0);
  expect(tokens.status(SCOPE).refresh).toBeDefined();
  expect(awaitedToken(source)).toBeUndefined();
});

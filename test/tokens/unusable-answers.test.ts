import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { expect, test } from 'vitest';
import { TokenCache, TokenPoolError } from '../../src/index.js';
import { isoTime } from '../../src/tokens/credential-request.js';
import { clockPerTest } from '../support/clock-per-test.js';
import { FakeProvider } from './fake-provider.js';

const NOW = Date.UTC(2026, 0, 1);
clockPerTest(NOW);
const HOUR = 3_600_000;

async function refusalOf(answer: unknown): Promise<TokenPoolError> {
  const error = await new TokenCache({ getToken: async () => answer as never }).get().catch((e) => e);
  expect(error).toBeInstanceOf(TokenPoolError);
  return error;
}

const later = NOW + HOUR;

test.each([
  ['a bare string', 'eyJ0', 'no token', 'getToken must return { token, expiresOnTimestamp }'],
  ['undefined', undefined, 'no token', 'null means'],
  ['a token that is no string', { token: 7, expiresOnTimestamp: later }, 'not text, but of type number', 'as a string'],
  ['an expiry as text', { token: 't', expiresOnTimestamp: String(later) }, 'without its expiry', 'epoch milliseconds'],
  ['an endless expiry', { token: 't', expiresOnTimestamp: Number.POSITIVE_INFINITY }, 'without its expiry', 'a number'],
  ['seconds', { token: 't', expiresOnTimestamp: later / 1000 }, 'an expiry in seconds', 'multiply the `exp`'],
  ['the first ms', { token: 't', expiresOnTimestamp: 1e11 }, 'expired at 1973-03-03T09:46:40.000Z', 'Check the clock'],
  ['the end just now', { token: 't', expiresOnTimestamp: NOW }, 'expired at 2026-01-01T00:00:00.000Z', 'caches tokens'],
  [
    'another type of token',
    { token: 't', expiresOnTimestamp: later, tokenType: 'PoP' },
    "of type 'pop'.",
    'bearer tokens only',
  ],
])('%s in place of a token: the error says what is wrong, the hint what to do', async (_, answer, message, hint) => {
  const error = await refusalOf(answer);
  expect(error.message).toContain(message);
  expect(error.hint).toContain(hint);
});

test.each(['Bearer', 'bearer', 'BEARER'])('a token of type %s is accepted', async (tokenType) => {
  const answer = { token: 't', expiresOnTimestamp: later, tokenType: tokenType as 'Bearer' };
  expect((await new TokenCache({ getToken: async () => answer }).get()).reveal()).toBe('t');
});

test('publishes each request and its answer as events', async () => {
  const events: unknown[] = [];
  const listener = (message: unknown, name: string | symbol) => events.push([name, message]);
  const channels = ['token:requested', 'token:refreshed'].map((name) => `mssql-token-pool:${name}`);
  for (const name of channels) subscribe(name, listener);
  try {
    const tokens = new TokenCache(new FakeProvider());
    const { id, expiresOn } = await tokens.get();
    const about = { identity: tokens.identity, scope: 'https://database.windows.net/.default' };
    expect(events).toEqual([
      [channels[0], expect.objectContaining(about)],
      [
        channels[1],
        expect.objectContaining({
          ...about,
          tokenId: id,
          expiresOn,
          durationMs: 0,
          sameToken: false,
          fromStore: false,
        }),
      ],
    ]);
  } finally {
    for (const name of channels) unsubscribe(name, listener);
  }
});

test('reports an impossible time as a number', () => {
  expect(isoTime(NOW)).toBe('2026-01-01T00:00:00.000Z');
  expect(isoTime(9e15)).toBe('9000000000000000');
});

test('a credential that throws what cannot be read: the request fails all the same', async () => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  const cache = new TokenCache({
    getToken: async () => {
      throw proxy;
    },
  });
  await expect(cache.get()).rejects.toMatchObject({
    code: 'ERR_TOKEN_UNAVAILABLE',
    message: expect.stringMatching(/./),
  });
});

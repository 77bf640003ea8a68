import { expect, test } from 'vitest';
import { TokenCache } from '../../src/index.js';
import { CachedToken } from '../../src/tokens/cached-token.js';
import { readEntry } from '../../src/tokens/store-entry.js';

const HOUR = 3_600_000;
const seconds = (epochMs: number): number => Math.floor(epochMs / 1000);

function jwt(claims: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'RS256' })}.${part(claims)}.c2ln`;
}

function tokensFor(token: string): TokenCache {
  return new TokenCache({ getToken: async () => ({ token, expiresOnTimestamp: Date.now() + HOUR }) });
}

test('P1: a token that is past its own exp is refused, whatever its credential says', async () => {
  for (const claims of [{}, { iat: seconds(Date.now() - 2 * HOUR) }]) {
    const tokens = tokensFor(jwt({ ...claims, exp: seconds(Date.now() - 60_000) }));
    await expect(tokens.get()).rejects.toMatchObject({ code: 'ERR_TOKEN_EXPIRED' });
  }
});

test('P1: a token expires at its own exp if that is earlier than its credential says', async () => {
  const exp = seconds(Date.now() + 600_000);
  for (const claims of [{}, { iat: exp - 7_200 }]) {
    expect((await tokensFor(jwt({ ...claims, exp })).get()).expiresOn).toBe(exp * 1000);
  }
});

test.each([{ exp: 'soon' }, { exp: null }, {}])(
  'a token with the claims %j ends when its credential says',
  async (claims) => {
    const before = Date.now() + HOUR;
    expect((await tokensFor(jwt(claims)).get()).expiresOn).toBeGreaterThanOrEqual(before);
  },
);

test('P1: a token from a shared store expires at its own exp, whatever its entry and the store say', () => {
  const exp = seconds(Date.now() + 600_000);
  const entry = { token: jwt({ exp }), expiresOn: Date.now() + HOUR, lifeMs: HOUR };
  expect(readEntry(entry, undefined).token.expiresOn).toBe(exp * 1000);
  expect(readEntry(entry, HOUR).token.expiresOn).toBe(exp * 1000);
  const past = { ...entry, token: jwt({ exp: seconds(Date.now() - 60_000) }) };
  expect(readEntry(past, HOUR).token.isUsable()).toBe(false);
});

test('P1: a token offered by another credential expires at its own exp', () => {
  const exp = seconds(Date.now() + 600_000);
  const offered = new CachedToken({ token: jwt({ exp }), expiresOnTimestamp: Date.now() + HOUR });
  expect(offered.expiresOn).toBe(exp * 1000);
  expect(offered.refreshOn).toBeLessThan(exp * 1000);
});

test.each([1e300, Number.MAX_VALUE, 1e15, Date.now() * 1000])(
  'a token with the expiry %d is renewed within 28 h, the longest life of a token of Entra',
  async (expiresOnTimestamp) => {
    const tokens = new TokenCache({ getToken: async () => ({ token: 'opaque', expiresOnTimestamp }) });
    const { expiresOn, refreshOn } = await tokens.get();
    const latest = Date.now() + 28 * HOUR;
    expect(expiresOn).toBeLessThanOrEqual(latest);
    expect(refreshOn).toBeLessThan(latest);
  },
);

test('an exp at the end of the year 9999 is in seconds', async () => {
  expect((await tokensFor(jwt({ exp: 253_402_300_799 })).get()).remainingMs()).toBeGreaterThan(HOUR - 60_000);
});

test('an exp in milliseconds is read as such', async () => {
  const exp = Date.now() + 600_000;
  expect((await tokensFor(jwt({ exp })).get()).expiresOn).toBe(exp);
});

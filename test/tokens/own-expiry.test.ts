import { expect, test } from 'vitest';
import { TokenCache } from '../../src/index.js';

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

test('P1: a token ends at its own exp if that is before what its credential says', async () => {
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

import { describe, expect, test } from 'vitest';
import { createCredential, sharedTokenCache, TokenCache } from '../../../src/index.js';

const NOW = Math.floor(Date.now() / 1000);

function jwt(claims: object): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'RS256' })}.${part(claims)}.c2lnbmF0dXJl`;
}

describe('a static token', () => {
  test('provides its own expiry and principal', async () => {
    const token = jwt({ iat: NOW, exp: NOW + 3600, appid: 'an-app', tid: 'a-tenant' });
    for (const input of [token, `Bearer ${token}`, { token }]) {
      const credential = createCredential(input);
      expect(await credential.getToken('any')).toMatchObject({ token, expiresOnTimestamp: (NOW + 3600) * 1000 });
      expect(credential.principal).toMatchObject({ method: 'access-token', id: 'an-app', tenantId: 'a-tenant' });
    }
  });

  test.each([
    ['epoch ms', (NOW + 600) * 1000],
    ['a Date', new Date((NOW + 600) * 1000)],
    ['ISO 8601', new Date((NOW + 600) * 1000).toISOString()],
  ])('takes its end as %s', async (_, expiresOn) => {
    const answer = await createCredential({ token: 'opaque', expiresOn }).getToken('any');
    expect(answer?.expiresOnTimestamp).toBe((NOW + 600) * 1000);
  });

  test('is never used beyond its own exp', async () => {
    const token = jwt({ exp: NOW + 60 });
    const answer = await createCredential({ token, expiresOn: (NOW + 3600) * 1000 }).getToken('any');
    expect(answer?.expiresOnTimestamp).toBe((NOW + 60) * 1000);
  });

  test('expires earlier on a machine whose clock is slow', async () => {
    const token = jwt({ iat: NOW + 120, exp: NOW + 3720 });
    const before = Date.now();
    const answer = await createCredential(token).getToken('any');
    expect(answer?.expiresOnTimestamp).toBeLessThanOrEqual(Date.now() + 3_600_000);
    expect(answer?.expiresOnTimestamp).toBeGreaterThanOrEqual(before + 3_599_000);
  });

  test('reports when it expired and what to use instead', async () => {
    const tokens = new TokenCache(createCredential(jwt({ exp: NOW - 10 })));
    await expect(tokens.get()).rejects.toMatchObject({
      code: 'ERR_TOKEN_EXPIRED',
      message: expect.stringContaining('expired at'),
      hint: expect.stringContaining('function'),
    });
  });

  test.each([
    ['opaque, without its end', { token: 'opaque' }, /expiresOn/],
    ['empty', { token: '' }, /'token' is empty/],
    ['with blanks', { token: 'a b' }, /without spaces/],
    ['with its end in seconds', { token: 'opaque', expiresOn: NOW }, /seconds/],
    ['with no date', { token: 'opaque', expiresOn: 'tomorrow' }, /ISO 8601/],
  ])('is refused when %s', (_, input, message) => {
    let error: Error & { hint?: string } = new Error();
    try {
      createCredential(input);
    } catch (thrown) {
      error = thrown as Error;
    }
    expect(error).toMatchObject({ code: 'ERR_CONFIGURATION' });
    expect(`${error.message} ${error.hint}`).toMatch(message);
  });
});

describe('a token function', () => {
  test.each<[string, (token: string) => never]>([
    ['a string', ((token: string) => token) as never],
    ['a promise', (async (token: string) => token) as never],
    ["core-auth's shape", ((token: string) => ({ token, expiresOnTimestamp: (NOW + 900) * 1000 })) as never],
    ["MSAL's shape", ((accessToken: string) => ({ accessToken, expiresOn: new Date((NOW + 900) * 1000) })) as never],
  ])('may give %s', async (_, shape) => {
    const credential = createCredential(() => shape(jwt({ exp: NOW + 900 })));
    expect((await credential.getToken('any'))?.expiresOnTimestamp).toBe((NOW + 900) * 1000);
  });

  test('gets the scope and a signal', async () => {
    let received: unknown;
    const tokens = new TokenCache(
      createCredential((request) => {
        received = request;
        return jwt({ exp: NOW + 900 });
      }),
    );
    await tokens.get('https://vault.azure.net/.default');
    expect(received).toMatchObject({ scope: 'https://vault.azure.net/.default', abortSignal: expect.any(AbortSignal) });
  });

  test('that returns nothing, or an opaque value, fails with what to do', async () => {
    await expect(new TokenCache(createCredential(() => undefined as never)).get()).rejects.toMatchObject({
      code: 'ERR_TOKEN_UNAVAILABLE',
      hint: expect.stringContaining('must return'),
    });
    await expect(new TokenCache(createCredential(() => 'opaque')).get()).rejects.toMatchObject({
      code: 'ERR_CONFIGURATION',
      hint: expect.stringContaining('expiresOn'),
    });
  });

  test('is one identity each', () => {
    const get = () => 'x';
    expect(sharedTokenCache(createCredential(get))).toBe(sharedTokenCache(createCredential(get)));
    expect(sharedTokenCache(createCredential(get))).not.toBe(sharedTokenCache(createCredential(() => 'x')));
  });
});

import { expect, test } from 'vitest';
import { TokenCache } from '../../src/index.js';
import { CachedToken } from '../../src/tokens/cached-token.js';
import { FakeProvider } from './fake-provider.js';

const SQL = 'https://database.windows.net/.default';
const VAULT = 'https://vault.azure.net/.default';

function scopesAsked(provider: FakeProvider): string[] {
  return provider.requests.map((request) => request.scope);
}

test("without a scope, uses the cache's scope or Azure SQL's", async () => {
  const provider = new FakeProvider();
  await new TokenCache(provider).getToken();
  await new TokenCache(provider, { scope: VAULT }).getToken();
  await new TokenCache(provider, { scope: VAULT }).get();
  expect(scopesAsked(provider)).toEqual([SQL, VAULT, VAULT]);
});

test('several scopes in one call are one request and one token, separate from the tokens of each scope', async () => {
  const provider = new FakeProvider();
  const tokens = new TokenCache(provider);
  const read = 'https://graph.microsoft.com/User.Read';
  const mail = 'https://graph.microsoft.com/Mail.Read';
  expect((await tokens.getToken([read, mail])).token).toBe('token-1');
  expect((await tokens.getToken([read, mail])).token).toBe('token-1');
  expect((await tokens.getToken(read)).token).toBe('token-2');
  expect((await tokens.getToken([read])).token).toBe('token-2');
  expect(scopesAsked(provider)).toEqual([`${read} ${mail}`, read]);
});

test('tokens of another tenant, or with continuous access evaluation, are cached separately', async () => {
  const provider = new FakeProvider();
  const tokens = new TokenCache(provider);
  const ways = [undefined, { tenantId: 'fabrikam' }, { enableCae: true }, { tenantId: 'fabrikam', enableCae: true }];
  for (const round of [1, 2]) {
    for (const [i, options] of ways.entries()) {
      expect((await tokens.getToken(SQL, options)).token, `round ${round}`).toBe(`token-${i + 1}`);
    }
  }
  expect(provider.requests.map(({ options: { tenantId, enableCae } }) => ({ tenantId, enableCae }))).toEqual([
    {},
    { tenantId: 'fabrikam' },
    { enableCae: true },
    { tenantId: 'fabrikam', enableCae: true },
  ]);
});

test('a token obtained outside the cache is used for its scope', async () => {
  const provider = new FakeProvider();
  const tokens = new TokenCache(provider, { scope: VAULT });
  const offered = (name: string) => new CachedToken({ ...provider.issue(), token: name });
  tokens.offer(offered('for the vault'));
  tokens.offer(offered('for SQL'), SQL);
  expect((await tokens.getToken()).token).toBe('for the vault');
  expect((await tokens.getToken(SQL)).token).toBe('for SQL');
  expect(provider.requests).toEqual([]);
});

test("an access token has its expiry and the issuer's refresh time", async () => {
  const provider = new FakeProvider();
  const tokens = new TokenCache(provider);
  const token = await tokens.getToken();
  const held = await tokens.get();
  expect(token).toEqual({
    token: 'token-1',
    expiresOnTimestamp: held.expiresOn,
    refreshAfterTimestamp: held.refreshOn,
  });
});

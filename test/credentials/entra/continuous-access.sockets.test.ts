import { afterAll, beforeAll, expect, test } from 'vitest';
import { createCredential, TokenCache } from '../../../src/index.js';
import { type EntraEmulator, startEntraEmulator } from '../../../src/testing/index.js';

const HOUR = 3_600_000;
let entra: EntraEmulator;

beforeAll(async () => {
  entra = await startEntraEmulator();
});
afterAll(() => entra.close());

function application(changes: object = {}) {
  const { tenantId, clientId, clientSecret, url: authority } = entra;
  return createCredential({ tenantId, clientId, clientSecret, authority, ...changes });
}

test('28-hour tokens are requested with enableCae and handled like any other', async () => {
  const held = await new TokenCache(application({ enableCae: true })).get();
  expect(held.expiresOn - Date.now()).toBeGreaterThan(27 * HOUR);
  expect(held.evictAt).toBe(held.expiresOn - 300_000);
  expect(held.loginBefore).toBe(held.expiresOn - 60_000);
  expect(entra.verify(held.reveal())).toMatchObject({ xms_cc: ['cp1'] });
});

test('a caller can request them individually; other callers keep theirs', async () => {
  const tokens = new TokenCache(application());
  const long = await tokens.getToken(undefined, { enableCae: true });
  const short = await tokens.getToken();
  expect(long.expiresOnTimestamp - short.expiresOnTimestamp).toBeGreaterThan(20 * HOUR);
});

test('a claims challenge reaches the identity provider and replaces the token', async () => {
  const tokens = new TokenCache(application());
  const before = await tokens.getToken();
  const claims = '{"access_token":{"nbf":{"essential":true,"value":"1700000000"}}}';
  const after = await tokens.getToken(undefined, { claims });
  expect(after.token).not.toBe(before.token);
  expect((await tokens.getToken()).token).toBe(after.token);
  expect((await tokens.getToken(undefined, { claims })).token).toBe(after.token);
});

test('the same cache gets tokens for SQL, Key Vault and Graph, and for another tenant', async () => {
  const tokens = new TokenCache(application());
  const other = entra.addTenant();
  const resources = ['https://database.windows.net', 'https://vault.azure.net', 'https://graph.microsoft.com'];
  for (const audience of resources) {
    const { token } = await tokens.getToken(`${audience}/.default`);
    expect(entra.verify(token, { audience })).toMatchObject({ tid: entra.tenantId });
  }
  const { token } = await tokens.getToken('https://vault.azure.net/.default', { tenantId: other });
  expect(entra.verify(token)).toMatchObject({ tid: other });
});

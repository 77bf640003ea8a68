import { expect, test } from 'vitest';
import { type EntraEmulator, startEntraEmulator } from '../../../src/testing/index.js';
import { claimsOf, confidentialClient, postToken, SCOPES } from './clients/msal.js';

const exchange = (entra: EntraEmulator, oboAssertion: string) =>
  confidentialClient(entra).acquireTokenOnBehalfOf({ scopes: SCOPES, oboAssertion });

test('MSAL exchanges the token with which a user called the API', async () => {
  await using entra = await startEntraEmulator();
  const ada = entra.addUser({ userName: 'ada@contoso.example' });
  for (const audience of [`api://${entra.clientId}`, entra.clientId]) {
    const result = await exchange(entra, entra.issueToken({ principal: ada, audience }));
    expect(claimsOf(entra, result)).toMatchObject({ upn: ada.userName, oid: ada.objectId, appid: entra.clientId });
  }
});

test('each fault of the assertion has its AADSTS number', async () => {
  await using entra = await startEntraEmulator();
  await using other = await startEntraEmulator();
  const issue = (options: Parameters<typeof entra.issueToken>[0] = {}, from = entra) =>
    from.issueToken({ principal: entra.user, audience: entra.clientId, ...options });
  const refused = (errorNo: number) => expect.objectContaining({ errorNo });
  await expect(exchange(entra, 'rubbish')).rejects.toEqual(refused(50027));
  await expect(exchange(entra, issue({}, other))).rejects.toEqual(refused(50013));
  await expect(exchange(entra, `${issue().slice(0, -8)}AAAAAAAA`)).rejects.toEqual(refused(50013));
  await expect(exchange(entra, issue({ audience: 'https://vault.azure.net' }))).rejects.toEqual(refused(500131));
  await expect(exchange(entra, issue({ expiresInSeconds: -1 }))).rejects.toEqual(refused(500133));
  await expect(exchange(entra, issue({ principal: entra.clientId }))).rejects.toEqual(refused(7000114));
});

test('a second factor is required (50076) unless the assertion has one', async () => {
  await using entra = await startEntraEmulator({ user: { mfaRequired: true } });
  const audience = entra.clientId;
  const weak = entra.issueToken({ principal: entra.user, audience });
  await expect(exchange(entra, weak)).rejects.toMatchObject({
    name: 'InteractionRequiredAuthError',
    errorNo: 50076,
    claims: expect.stringContaining('capolids'),
  });
  const strong = entra.issueToken({ principal: entra.user, audience, claims: { amr: ['pwd', 'mfa'] } });
  expect(claimsOf(entra, await exchange(entra, strong))).toMatchObject({ amr: ['pwd', 'mfa'] });
});

test('the API must authenticate and specify the requested scope', async () => {
  await using entra = await startEntraEmulator();
  const form = {
    grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
    client_id: entra.clientId,
    assertion: entra.issueToken({ principal: entra.user, audience: entra.clientId }),
    scope: SCOPES.join(),
  };
  expect((await postToken(entra, form)).aadsts).toBe(7000218);
  const proved = { ...form, client_secret: entra.clientSecret };
  expect((await postToken(entra, proved)).aadsts).toBe(900144);
  expect((await postToken(entra, { ...proved, requested_token_use: 'on_behalf_of' })).status).toBe(200);
});

import { ConfidentialClientApplication } from '@azure/msal-node';
import { expect, test } from 'vitest';
import { type EntraEmulator, startEntraEmulator } from '../../../src/testing/index.js';
import { claimsOf, postToken, SCOPES } from './clients/msal.js';

function msalWithCapability(entra: EntraEmulator) {
  const { clientId, clientSecret, authority } = entra;
  const auth = { clientId, clientSecret, clientCapabilities: ['cp1'], ...authority };
  return new ConfidentialClientApplication({ auth });
}

test('an application that supports claims challenges gets a 28-hour token with a refresh time at half its lifetime', async () => {
  await using entra = await startEntraEmulator();
  const result = await msalWithCapability(entra).acquireTokenByClientCredential({ scopes: SCOPES });
  const claims = claimsOf(entra, result);
  expect(claims.xms_cc).toEqual(['cp1']);
  expect(claims.exp - claims.iat).toBe(28 * 3600);
  expect((result?.refreshOn?.getTime() ?? 0) - Date.now()).toBeGreaterThan(13.9 * 3_600_000);
  await using short = await startEntraEmulator({ caeTokenLifetimeSeconds: 120 });
  const other = claimsOf(short, await msalWithCapability(short).acquireTokenByClientCredential({ scopes: SCOPES }));
  expect(other.exp - other.iat).toBe(120);
});

test('a claims challenge gets a new token even with sameToken', async () => {
  await using entra = await startEntraEmulator({ sameToken: true });
  const credential = entra.credential();
  const first = await credential.getToken(SCOPES);
  expect((await credential.getToken(SCOPES)).token).toBe(first.token);
  const claims = JSON.stringify({ access_token: { nbf: { essential: true, value: '1700000000' } } });
  const challenged = await credential.getToken(SCOPES, { claims });
  expect(challenged.token).not.toBe(first.token);
  expect((await credential.getToken(SCOPES)).token).toBe(challenged.token);
});

test('the ready-made credential requests such a token with enableCae', async () => {
  await using entra = await startEntraEmulator();
  const { expiresOnTimestamp, refreshAfterTimestamp } = await entra.credential().getToken(SCOPES, { enableCae: true });
  expect(expiresOnTimestamp - Date.now()).toBeGreaterThan(27.9 * 3_600_000);
  expect(refreshAfterTimestamp).toBeLessThan(Date.now() + 14.1 * 3_600_000);
});

test('claims that are not JSON are refused', async () => {
  await using entra = await startEntraEmulator();
  await expect(entra.credential().getToken(SCOPES, { claims: '{' })).rejects.toMatchObject({ aadsts: 90014 });
});

test("revoking a user's sessions revokes their revocable tokens, but not ordinary ones", async () => {
  await using entra = await startEntraEmulator();
  const { userName: username, password } = entra.user;
  const form = { grant_type: 'password', client_id: entra.clientId, username, password, scope: SCOPES.join() };
  const cp1 = { claims: JSON.stringify({ access_token: { xms_cc: { values: ['cp1'] } } }) };
  const revocable = String((await postToken(entra, { ...form, ...cp1 })).body.access_token);
  const ordinary = String((await postToken(entra, form)).body.access_token);
  entra.revokeSessions(entra.user);
  expect(entra.verify(revocable)).toMatchObject({ error: 'revoked', claims: { upn: username } });
  expect(entra.verify(ordinary).error).toBeUndefined();
  const later = String((await postToken(entra, { ...form, ...cp1 })).body.access_token);
  expect(entra.verify(later).error).toBeUndefined();
});

test('a single token can be revoked and is not issued again', async () => {
  await using entra = await startEntraEmulator({ sameToken: true });
  const { token } = await entra.credential().getToken(SCOPES);
  entra.revokeToken(token);
  expect(entra.verify(token).error).toBe('revoked');
  const next = await entra.credential().getToken(SCOPES);
  expect(entra.verify(next.token).error).toBeUndefined();
  expect(() => entra.revokeToken('made up')).toThrow(/cannot be revoked: malformed/);
});

import { expect, test } from 'vitest';
import { type EntraEmulator, startEntraEmulator } from '../../../src/testing/index.js';
import { claimsOf, postToken, publicClient, SCOPES } from './clients/msal.js';

/** Signs in the default user with the password; MSAL keeps the refresh token. */
async function signedIn(entra: EntraEmulator) {
  const app = publicClient(entra);
  const { userName: username, password } = entra.user;
  const result = await app.acquireTokenByUsernamePassword({ scopes: SCOPES, username, password });
  const account = result?.account;
  if (!account) throw new Error('no account');
  return { renew: (scopes = SCOPES) => app.acquireTokenSilent({ account, scopes, forceRefresh: true }) };
}

/** The refresh token itself, which MSAL does not expose. */
async function rawRefreshToken(entra: EntraEmulator): Promise<string> {
  const { userName: username, password } = entra.user;
  const scope = `${SCOPES.join()} offline_access`;
  const { body } = await postToken(entra, {
    grant_type: 'password',
    client_id: entra.clientId,
    username,
    password,
    scope,
  });
  return String(body.refresh_token);
}

const redeem = (entra: EntraEmulator, refresh_token: string, more = {}) =>
  postToken(entra, { grant_type: 'refresh_token', client_id: entra.clientId, refresh_token, ...more });

test('MSAL renews silently, also for other resources', async () => {
  await using entra = await startEntraEmulator();
  const { renew } = await signedIn(entra);
  const first = await renew();
  const second = await renew();
  expect(claimsOf(entra, second)).toMatchObject({ upn: entra.user.userName, scp: 'user_impersonation' });
  expect(second?.accessToken).not.toBe(first?.accessToken);
  const vault = await renew(['https://vault.azure.net/.default']);
  expect(entra.verify(vault?.accessToken ?? '', { audience: 'https://vault.azure.net' }).error).toBeUndefined();
  expect(entra.requests.map((request) => request.grantType)).toEqual([
    'password',
    'refresh_token',
    'refresh_token',
    'refresh_token',
  ]);
});

test('every use issues a new refresh token; the old one stays valid unless oneTime is set', async () => {
  await using entra = await startEntraEmulator();
  await using strict = await startEntraEmulator({ refreshTokens: { oneTime: true } });
  const offline = { scope: `${SCOPES.join()} offline_access` };
  for (const [emulator, again] of [
    [entra, 200],
    [strict, 400],
  ] as const) {
    const old = await rawRefreshToken(emulator);
    const { body } = await redeem(emulator, old, offline);
    expect(body.refresh_token).not.toBe(old);
    expect((await redeem(emulator, old)).status).toBe(again);
    expect((await redeem(emulator, String(body.refresh_token))).status).toBe(200);
  }
});

test('without a scope, it renews the scope of the sign-in', async () => {
  await using entra = await startEntraEmulator();
  const { body } = await redeem(entra, await rawRefreshToken(entra));
  expect(entra.verify(String(body.access_token), { audience: 'https://database.windows.net' }).error).toBeUndefined();
});

test('revoked sessions (50173) and disabled accounts (50057) invalidate it, and MSAL requires interaction', async () => {
  await using entra = await startEntraEmulator();
  const { renew } = await signedIn(entra);
  entra.revokeSessions(entra.user);
  await expect(renew()).rejects.toMatchObject({ name: 'InteractionRequiredAuthError', errorNo: 50173 });
  const again = await signedIn(entra);
  await again.renew();
  entra.updateUser(entra.user.userName, { disabled: true });
  await expect(again.renew()).rejects.toMatchObject({ errorCode: 'invalid_grant', errorNo: 50057 });
});

test('it expires after 90 days without use (700082)', async () => {
  let now = Date.now();
  await using entra = await startEntraEmulator({ now: () => now });
  const token = await rawRefreshToken(entra);
  now += 90 * 86_400_000 - 1;
  expect((await redeem(entra, token)).status).toBe(200);
  now += 1;
  expect(await redeem(entra, token)).toMatchObject({
    status: 400,
    aadsts: 700082,
    body: { error: 'invalid_grant', suberror: 'bad_token' },
  });
});

test('a later policy requires a second factor (50076) and returns the claims to pass on', async () => {
  await using entra = await startEntraEmulator();
  const { renew } = await signedIn(entra);
  entra.updateUser(entra.user.userName, { mfaRequired: true });
  await expect(renew()).rejects.toMatchObject({
    name: 'InteractionRequiredAuthError',
    errorCode: 'interaction_required',
    errorNo: 50076,
    claims: expect.stringContaining('capolids'),
  });
});

test('an invalid one, or one of another application, is refused (70000)', async () => {
  await using entra = await startEntraEmulator();
  expect((await redeem(entra, 'made up')).aadsts).toBe(70000);
  const stolen = await rawRefreshToken(entra);
  expect((await redeem(entra, stolen, { client_id: entra.addApp().clientId })).aadsts).toBe(70000);
});

test('a refresh token of an application that authenticated requires its proof each time', async () => {
  await using entra = await startEntraEmulator();
  const { userName: username, password } = entra.user;
  const { clientSecret: client_secret } = entra;
  const scope = `${SCOPES.join()} offline_access`;
  const form = { grant_type: 'password', client_id: entra.clientId, client_secret, username, password, scope };
  const token = String((await postToken(entra, form)).body.refresh_token);
  expect((await redeem(entra, token)).aadsts).toBe(7000218);
  expect((await redeem(entra, token, { client_secret: 'wrong' })).aadsts).toBe(7000215);
  const renewed = await redeem(entra, token, { client_secret, scope });
  expect(renewed.status).toBe(200);
  expect((await redeem(entra, String(renewed.body.refresh_token))).aadsts).toBe(7000218);
});

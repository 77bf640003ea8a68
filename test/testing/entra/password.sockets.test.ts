import { expect, test } from 'vitest';
import { type EntraEmulator, startEntraEmulator } from '../../../src/testing/index.js';
import { claimsOf, postToken, publicClient, SCOPES } from './clients/msal.js';

const signIn = (entra: EntraEmulator, username: string, password: string) =>
  publicClient(entra).acquireTokenByUsernamePassword({ scopes: SCOPES, username, password });

test('MSAL gets a token with user name and password', async () => {
  await using entra = await startEntraEmulator();
  const ada = entra.addUser({ userName: 'Ada@contoso.example', displayName: 'Ada' });
  const result = await signIn(entra, 'ada@contoso.example', ada.password);
  expect(claimsOf(entra, result)).toMatchObject({ upn: 'Ada@contoso.example', name: 'Ada', amr: ['pwd'] });
  expect(result?.account).toMatchObject({ username: 'Ada@contoso.example', tenantId: entra.tenantId });
  expect(entra.requests[0]).toMatchObject({ grantType: 'password', userName: 'ada@contoso.example' });
});

test('an unknown user is 50034, a wrong password 50126, a disabled account 50057', async () => {
  await using entra = await startEntraEmulator();
  const { userName, password } = entra.user;
  const refused = (errorNo: number) => ({ errorCode: 'invalid_grant', errorNo });
  await expect(signIn(entra, 'stranger@contoso.example', password)).rejects.toMatchObject(refused(50034));
  await expect(signIn(entra, userName, 'guess')).rejects.toMatchObject(refused(50126));
  entra.updateUser(userName, { disabled: true });
  await expect(signIn(entra, userName, password)).rejects.toMatchObject(refused(50057));
  expect(() => entra.updateUser('stranger', {})).toThrow(TypeError);
});

test('a password alone is refused if a second factor is required: 50076', async () => {
  await using entra = await startEntraEmulator({ user: { mfaRequired: true } });
  await expect(signIn(entra, entra.user.userName, entra.user.password)).rejects.toMatchObject({
    name: 'InteractionRequiredAuthError',
    errorCode: 'interaction_required',
    errorNo: 50076,
  });
});

test('conditional access (53003) and missing consent (65001) can be simulated', async () => {
  await using entra = await startEntraEmulator();
  for (const aadsts of [53003, 65001] as const) {
    entra.fail({ aadsts, count: 1 });
    await expect(signIn(entra, entra.user.userName, entra.user.password)).rejects.toMatchObject({
      name: 'InteractionRequiredAuthError',
      errorCode: 'invalid_grant',
      errorNo: aadsts,
    });
  }
});

test('an application that is not a public client must send its secret', async () => {
  await using entra = await startEntraEmulator();
  const app = entra.addApp({ publicClient: false });
  const { userName: username, password } = entra.user;
  const form = { grant_type: 'password', client_id: app.clientId, username, password, scope: SCOPES.join() };
  expect((await postToken(entra, form)).aadsts).toBe(7000218);
  const { body } = await postToken(entra, { ...form, client_secret: app.clientSecret ?? '' });
  expect(entra.verify(String(body.access_token))).toMatchObject({ appidacr: '1', upn: username });
});

test('the ready-made credential of a user signs in with the password', async () => {
  await using entra = await startEntraEmulator();
  const { token } = await entra.credential(entra.user).getToken(SCOPES);
  expect(entra.verify(token)).toMatchObject({ upn: entra.user.userName });
});

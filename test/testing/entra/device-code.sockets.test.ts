import type { DeviceCodeRequest } from '@azure/msal-node';
import { expect, test } from 'vitest';
import { type EntraEmulator, startEntraEmulator } from '../../../src/testing/index.js';
import { claimsOf, postToken, publicClient, SCOPES } from './clients/msal.js';

const fast = { deviceCode: { intervalSeconds: 0.02 } };

/** MSAL's device code flow, with an action to run when the code is shown. */
function signIn(entra: EntraEmulator, onCode: DeviceCodeRequest['deviceCodeCallback']) {
  return publicClient(entra).acquireTokenByDeviceCode({ scopes: SCOPES, deviceCodeCallback: onCode });
}

test('MSAL waits while the sign-in is pending and gets the tokens of the user who approves', async () => {
  await using entra = await startEntraEmulator(fast);
  const ada = entra.addUser({ userName: 'ada@contoso.example' });
  const result = signIn(entra, ({ userCode, verificationUri, message }) => {
    expect(message).toContain(userCode);
    expect(verificationUri).toBe(`${entra.url}/common/oauth2/deviceauth`);
  });
  await expect.poll(() => entra.deviceSignIns[0]?.polls).toBeGreaterThanOrEqual(2);
  expect(entra.deviceSignIns[0]).toMatchObject({ state: 'pending', resource: 'https://database.windows.net' });
  entra.deviceSignIns[0]?.approve(ada);
  expect(claimsOf(entra, await result)).toMatchObject({ upn: ada.userName, appid: entra.clientId, appidacr: '0' });
  expect((await result)?.account?.username).toBe(ada.userName);
  expect(entra.deviceSignIns[0]?.state).toBe('redeemed');
  expect(new Set(entra.requests.map((request) => request.status))).toEqual(new Set([400, 200]));
  expect(entra.requests[0]?.aadsts).toBe(70016);
});

test('a second factor is part of the sign-in on the other device', async () => {
  await using entra = await startEntraEmulator({ ...fast, user: { mfaRequired: true } });
  const result = await signIn(entra, () => entra.deviceSignIns[0]?.approve());
  expect(claimsOf(entra, result)).toMatchObject({ upn: entra.user.userName, amr: ['pwd', 'mfa'] });
});

test('the sign-in ends if the user declines', async () => {
  await using entra = await startEntraEmulator(fast);
  const result = signIn(entra, () => entra.deviceSignIns[0]?.decline());
  await expect(result).rejects.toThrow(/authorization_declined/);
});

test('the sign-in ends if the code expires', async () => {
  await using entra = await startEntraEmulator(fast);
  await expect(signIn(entra, () => entra.deviceSignIns[0]?.expire())).rejects.toThrow(/expired_token/);
  expect(() => entra.deviceSignIns[0]?.approve()).toThrow(/is already expired/);
});

test('protocol: pending, slow_down, expired by the clock, single use', async () => {
  let now = Date.now();
  await using entra = await startEntraEmulator({ now: () => now });
  const client = { client_id: entra.clientId };
  const start = () =>
    postToken(entra, { ...client, scope: 'https://database.windows.net/.default' }, 'oauth2/v2.0/devicecode');
  const { body } = await start();
  expect(body).toMatchObject({
    user_code: expect.stringMatching(/^[A-Z]{9}$/),
    verification_uri: `${entra.url}/common/oauth2/deviceauth`,
    expires_in: 900,
    interval: 5,
  });
  const poll = async (device_code: unknown, other = {}) => {
    const grant_type = 'urn:ietf:params:oauth:grant-type:device_code';
    const answer = await postToken(entra, { ...client, grant_type, device_code: String(device_code), ...other });
    return answer.body.error ?? answer.status;
  };
  expect(await poll(body.device_code)).toBe('authorization_pending');
  now += 1000;
  expect(await poll(body.device_code)).toBe('slow_down');
  now += 5000;
  expect(await poll(body.device_code)).toBe('authorization_pending');
  now += 10_000;
  entra.deviceSignIns[0]?.approve();
  expect(await poll(body.device_code, { client_id: entra.addApp().clientId })).toBe('bad_verification_code');
  expect(await poll('made up')).toBe('bad_verification_code');
  expect(await poll(body.device_code)).toBe(200);
  now += 10_000;
  expect(await poll(body.device_code)).toBe('expired_token');
  const second = await start();
  now += 900_000;
  expect(await poll(second.body.device_code)).toBe('expired_token');
});

test('the page accepts the code and the password, and shows errors', async () => {
  await using entra = await startEntraEmulator(fast);
  const { userName: username, password } = entra.user;
  const client = { client_id: entra.clientId, scope: 'https://database.windows.net/.default' };
  const { body } = await postToken(entra, client, 'oauth2/v2.0/devicecode');
  const url = String(body.verification_uri);
  const send = async (form?: Record<string, string>) => {
    const response = await fetch(url, form === undefined ? {} : { method: 'POST', body: new URLSearchParams(form) });
    return `${response.status} ${await response.text()}`;
  };
  const user_code = String(body.user_code);
  expect(await send()).toMatch(/^200 [\s\S]*<label for="user_code">Code<\/label>/);
  expect(await send({ user_code: '<b>WRONG', username, password })).toMatch(
    /^400 [\s\S]*role="alert">This code is unknown[\s\S]*value="&lt;b&gt;WRONG"/,
  );
  expect(await send({ user_code, username, password: 'guess' })).toMatch(/^400 [\s\S]*AADSTS50126/);
  expect(entra.deviceSignIns[0]?.state).toBe('pending');
  const typed = `${user_code.slice(0, 4)}-${user_code.slice(4).toLowerCase()}`;
  expect(await send({ user_code: typed, username, password })).toMatch(/^200 [\s\S]*is signed in now/);
  expect(entra.deviceSignIns[0]?.state).toBe('approved');
  await postToken(entra, client, 'oauth2/v2.0/devicecode');
  const other = entra.deviceSignIns[1]?.userCode ?? '';
  expect(await send({ user_code: other, decision: 'decline' })).toMatch(/^200 [\s\S]*was not signed in/);
  expect(entra.deviceSignIns[1]?.state).toBe('declined');
});

test('a fault can affect only the polls', async () => {
  await using entra = await startEntraEmulator(fast);
  entra.fail({
    status: 503,
    when: ({ endpoint, grantType }) => endpoint === 'token' && grantType.includes('device_code'),
  });
  await expect(signIn(entra, () => {})).rejects.toThrow();
  expect(entra.deviceSignIns).toHaveLength(1);
  entra.heal();
  entra.fail({ status: 503, when: ({ endpoint }) => endpoint === 'devicecode' });
  const client = { client_id: entra.clientId, scope: 'https://database.windows.net/.default' };
  expect((await postToken(entra, client, 'oauth2/v2.0/devicecode')).status).toBe(503);
});

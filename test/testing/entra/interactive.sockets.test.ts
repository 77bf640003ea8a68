import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { type EntraEmulator, type SignInResult, startEntraEmulator } from '../../../src/testing/index.js';
import { claimsOf, confidentialClient, postToken, publicClient, SCOPES } from './clients/msal.js';

const verifier = 'a'.repeat(64);
const codeChallenge = createHash('sha256').update(verifier).digest('base64url');
const redirectUri = 'http://localhost:1/';

/** The URL that MSAL would open in a browser. */
function authorizeUrl(entra: EntraEmulator, more: { responseMode?: 'query' | 'form_post'; prompt?: string } = {}) {
  return publicClient(entra).getAuthCodeUrl({
    scopes: SCOPES,
    redirectUri,
    codeChallenge,
    codeChallengeMethod: 'S256',
    state: 'state <1>',
    nonce: 'nonce-1',
    ...more,
  });
}

/** Submits the page's form; returns the parameters sent to the application. */
async function submit(entra: EntraEmulator, url: string, fields: Record<string, string> = {}) {
  const { userName: username, password } = entra.user;
  const form = new URLSearchParams(new URL(url).searchParams);
  for (const [name, value] of Object.entries({ username, password, ...fields })) form.set(name, value);
  const response = await fetch(url.split('?')[0] ?? '', { method: 'POST', body: form, redirect: 'manual' });
  const location = response.headers.get('location');
  return {
    status: response.status,
    body: await response.text(),
    back: new URL(location ?? 'http://none').searchParams,
  };
}

test('MSAL signs in through its own loopback page and then renews silently', async () => {
  await using entra = await startEntraEmulator();
  const ada = entra.addUser({ userName: 'ada@contoso.example', mfaRequired: true });
  const app = publicClient(entra);
  let page: SignInResult | undefined;
  const result = await app.acquireTokenInteractive({
    scopes: SCOPES,
    successTemplate: '<h1>Welcome</h1>',
    openBrowser: async (url) => {
      page = await entra.signIn(url, ada);
    },
  });
  expect(claimsOf(entra, result)).toMatchObject({ upn: ada.userName, amr: ['pwd', 'mfa'], appid: entra.clientId });
  expect(page?.body).toContain('Welcome');
  const account = result.account ?? undefined;
  if (account === undefined) throw new Error('no account');
  const renewed = await app.acquireTokenSilent({ scopes: SCOPES, account, forceRefresh: true });
  expect(claimsOf(entra, renewed)).toMatchObject({ upn: ada.userName });
  expect(entra.requests.map((request) => request.grantType)).toEqual(['authorization_code', 'refresh_token']);
});

test('if the user cancels, MSAL gets access_denied', async () => {
  await using entra = await startEntraEmulator();
  const attempt = publicClient(entra).acquireTokenInteractive({
    scopes: SCOPES,
    openBrowser: async (url) => {
      await entra.signIn(url, 'cancel');
    },
  });
  await expect(attempt).rejects.toMatchObject({ errorCode: 'access_denied' });
});

test('the code is returned with the state and is valid once, for this verifier and redirect URI', async () => {
  await using entra = await startEntraEmulator();
  const url = await authorizeUrl(entra);
  const newCode = async () => {
    const { status, back } = await submit(entra, url);
    expect([status, back.get('state')]).toEqual([302, 'state <1>']);
    return back.get('code') ?? '';
  };
  const redeem = (code: string, more = {}) =>
    postToken(entra, {
      grant_type: 'authorization_code',
      client_id: entra.clientId,
      code,
      redirect_uri: redirectUri,
      code_verifier: verifier,
      ...more,
    });
  const code = await newCode();
  expect((await redeem(code, { code_verifier: 'b'.repeat(64) })).aadsts).toBe(501481);
  expect((await redeem(code, { redirect_uri: 'http://localhost:2/' })).aadsts).toBe(500112);
  expect((await redeem(code, { redirect_uri: '' })).aadsts).toBe(900144);
  expect((await redeem(code, { client_id: entra.addApp().clientId })).aadsts).toBe(70000);
  const { body } = await redeem(code);
  expect(claimsOf(entra, { accessToken: String(body.access_token) })).toMatchObject({ upn: entra.user.userName });
  expect(entra.verify(String(body.id_token), { audience: entra.clientId })).toMatchObject({
    nonce: 'nonce-1',
    preferred_username: entra.user.userName,
  });
  expect((await redeem(code)).aadsts).toBe(54005);
  const second = { code: await newCode(), nonce: 'nonce-1' };
  const confidential = await confidentialClient(entra).acquireTokenByCode(
    { ...second, scopes: SCOPES, redirectUri, codeVerifier: verifier },
    second,
  );
  expect(claimsOf(entra, confidential)).toMatchObject({ appidacr: '1' });
});

test('a code is valid for ten minutes', async () => {
  let now = Date.now();
  await using entra = await startEntraEmulator({ now: () => now });
  const { back } = await submit(entra, await authorizeUrl(entra));
  now += 600_000;
  const code = { code: back.get('code') ?? '', redirect_uri: redirectUri, code_verifier: verifier };
  const answer = await postToken(entra, { grant_type: 'authorization_code', client_id: entra.clientId, ...code });
  expect(answer.aadsts).toBe(70008);
});

test('form_post returns the user with a form that submits itself, or with a button if scripts are off', async () => {
  await using entra = await startEntraEmulator();
  const { status, body } = await submit(entra, await authorizeUrl(entra, { responseMode: 'form_post' }));
  expect(status).toBe(200);
  expect(body).toContain('<form method="post" action="http://localhost:1/">');
  expect(body).toContain('name="state" value="state &lt;1&gt;"');
  expect(body).toMatch(/name="code" value="1\.[\w-]+"/);
  expect(body).toMatch(/<button type="submit">Continue<\/button>/);
});

test('fragment returns the code, or the error, behind the # of the URL', async () => {
  await using entra = await startEntraEmulator();
  const url = new URL(await authorizeUrl(entra));
  url.searchParams.set('response_mode', 'fragment');
  const { userName: username, password } = entra.user;
  const locationAfter = async (fields: Record<string, string>) => {
    const form = new URLSearchParams(url.searchParams);
    for (const [name, value] of Object.entries(fields)) form.set(name, value);
    const page = `${url.origin}${url.pathname}`;
    const { headers } = await fetch(page, { method: 'POST', body: form, redirect: 'manual' });
    const { search, hash } = new URL(headers.get('location') ?? 'http://none');
    return { search, fragment: new URLSearchParams(hash.slice(1)) };
  };
  const { search, fragment } = await locationAfter({ username, password });
  expect([search, fragment.get('state')]).toEqual(['', 'state <1>']);
  expect(fragment.get('code')).toMatch(/^1\.[\w-]+$/);
  expect((await locationAfter({ decision: 'cancel' })).fragment.get('error')).toBe('access_denied');
});

test('the page shows the application and the error, and keeps the input', async () => {
  await using entra = await startEntraEmulator({ app: { displayName: 'Shop <3' } });
  const url = await authorizeUrl(entra);
  const first = await fetch(url);
  const text = await first.text();
  expect(text).toContain('Shop &lt;3');
  expect(text).toContain('<label for="password">Password</label>');
  expect(first.headers.get('content-security-policy')).toContain("default-src 'none'");
  const wrong = await submit(entra, url, { password: 'guess' });
  expect(wrong.status).toBe(400);
  expect(wrong.body).toMatch(/role="alert">AADSTS50126/);
  expect(wrong.body).toContain(`value="${entra.user.userName}"`);
  expect(wrong.body).not.toContain('guess');
  expect((await submit(entra, url, { username: 'stranger' })).body).toContain('AADSTS50034');
});

test('errors that cannot be returned safely are shown on the page; others are returned to the application', async () => {
  await using entra = await startEntraEmulator();
  const url = await authorizeUrl(entra);
  const changed = async (changes: Record<string, string>) => {
    const other = new URL(url);
    for (const [name, value] of Object.entries(changes)) other.searchParams.set(name, value);
    const response = await fetch(other, { redirect: 'manual' });
    const back = new URL(response.headers.get('location') ?? 'http://none').searchParams;
    return [response.status, back.get('error'), /AADSTS\d+/.exec(await response.text())?.[0]];
  };
  expect(await changed({ redirect_uri: 'https://evil.example/' })).toEqual([400, null, 'AADSTS50011']);
  expect(await changed({ client_id: 'unknown' })).toEqual([400, null, 'AADSTS700016']);
  expect((await changed({ response_type: 'token' })).slice(0, 2)).toEqual([302, 'unsupported_response_type']);
  expect((await changed({ scope: 'https://nowhere.example/.default' })).slice(0, 2)).toEqual([302, 'invalid_resource']);
  expect(await changed({ response_mode: 'weird' })).toEqual([400, null, 'AADSTS70007']);
  expect((await changed({ prompt: 'none' })).slice(0, 2)).toEqual([302, 'login_required']);
  expect((await changed({ code_challenge_method: 'S512' })).slice(0, 2)).toEqual([302, 'invalid_request']);
  const web = entra.addApp({ publicClient: false, redirectUris: ['https://shop.example/signed-in'] });
  const registered = { client_id: web.clientId, redirect_uri: 'https://shop.example/signed-in' };
  expect((await changed(registered))[0]).toBe(200);
  expect((await changed({ ...registered, redirect_uri: redirectUri }))[2]).toBe('AADSTS50011');
});

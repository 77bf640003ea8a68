import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inspect, promisify } from 'node:util';
import type { TokenCredential } from '@azure/core-auth';
import { ConfidentialClientApplication } from '@azure/msal-node';
import { expect, test } from 'vitest';
import { type EntraEmulator, startEntraEmulator } from '../../../src/testing/index.js';

const CLIENT = fileURLToPath(new URL('clients/client-secret.mjs', import.meta.url));
const SCOPES = ['https://database.windows.net/.default'];

function msal(entra: EntraEmulator, auth: { clientId?: string; clientSecret?: string; tenantId?: string } = {}) {
  const { tenantId, ...rest } = auth;
  const { authority, ...metadata } = entra.authority;
  return new ConfidentialClientApplication({
    auth: {
      clientId: entra.clientId,
      clientSecret: entra.clientSecret,
      authority: tenantId === undefined ? authority : authority.replace(entra.tenantId, tenantId),
      ...metadata,
      ...rest,
    },
  });
}

test('MSAL gets a token over plain http with one request', async () => {
  await using entra = await startEntraEmulator();
  const before = Date.now();
  const result = await msal(entra).acquireTokenByClientCredential({ scopes: SCOPES });
  expect(entra.verify(result?.accessToken ?? '', { audience: 'https://database.windows.net' })).toMatchObject({
    aud: 'https://database.windows.net',
    iss: entra.issuer,
    tid: entra.tenantId,
    appid: entra.clientId,
    idtyp: 'app',
    ver: '1.0',
  });
  expect((result?.expiresOn?.getTime() ?? 0) - before).toBeGreaterThan(3_590_000);
  expect(entra.requests).toHaveLength(1);
  expect(entra.requests[0]).toMatchObject({
    endpoint: 'token',
    grantType: 'client_credentials',
    tenantId: entra.tenantId,
    clientId: entra.clientId,
    scope: SCOPES[0],
    status: 200,
  });
  expect(entra.requests[0]?.time).toBeGreaterThanOrEqual(before);
});

const refused = [
  { what: 'a wrong secret', auth: { clientSecret: 'guess' }, status: 401, error: 'invalid_client', number: 7000215 },
  {
    what: 'an unknown application',
    auth: { clientId: '11111111-2222-3333-4444-555555555555' },
    status: 400,
    error: 'unauthorized_client',
    number: 700016,
  },
  {
    what: 'a wrong tenant',
    auth: { tenantId: '99999999-2222-3333-4444-555555555555' },
    status: 400,
    error: 'invalid_request',
    number: 90002,
  },
];
for (const { what, auth, status, error, number } of refused) {
  test(`${what} is refused with AADSTS${number}`, async () => {
    await using entra = await startEntraEmulator();
    const attempt = msal(entra, auth).acquireTokenByClientCredential({ scopes: SCOPES });
    await expect(attempt).rejects.toMatchObject({ errorCode: error, errorNo: number, status });
    expect(entra.requests.map((request) => [request.status, request.aadsts])).toEqual([[status, number]]);
  });
}

test('an expired secret is refused with AADSTS7000222, and a rotated one works at once', async () => {
  await using entra = await startEntraEmulator();
  entra.updateApp(entra.clientId, { secretExpiresOn: new Date(Date.now() - 1000) });
  const attempt = msal(entra).acquireTokenByClientCredential({ scopes: SCOPES });
  await expect(attempt).rejects.toMatchObject({ errorNo: 7000222 });
  entra.updateApp(entra.clientId, { clientSecret: 'rotated', secretExpiresOn: undefined });
  await msal(entra, { clientSecret: 'rotated' }).acquireTokenByClientCredential({ scopes: SCOPES });
});

test('an unregistered resource is refused with AADSTS500011 until it is added', async () => {
  await using entra = await startEntraEmulator();
  const scopes = ['https://api.contoso.example/.default'];
  await expect(entra.credential().getToken(scopes)).rejects.toMatchObject({ aadsts: 500011 });
  entra.addResource('https://api.contoso.example');
  const { token } = await entra.credential().getToken(scopes);
  expect(entra.verify(token, { audience: 'https://api.contoso.example' }).error).toBeUndefined();
});

test('an error has the fields and headers of the real service', async () => {
  await using entra = await startEntraEmulator();
  const response = await fetch(`${entra.url}/${entra.tenantId}/oauth2/v2.0/token`, {
    method: 'POST',
    headers: { 'client-request-id': '5bb3b9ed-0f3c-4a3d-9a08-4c5d3f7a0d7c' },
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: entra.clientId,
      client_secret: 'wrong',
      scope: 'https://database.windows.net/.default',
    }),
  });
  const body = (await response.json()) as Record<string, unknown>;
  expect(response.status).toBe(401);
  expect(body).toMatchObject({
    error: 'invalid_client',
    error_codes: [7000215],
    correlation_id: '5bb3b9ed-0f3c-4a3d-9a08-4c5d3f7a0d7c',
    trace_id: response.headers.get('x-ms-request-id'),
    error_uri: 'https://login.microsoftonline.com/error?code=7000215',
  });
  expect(body.error_description).toMatch(
    /^AADSTS7000215: Invalid client secret provided\..* Trace ID: [-\w]{36} Correlation ID: 5bb3b9ed-[-\w]+ Timestamp: [-\d]{10} [:\d]{8}Z$/,
  );
  expect(body.timestamp).toMatch(/^[-\d]{10} [:\d]{8}Z$/);
  expect(response.headers.get('client-request-id')).toBe('5bb3b9ed-0f3c-4a3d-9a08-4c5d3f7a0d7c');
});

test('the refusal of an incomplete request names the missing part', async () => {
  await using entra = await startEntraEmulator();
  const post = async (form: Record<string, string>) => {
    const url = `${entra.url}/${entra.tenantId}/oauth2/v2.0/token`;
    const response = await fetch(url, { method: 'POST', body: new URLSearchParams(form) });
    return (await response.json()) as { error: string; error_codes: number[]; error_description: string };
  };
  const app = { grant_type: 'client_credentials', client_id: entra.clientId };
  const proved = { ...app, client_secret: entra.clientSecret };
  expect(await post({})).toMatchObject({ error_codes: [900144] });
  expect(await post({ grant_type: 'client_credentials' })).toMatchObject({ error_codes: [900144] });
  expect((await post({ grant_type: 'client_credentials' })).error_description).toContain("'client_id'");
  expect(await post(app)).toMatchObject({ error: 'invalid_client', error_codes: [7000218] });
  expect(await post(proved)).toMatchObject({ error_codes: [900144] });
  expect(await post({ ...proved, scope: 'https://database.windows.net/user_impersonation' })).toMatchObject({
    error: 'invalid_scope',
    error_codes: [1002012],
  });
  expect(await post({ ...proved, scope: 'https://database.windows.net' })).toMatchObject({ error_codes: [1002012] });
  expect(await post({ ...proved, scope: 'api://x openid' })).toMatchObject({ error_codes: [1002012] });
  expect(await post({ ...app, grant_type: 'magic' })).toMatchObject({ error: 'unsupported_grant_type' });
});

test('the secret can be sent as HTTP Basic, and version 1 answers with strings and the resource', async () => {
  await using entra = await startEntraEmulator({ app: { clientSecret: 'needs %+ escaping: é' } });
  const basic = `${encodeURIComponent(entra.clientId)}:${encodeURIComponent(entra.clientSecret)}`;
  const response = await fetch(`${entra.url}/${entra.tenantId}/oauth2/token`, {
    method: 'POST',
    headers: { Authorization: `Basic ${Buffer.from(basic).toString('base64')}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', resource: 'https://database.windows.net/' }),
  });
  const body = (await response.json()) as Record<string, string>;
  expect(body).toMatchObject({ token_type: 'Bearer', resource: 'https://database.windows.net/' });
  expect(Number(body.expires_in)).toBeGreaterThanOrEqual(3598);
  const claims = entra.verify(body.access_token ?? '');
  expect(claims).toMatchObject({ aud: 'https://database.windows.net/', exp: Number(body.expires_on) });
  expect(entra.requests[0]).toMatchObject({ clientId: entra.clientId, status: 200 });
});

test('over https, only clients that trust its certificate authority can connect', async () => {
  await using entra = await startEntraEmulator({ https: true });
  expect(entra.url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
  const { token } = await entra.credential().getToken('https://database.windows.net/.default');
  expect(entra.verify(token).error).toBeUndefined();
  await expect(fetch(`${entra.url}/${entra.tenantId}/discovery/v2.0/keys`)).rejects.toThrow();
});

test('over https, MSAL uses discovery if the process trusts the certificate authority', async () => {
  await using entra = await startEntraEmulator({ https: true });
  const directory = await mkdtemp(join(tmpdir(), 'entra-ca-'));
  try {
    await writeFile(join(directory, 'ca.pem'), entra.ca ?? '');
    const { authority, knownAuthorities } = entra.authority;
    const auth = { clientId: entra.clientId, clientSecret: entra.clientSecret, authority, knownAuthorities };
    const { stdout } = await promisify(execFile)(process.execPath, [CLIENT, JSON.stringify({ auth, scopes: SCOPES })], {
      env: { NODE_EXTRA_CA_CERTS: join(directory, 'ca.pem') },
    });
    expect(entra.verify(stdout)).toMatchObject({ appid: entra.clientId, iss: `${entra.url}/${entra.tenantId}/` });
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('the credential is a TokenCredential, prints no secret and can be cloned', async () => {
  await using entra = await startEntraEmulator();
  const credential: TokenCredential = entra.credential();
  expect(inspect(credential, { depth: 9 }) + JSON.stringify(credential)).not.toContain(entra.clientSecret);
  const { token } = (await { ...credential }.getToken(SCOPES)) ?? { token: '' };
  expect(entra.verify(token).error).toBeUndefined();
  entra.updateApp(entra.clientId, { clientSecret: 'rotated' });
  await credential.getToken(SCOPES);
});

test('recorded requests contain no secret or token', async () => {
  await using entra = await startEntraEmulator();
  const { token } = await entra.credential().getToken(SCOPES);
  await entra.credential(entra.user).getToken(SCOPES);
  const printed = JSON.stringify(entra.requests);
  for (const secret of [entra.clientSecret, entra.user.password, token]) expect(printed).not.toContain(secret);
});

test('start fails if the port is taken', async () => {
  await using entra = await startEntraEmulator();
  const port = Number(new URL(entra.url).port);
  await expect(startEntraEmulator({ port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
});

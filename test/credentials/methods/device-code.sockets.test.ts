import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createCredential, type DeviceCode, TokenCache } from '../../../src/index.js';
import { type EntraEmulator, startEntraEmulator } from '../../../src/testing/index.js';
import { httpServer } from '../../support/http-server.js';
import { printed } from '../printed.js';

const SCOPE = 'https://database.windows.net/.default';
let entra: EntraEmulator;
let codes: DeviceCode[];

beforeEach(async () => {
  codes = [];
  entra = await startEntraEmulator({ deviceCode: { intervalSeconds: 0.05 } });
});
afterEach(() => entra.close());

function credential(onCode: (code: DeviceCode) => void = () => {}) {
  return createCredential({
    method: 'device-code',
    tenantId: entra.tenantId,
    authority: entra.url,
    onCode: (code) => {
      codes.push(code);
      onCode(code);
    },
  });
}

const approve = () => entra.deviceSignIns.at(-1)?.approve();
const polls = () => entra.deviceSignIns.at(-1)?.polls ?? 0;

test('signs in the user who enters the code', async () => {
  const person = credential();
  const waiting = person.getToken(SCOPE);
  await expect.poll(polls).toBeGreaterThan(1);
  expect(codes[0]?.message).toContain(codes[0]?.userCode);
  expect(codes[0]?.expiresOn).toBeGreaterThan(Date.now());
  approve();
  const answer = await waiting;
  expect(entra.verify(answer?.token ?? '')).toMatchObject({ upn: entra.user.userName });
  expect(person.principal).toMatchObject({ method: 'device-code', id: entra.user.userName, tenantId: entra.tenantId });
});

test('shows one code to a hundred callers, for two resources', async () => {
  const tokens = new TokenCache(credential(approve));
  const scopes = [SCOPE, 'https://graph.microsoft.com/.default'];
  await Promise.all(Array.from({ length: 100 }, (_, i) => tokens.get(scopes[i % 2])));
  expect(codes).toHaveLength(1);
});

test('renews silently until the sign-in is revoked; then reports it once without a prompt', async () => {
  const person = credential(approve);
  await person.getToken(SCOPE);
  for (let i = 0; i < 3; i += 1) await person.getToken(SCOPE);
  expect(codes).toHaveLength(1);
  entra.revokeSessions(entra.user);
  for (let i = 0; i < 3; i += 1) {
    await expect(person.getToken(SCOPE)).rejects.toMatchObject({
      code: 'ERR_INTERACTION_REQUIRED',
      aadsts: 50173,
      hint: expect.stringContaining('signIn()'),
    });
  }
  expect(codes).toHaveLength(1);
  await person.signIn();
  expect(codes).toHaveLength(2);
  await person.getToken(SCOPE);
  expect(codes).toHaveLength(2);
});

describe('while the user signs in', () => {
  test('a 503, HTML and a dropped connection do not end it', async () => {
    const polling = (request: { endpoint: string }) => request.endpoint === 'token';
    const waiting = credential().getToken(SCOPE);
    await expect.poll(polls).toBeGreaterThan(0);
    const faults = [{ status: 503 }, { status: 502, body: '<html>' }, { reset: true }];
    for (const fault of faults) {
      const active = entra.fail({ ...fault, count: 1, when: polling });
      await expect.poll(() => active.hits).toBe(1);
    }
    approve();
    expect((await waiting)?.token).toBeTruthy();
    expect(codes).toHaveLength(1);
  });

  test('"declined" ends the sign-in, without another prompt', async () => {
    const person = credential(() => entra.deviceSignIns.at(-1)?.decline());
    const said = { code: 'ERR_INTERACTION_REQUIRED', message: expect.stringContaining('declined') };
    await expect(person.getToken(SCOPE)).rejects.toMatchObject(said);
    await expect(person.getToken(SCOPE)).rejects.toMatchObject({ code: 'ERR_INTERACTION_REQUIRED' });
    expect(codes).toHaveLength(1);
  });

  test('an expired code ends it', async () => {
    const person = credential(() => entra.deviceSignIns.at(-1)?.expire());
    const said = { code: 'ERR_INTERACTION_REQUIRED', message: expect.stringContaining('expired') };
    await expect(person.getToken(SCOPE)).rejects.toMatchObject(said);
  });

  test('a caller can cancel it at once', async () => {
    const abort = new AbortController();
    const waiting = credential(() => abort.abort()).getToken(SCOPE, { abortSignal: abort.signal });
    await expect(waiting).rejects.toMatchObject({ code: 'ERR_ABORTED' });
  });
});

test('slow_down lengthens the wait', async () => {
  const body = { error: 'slow_down', error_description: 'AADSTS70016: slow down' };
  const slow = entra.fail({ status: 400, body, count: 1, when: (request) => request.endpoint === 'token' });
  const abort = new AbortController();
  const waiting = credential().getToken(SCOPE, { abortSignal: abort.signal });
  await expect.poll(() => slow.hits).toBe(1);
  await new Promise((resolve) => setTimeout(resolve, 300));
  // Without it, the next poll would come after 50 ms.
  expect(polls()).toBe(0);
  abort.abort();
  await expect(waiting).rejects.toMatchObject({ code: 'ERR_ABORTED' });
});

test("Retry-After in a poll's answer lengthens the wait", async () => {
  const busy = entra.fail({ status: 503, retryAfter: 30, count: 1, when: (request) => request.endpoint === 'token' });
  const abort = new AbortController();
  const waiting = credential().getToken(SCOPE, { abortSignal: abort.signal });
  await expect.poll(() => busy.hits).toBe(1);
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(polls()).toBe(0);
  abort.abort();
  await expect(waiting).rejects.toMatchObject({ code: 'ERR_ABORTED' });
});

test('the error for an answer without a refresh token says which permission to grant', async () => {
  const body = { access_token: 'x', token_type: 'Bearer', expires_in: 3600 };
  entra.fail({ status: 200, body, when: (request) => request.endpoint === 'token' });
  await expect(credential().getToken(SCOPE)).rejects.toMatchObject({
    code: 'ERR_CONFIGURATION',
    hint: expect.stringContaining('offline_access'),
  });
});

test('claims are sent with the request for a code', async () => {
  await using provider = await httpServer(() => ({ status: 400, body: { error: 'invalid_request' } }));
  const person = createCredential({ method: 'device-code', tenantId: 'contoso.example', authority: provider.url });
  const claims = '{"access_token":{"nbf":{"essential":true,"value":"1"}}}';
  await expect(person.getToken(SCOPE, { claims })).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_REJECTED' });
  expect(new URLSearchParams(provider.requests[0]?.body).get('claims')).toBe(claims);
});

test('a refusal to start is reported before anything is shown', async () => {
  const person = createCredential({
    method: 'device-code',
    tenantId: entra.tenantId,
    clientId: '11111111-2222-4333-8444-555555555555',
    authority: entra.url,
    onCode: (code) => codes.push(code) as never,
  });
  await expect(person.getToken(SCOPE)).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_REJECTED', aadsts: 700016 });
  expect(codes).toHaveLength(0);
});

test('shows no device code or token when printed', async () => {
  const person = credential(approve);
  const answer = await person.getToken(SCOPE);
  expect(printed(person, person.principal)).not.toContain(answer?.token);
});

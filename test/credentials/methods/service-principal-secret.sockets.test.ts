import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createCredential, TokenCache } from '../../../src/index.js';
import { type EntraEmulator, startEntraEmulator } from '../../../src/testing/index.js';
import { printed } from '../printed.js';

const SCOPE = 'https://database.windows.net/.default';
let entra: EntraEmulator;

beforeAll(async () => {
  entra = await startEntraEmulator();
});
afterEach(() => entra.heal());
afterAll(() => entra.close());

function options(changes: object = {}) {
  const { tenantId, clientId, clientSecret, url } = entra;
  return { tenantId, clientId, clientSecret, authority: url, ...changes };
}

function asked(): number {
  return entra.requests.length;
}

test('gets a token for the application', async () => {
  const credential = createCredential(options());
  const answer = await credential.getToken(SCOPE);
  expect(entra.verify(answer?.token ?? '', { audience: 'https://database.windows.net' })).toMatchObject({
    appid: entra.clientId,
  });
  expect(credential.principal).toEqual({
    method: 'service-principal-secret',
    id: entra.clientId,
    tenantId: entra.tenantId,
    expiresOn: answer?.expiresOnTimestamp,
  });
});

test('a hundred cold callers make one request, and discovery makes none', async () => {
  const tokens = new TokenCache(createCredential(options()));
  const before = asked();
  const held = await Promise.all(Array.from({ length: 100 }, () => tokens.get()));
  expect(new Set(held).size).toBe(1);
  expect(asked() - before).toBe(1);
  expect(entra.requests.at(-1)).toMatchObject({ endpoint: 'token', grantType: 'client_credentials', status: 200 });
});

test('caches nothing: each request returns a new token', async () => {
  const credential = createCredential(options());
  const [one, two] = [await credential.getToken(SCOPE), await credential.getToken(SCOPE)];
  expect(one?.token).not.toBe(two?.token);
});

test('uses the current secret if it is a function', async () => {
  const app = entra.addApp({ clientSecret: 'first-secret' });
  let current = 'first-secret';
  const credential = createCredential(options({ clientId: app.clientId, clientSecret: async () => current }));
  await credential.getToken(SCOPE);
  entra.updateApp(app.clientId, { clientSecret: 'second-secret' });
  await expect(credential.getToken(SCOPE)).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_REJECTED' });
  current = 'second-secret';
  await credential.getToken(SCOPE);
});

test("passes on the issuer's times", async () => {
  entra.setTokenLifetime(86_400, 43_200);
  try {
    const answer = await createCredential(options()).getToken(SCOPE);
    expect((answer?.refreshAfterTimestamp ?? 0) - Date.now()).toBeGreaterThan(43_100_000);
    expect((answer?.expiresOnTimestamp ?? 0) - Date.now()).toBeGreaterThan(86_300_000);
  } finally {
    entra.setTokenLifetime(3600);
  }
});

describe("the identity provider's answer reaches the caller", () => {
  test.each([
    [{ clientSecret: 'wrong-secret-value' }, 'ERR_CREDENTIAL_REJECTED', 7000215, /value, not its id/],
    [{ clientId: '11111111-2222-4333-8444-555555555555' }, 'ERR_CREDENTIAL_REJECTED', 700016, /clientId and tenantId/],
    [{ tenantId: '11111111-2222-4333-8444-555555555555' }, 'ERR_CREDENTIAL_REJECTED', 90002, /tenantId/],
  ])('refusal of %o', async (changes, code, aadsts, hint) => {
    const error = await createCredential(options(changes))
      .getToken(SCOPE)
      .catch((e) => e);
    expect(error).toMatchObject({ code, aadsts, hint: expect.stringMatching(hint) });
    expect(error.correlationId).toMatch(/^[0-9a-f-]{36}$/);
    expect(error.message).toContain(`AADSTS${aadsts}`);
    expect(printed(error)).not.toContain('wrong-secret-value');
    expect(printed(error)).not.toContain(entra.clientSecret);
  });

  test.each([
    [
      { status: 429, retryAfter: 7 },
      { code: 'ERR_TOKEN_THROTTLED', status: 429, retryAfterMs: 7_000 },
    ],
    [
      { status: 429, retryAfter: 'Fri, 31 Dec 1999 23:59:59 GMT' },
      { code: 'ERR_TOKEN_THROTTLED', retryAfterMs: 0 },
    ],
    [{ status: 500 }, { code: 'ERR_TOKEN_UNAVAILABLE', status: 500 }],
    [
      { status: 503, body: '<html>busy</html>', retryAfter: 3 },
      { code: 'ERR_TOKEN_UNAVAILABLE', retryAfterMs: 3_000 },
    ],
    [{ status: 200, body: '<html>captive portal</html>' }, { code: 'ERR_TOKEN_UNAVAILABLE' }],
    [{ status: 302, headers: { location: 'http://127.0.0.1:1/' }, body: '' }, { code: 'ERR_TOKEN_UNAVAILABLE' }],
    [{ reset: true }, { code: 'ERR_TOKEN_UNAVAILABLE', cause: { code: 'ECONNRESET' } }],
    [
      { status: 200, body: 'x'.repeat(2_000_000) },
      { code: 'ERR_TOKEN_UNAVAILABLE', message: expect.stringContaining('more than 128 KiB') },
    ],
    // No user can sign in again for an application.
    [{ status: 400, body: { error: 'invalid_grant' } }, { code: 'ERR_CREDENTIAL_REJECTED' }],
  ])('%o', async (fault, expected) => {
    const credential = createCredential(options());
    entra.fail(fault);
    const before = asked();
    await expect(credential.getToken(SCOPE)).rejects.toMatchObject(expected);
    entra.heal();
    // MSAL itself would now throttle for a minute.
    await credential.getToken(SCOPE);
    expect(asked() - before).toBe(2);
  });

  test('the error names an unreachable provider, with the cause', async () => {
    const credential = createCredential(options({ authority: 'http://127.0.0.1:1' }));
    await expect(credential.getToken(SCOPE)).rejects.toMatchObject({
      code: 'ERR_TOKEN_UNAVAILABLE',
      message: expect.stringContaining('127.0.0.1:1'),
      cause: { code: 'ECONNREFUSED' },
    });
  });

  test('a request that its caller aborts ends at once', async () => {
    entra.fail({ hang: true });
    const abort = new AbortController();
    const waiting = createCredential(options())
      .getToken(SCOPE, { abortSignal: abort.signal })
      .catch((e) => e);
    await expect.poll(() => entra.requests.at(-1)?.status).toBeUndefined();
    abort.abort();
    expect(await waiting).toMatchObject({ code: 'ERR_ABORTED' });
  });
});

test("over https, the provider's certificate must be trusted, e.g. with an agent", async () => {
  const { Agent } = await import('node:https');
  const secure = await startEntraEmulator({ https: true });
  try {
    const { tenantId, clientId, clientSecret, url } = secure;
    const strict = createCredential({ tenantId, clientId, clientSecret, authority: url });
    await expect(strict.getToken(SCOPE)).rejects.toMatchObject({
      code: 'ERR_TOKEN_UNAVAILABLE',
      hint: expect.stringContaining('NODE_EXTRA_CA_CERTS'),
    });
    const agent = new Agent({ ca: secure.ca });
    const trusting = createCredential({ tenantId, clientId, clientSecret, authority: url, agent });
    expect((await trusting.getToken(SCOPE))?.token).toBeTruthy();
  } finally {
    await secure.close();
  }
});

test('shows no secret when printed', async () => {
  const credential = createCredential(options());
  const tokens = new TokenCache(credential);
  const { token } = await tokens.getToken();
  const text = printed(credential, tokens, { ...credential }, credential.principal);
  expect(text).not.toContain(entra.clientSecret);
  expect(text).not.toContain(token);
});

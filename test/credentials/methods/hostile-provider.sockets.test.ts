import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { createCredential, type PersistentCache } from '../../../src/index.js';
import { type EntraEmulator, startEntraEmulator } from '../../../src/testing/index.js';
import { clearEnvironment } from '../../support/clear-environment.js';
import { DrivenClock } from '../../support/driven-clock.js';
import { type HttpServer, httpServer } from '../../support/http-server.js';

const SCOPE = 'https://database.windows.net/.default';
const tenantId = '72f988bf-86f1-41af-91ab-2d7cd011db47';
const clientId = '11111111-2222-4333-8444-555555555555';
const clientSecret = 'p~4W+x/9&Q =secret-value';

let entra: EntraEmulator;
let stub: HttpServer;
let base: string;
/** The answer of the stub; `form` is the request. */
let answer: (
  form: URLSearchParams,
  headers: NodeJS.Dict<string | string[]>,
) => { status: number; body: string | object };

beforeAll(async () => {
  entra = await startEntraEmulator({ deviceCode: { intervalSeconds: 0.02 } });
  stub = await httpServer(({ body, headers }, response) => {
    const answered = answer(new URLSearchParams(body), headers);
    if (answered.status !== 101) return answered;
    response.socket?.end('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n');
    return undefined;
  });
  base = stub.url;
});
beforeEach(() => {
  clearEnvironment();
});
afterEach(() => vi.unstubAllEnvs());
afterAll(async () => {
  await stub[Symbol.asyncDispose]();
  await entra.close();
});

const application = () => createCredential({ tenantId, clientId, clientSecret, authority: base });

async function failure(work: Promise<unknown>): Promise<Error & { code?: string; hint?: string }> {
  return (await work.catch((error: unknown) => error)) as Error & { code?: string; hint?: string };
}

describe('an identity provider that echoes its input', () => {
  const forms: [string, (secret: string) => string][] = [
    ['as it is', (secret) => secret],
    ['form-encoded', (secret) => new URLSearchParams({ s: secret }).toString()],
    ['in base64', (secret) => Buffer.from(`id:${secret}`).toString('base64')],
    ['behind 390 other characters', (secret) => `${'.'.repeat(390)}${secret}`],
  ];

  test.each(forms)('a client secret, %s', async (_, written) => {
    answer = (form) => ({
      status: 401,
      body: {
        error: 'invalid_client',
        error_description: `You sent ${written(form.get('client_secret') ?? '')}`,
        correlation_id: form.get('client_secret'),
      },
    });
    const error = await failure(application().getToken(SCOPE));
    const text = inspect(error, { depth: 9, showHidden: true });
    for (const part of ['p~4W+x', 'secret-value', 'c2VjcmV0LXZhbH', 'p%7E4W', 'cH40Vyt4'])
      expect(text).not.toContain(part);
  });

  test("a refresh token that only MSAL's cache holds", async () => {
    const refreshToken = `1.AXoA${'opaque-refresh'.repeat(5)}`;
    answer = () => ({
      status: 200,
      body: { access_token: 'a', token_type: 'Bearer', expires_in: 3600, refresh_token: 'successor-from-the-provider' },
    });
    const person = createCredential({ tenantId, clientId, authority: base, refreshToken });
    await failure(person.getToken(SCOPE));
    answer = (form) => ({
      status: 400,
      body: { error: 'invalid_grant', error_description: `Refused: ${form.get('refresh_token')}` },
    });
    const error = await failure(person.getToken(SCOPE));
    expect(inspect(error, { depth: 9, showHidden: true })).not.toMatch(/opaque-refresh|successor-from/);
  });

  test('the header of App Service', async () => {
    vi.stubEnv('IDENTITY_ENDPOINT', `${base}/token`);
    vi.stubEnv('IDENTITY_HEADER', 'header-of-this-app');
    answer = (_, headers) => ({ status: 400, body: { error: 'bad', message: `Not ${headers['x-identity-header']}` } });
    const error = await failure(createCredential({ method: 'managed-identity' }).getToken(SCOPE));
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('header-of-this-app');
  });
});

test('HTTP 101 is an answer, not a timeout', async () => {
  answer = () => ({ status: 101, body: '' });
  expect(await failure(application().getToken(SCOPE))).toMatchObject({
    code: 'ERR_TOKEN_UNAVAILABLE',
    message: expect.stringContaining('HTTP 101'),
  });
});

test('a claims challenge of the token endpoint requires a new sign-in', async () => {
  answer = () => ({
    status: 400,
    body: { error: 'insufficient_claims', error_description: 'AADSTS50076: more', claims: '{}' },
  });
  expect(await failure(application().getToken(SCOPE))).toMatchObject({ code: 'ERR_INTERACTION_REQUIRED' });
});

describe('a managed identity', () => {
  const token = (body: object) => {
    vi.stubEnv('AZURE_POD_IDENTITY_AUTHORITY_HOST', base);
    answer = () => ({ status: 200, body: { access_token: 'token', token_type: 'Bearer', ...body } });
    return createCredential({ method: 'managed-identity' }).getToken(SCOPE);
  };
  const inSeconds = (seconds: number) => Math.floor(Date.now() / 1000) + seconds;

  test.each([
    ['a platform whose clock is ahead', () => ({ expires_on: inSeconds(7_200), expires_in: 3_600 }), 3_600],
    ['a platform whose clock is behind', () => ({ expires_on: inSeconds(1_800), expires_in: '3600' }), 1_800],
    ['expires_on alone', () => ({ expires_on: String(inSeconds(900)) }), 900],
    ['expires_in alone', () => ({ expires_in: '900' }), 900],
    ['an expires_in that is no number', () => ({ expires_on: inSeconds(900), expires_in: 'soon' }), 900],
  ])('%s: the earlier end counts', async (_, body, seconds) => {
    const { expiresOnTimestamp = 0 } = (await token(body())) ?? {};
    expect(Math.abs(expiresOnTimestamp - Date.now() - seconds * 1000)).toBeLessThan(10_000);
  });

  test('403 of the metadata endpoint: the chain continues', async () => {
    vi.stubEnv('AZURE_POD_IDENTITY_AUTHORITY_HOST', base);
    answer = () => ({ status: 403, body: { message: 'blocked by a policy' } });
    const chain = createCredential({ method: 'chain', members: ['managed-identity', 'environment'] });
    const error = await failure(chain.getToken(SCOPE));
    expect(error).toMatchObject({ code: 'ERR_CREDENTIAL_UNAVAILABLE' });
    expect(error.message).toMatch(/managed-identity: .*HTTP 403[\s\S]*environment: /);
  });

  test('403 with a reason from Entra stays a refusal', async () => {
    vi.stubEnv('AZURE_POD_IDENTITY_AUTHORITY_HOST', base);
    answer = () => ({ status: 403, body: { error: 'denied', error_description: 'AADSTS700016: not found' } });
    const chain = createCredential({ method: 'chain', members: ['managed-identity', 'environment'] });
    expect(await failure(chain.getToken(SCOPE))).toMatchObject({ code: 'ERR_CREDENTIAL_REJECTED', aadsts: 700016 });
  });
});

describe('a callback that never answers', () => {
  const never = () => new Promise<never>(() => {});
  const person = (more: object) =>
    createCredential({ tenantId: entra.tenantId, authority: entra.url, ...more } as never);

  test('a device code prompt: the sign-in does not wait for it', async () => {
    const credential = person({
      method: 'device-code',
      onCode: () => {
        entra.deviceSignIns.at(-1)?.approve(entra.user);
        return never();
      },
    });
    expect((await credential.getToken(SCOPE))?.token).toBeTruthy();
  });

  test('a device code prompt that fails: its reason, redacted', async () => {
    const credential = person({ method: 'device-code', onCode: () => Promise.reject(new Error('password=hunter2')) });
    const error = await failure(credential.getToken(SCOPE));
    expect(error).toMatchObject({
      code: 'ERR_INTERACTION_REQUIRED',
      message: expect.stringContaining("'onCode' failed"),
    });
    expect(error.message).not.toContain('hunter2');
  });

  test('a browser: the sign-in does not wait for it', async () => {
    const openBrowser = (url: string) => {
      void entra.signIn(url, entra.user);
      return never();
    };
    expect((await person({ method: 'interactive', openBrowser }).getToken(SCOPE))?.token).toBeTruthy();
  });

  test('the signal ends the wait, and the next request gets its turn', async () => {
    let blocked = true;
    const credential = person({
      method: 'password',
      username: entra.user.userName,
      password: () => (blocked ? never() : entra.user.password),
    });
    const abort = new AbortController();
    const first = credential.getToken(SCOPE, { abortSignal: abort.signal });
    const second = credential.getToken(SCOPE);
    abort.abort();
    blocked = false;
    expect(await failure(first)).toMatchObject({ code: 'ERR_ABORTED' });
    expect((await second)?.token).toBeTruthy();
  });

  test('a cache plugin: the sign-in is kept in memory after the time limit', async () => {
    using clock = new DrivenClock(Date.now()).install({ immediates: false });
    const warned = new Promise((resolve) => process.once('warning', resolve));
    const persistentCache: PersistentCache = { beforeCacheAccess: never, afterCacheAccess: never };
    const credential = person({ username: entra.user.userName, password: entra.user.password, persistentCache });
    const answered = credential.getToken(SCOPE);
    let done = false;
    void answered.finally(() => {
      done = true;
    });
    while (!done) {
      await clock.pass(1_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await answered)?.token).toBeTruthy();
    expect(String(await warned)).toContain('persistent token cache failed');
  });
});

test('a secret that was read from a file with its line break works', async () => {
  const app = entra.addApp({ clientSecret: 'a-secret-from-a-file' });
  const shared = { tenantId: entra.tenantId, authority: entra.url, clientId: app.clientId };
  for (const secret of ['a-secret-from-a-file\n', 'a-secret-from-a-file\r\n', () => 'a-secret-from-a-file\n\n']) {
    expect((await createCredential({ ...shared, clientSecret: secret }).getToken(SCOPE))?.token).toBeTruthy();
  }
});

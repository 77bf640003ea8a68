import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { readTokenFile } from '../../src/credentials/methods/federated/token-file.js';
import {
  ConfigurationError,
  createCredential,
  createTokenPool,
  OnBehalfOfTokens,
  scopeForServer,
  TokenCache,
  TokenPoolError,
} from '../../src/index.js';
import { clearEnvironment } from '../support/clear-environment.js';
import { type HttpServer, httpServer } from '../support/http-server.js';

const SCOPE = 'https://database.windows.net/.default';
const tenantId = '72f988bf-86f1-41af-91ab-2d7cd011db47';
const clientId = '11111111-2222-4333-8444-555555555555';
const application = { tenantId, clientId, clientSecret: 'the-secret-of-this-test' };
const folder = mkdtempSync(join(tmpdir(), 'odd-answers-'));
const file = join(folder, 'token');

let provider: HttpServer;
let answer: { status: number; body: string | object };

beforeAll(async () => {
  provider = await httpServer(() => answer);
});
beforeEach(() => clearEnvironment());
afterEach(() => vi.unstubAllEnvs());
afterAll(async () => {
  await provider[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

function jwt(claims: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'RS256' })}.${part(claims)}.c2lnbmF0dXJl`;
}

const inSeconds = (seconds: number): number => Math.floor(Date.now() / 1000) + seconds;

async function failure(work: Promise<unknown>): Promise<TokenPoolError> {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(TokenPoolError);
  return error as TokenPoolError;
}

describe('a token file', () => {
  test.each([
    ['empty', '', /is empty/],
    ['half written', 'eyJhbGciOi', /holds no token/],
    ['a page', '<html></html>', /holds no token/],
    ['JSON', '{"token":"a.b.c"}', /holds no token/],
  ])('that is %s may be whole the next time: the error is one to retry, and has a hint', async (_, text, message) => {
    writeFileSync(file, text);
    const tokens = new TokenCache(createCredential({ method: 'federated', tenantId, clientId, from: { file } }));
    const error = await failure(tokens.get());
    expect(error).toMatchObject({ code: 'ERR_PROOF_UNAVAILABLE', retryAfterMs: expect.any(Number) });
    expect(error.message).toMatch(message);
    expect(error.hint).toMatch(/read again soon, and for each request/);
    expect(error.message).not.toContain('eyJ');
  });

  test('that is empty only for a moment is not a failure', async () => {
    writeFileSync(file, '');
    const reading = readTokenFile(file, 'from.file');
    writeFileSync(file, jwt({ exp: inSeconds(60) }));
    expect(await reading).toMatch(/^eyJ/);
  });
});

describe('an argument without a value does not select the default chain', () => {
  test.each([
    ['undefined', undefined],
    ['empty', ''],
    ['empty', '  '],
  ])('createCredential: %s', (what, value) => {
    expect(() => createCredential(value)).toThrow(`The credential is ${what}.`);
    expect(() => createCredential(value, { server: 'localhost' })).toThrow(ConfigurationError);
  });

  test.each([
    ['RunAs=App;AppId=;TenantId=;AppKey=', "'AppId' is empty"],
    [`RunAs=App;AppId=${clientId};TenantId=t;AppKey=`, "'AppKey' is empty"],
    ['RunAs=Developer;DeveloperTool=AzureCLI;TenantId=', "'TenantId' is empty"],
    ['Authentication=Active Directory Managed Identity;User ID=', "'User ID' is empty"],
    ['Authentication=Active Directory Default;UID= ', "'UID' is empty"],
    ['Authentication=Active Directory Workload Identity;Client Id=""', "'Client Id' is empty"],
  ])('a connection string with a key without its value: %s', (text, message) => {
    expect(() => createCredential(text)).toThrow(message);
    expect(() => createTokenPool({ server: 'localhost', authentication: text })).toThrow(message);
  });

  test('a pool whose authentication is empty', () => {
    expect(() => createTokenPool({ server: 'localhost', authentication: '' })).toThrow('The credential is empty.');
  });

  test('no argument is', () => {
    expect(createCredential().principal.method).toBe('chain');
  });
});

describe('an answer of the identity provider', () => {
  const ask = async (body: object) => {
    answer = { status: 200, body: { token_type: 'Bearer', ...body } };
    const credential = createCredential({ ...application, authority: provider.url });
    const tokens = new TokenCache(credential);
    return { credential, token: await tokens.get(SCOPE) };
  };

  test.each([
    ['is missing', {}],
    ['is null', { expires_in: null }],
    ['is no number', { expires_in: 'soon' }],
  ])('whose expires_in %s lives as long as its token says', async (_, expiry) => {
    const { token } = await ask({ access_token: jwt({ exp: inSeconds(1_800) }), ...expiry });
    expect(Math.abs(token.expiresOn - Date.now() - 1_800_000)).toBeLessThan(30_000);
  });

  test('without any expiry is refused as such', async () => {
    const error = await failure(ask({ access_token: 'opaque' }));
    expect(error.message).toMatch(/returned a token without its expiry for the client secret/);
  });

  test('whose expires_in is 0 has expired, whatever its token says', async () => {
    const { code } = await failure(ask({ access_token: jwt({ exp: inSeconds(1_800) }), expires_in: -5 }));
    expect(code).toBe('ERR_TOKEN_EXPIRED');
  });

  test("is shown with its earliest expiry, also in the credential's principal", async () => {
    const { credential, token } = await ask({ access_token: jwt({ exp: inSeconds(1_800) }), expires_in: 3_600 });
    expect(credential.principal.expiresOn).toBe(token.expiresOn);
  });

  test.each([
    ['a blank', 'a b'],
    ['a line break', 'a\r\nEvil: 1'],
    ['a letter beyond ASCII', 'é'],
  ])('whose token has %s is refused', async (_, access_token) => {
    const error = await failure(ask({ access_token, expires_in: 3_600 }));
    expect(error).toMatchObject({
      code: 'ERR_TOKEN_UNAVAILABLE',
      message: expect.stringMatching(
        /^The identity provider returned a token with a character .* for the client secret of/,
      ),
    });
  });
});

test.each([5, {}, true])('a token that is %j is reported as not being text', async (token) => {
  const credential = { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3_600_000 }) };
  const error = await failure(new TokenCache(credential as never).get());
  expect(error.message).toBe(`The credential returned a token that is not text, but of type ${typeof token}.`);
});

describe('GitHub Actions', () => {
  const credential = (requestToken: string) => {
    vi.stubEnv('ACTIONS_ID_TOKEN_REQUEST_URL', `${provider.url}/?v=2`);
    vi.stubEnv('ACTIONS_ID_TOKEN_REQUEST_TOKEN', requestToken);
    return createCredential({ method: 'federated', tenantId, clientId, from: 'github-actions' });
  };

  test.each([{}, { value: 5 }, { value: 'no-token' }])('that answers 200 with %j returned no token', async (body) => {
    answer = { status: 200, body };
    expect(await failure(credential('a-request-token').getToken(SCOPE))).toMatchObject({
      code: 'ERR_TOKEN_UNAVAILABLE',
      message: 'GitHub Actions failed to issue a token (HTTP 200, the answer has no token)',
    });
  });

  test.each(['a-request\ntoken', 'a-request\r\nX: y', 'a-request\u0001token'])(
    'is not asked with a request token that no header can carry: %j',
    async (requestToken) => {
      const requests = provider.requests.length;
      const error = await failure(credential(requestToken).getToken(SCOPE));
      expect(error.message).toMatch(/The header 'authorization' for .* contains a line break or another control/);
      expect(error.message).not.toContain('a-request');
      expect(provider.requests).toHaveLength(requests);
    },
  );
});

test.each<[string, () => unknown, RegExp]>([
  ['enableCae as text', () => createCredential({ ...application, enableCae: 'yes' } as never), /'enableCae' must be/],
  ['an agent that is a number', () => createCredential({ ...application, agent: 5 } as never), /'agent' must be/],
  [
    "a person's agent that is text",
    () => createCredential({ method: 'device-code', agent: 'http://proxy' } as never),
    /'agent' must be/,
  ],
  ['a server name that is undefined', () => scopeForServer(undefined as never), /must be a string/],
  ['a scope of blanks', () => new TokenCache(createCredential(async () => '')).passwordFor(' '), /needs a scope/],
  [
    'a scope with a line break',
    () => new TokenCache(createCredential(async () => '')).passwordFor('https://x/.default\r\nx'),
    /needs a scope/,
  ],
  [
    'an application with a user assertion',
    () => new OnBehalfOfTokens({ ...application, userAssertion: 'a.b.c' } as never),
    /pass 'userAssertion' to for\(\)/,
  ],
  ["an assertion with 'Bearer'", () => new OnBehalfOfTokens(application).for('Bearer a.b.c'), /without 'Bearer'/],
  [
    "one user's assertion with 'Bearer'",
    () => createCredential({ ...application, userAssertion: 'Bearer a.b.c' }),
    /without 'Bearer'/,
  ],
])('%s is refused at once', (_, make, message) => {
  expect(make).toThrow(message);
  expect(make).toThrow(ConfigurationError);
});

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { type CredentialOptions, createCredential, ProofUnavailableError, TokenCache } from '../../src/index.js';
import { type EntraEmulator, makeCertificate, startEntraEmulator } from '../../src/testing/index.js';
import { clearEnvironment } from '../support/clear-environment.js';
import { printed } from './printed.js';

const folder = mkdtempSync(join(tmpdir(), 'proofs-'));
const file = join(folder, 'proof');
const { cert, key } = makeCertificate({ commonName: 'app', keyType: 'rsa' });
const SECRET = 'a-secret-of-the-application';

let entra: EntraEmulator;
let app: { tenantId: string; clientId: string; authority: string };
let jwt: string;

beforeAll(async () => {
  entra = await startEntraEmulator();
  const { clientId } = entra.addApp({
    clientSecret: SECRET,
    certificates: [cert],
    federatedCredentials: [{ subject: 'shop' }],
  });
  app = { tenantId: entra.tenantId, clientId, authority: entra.url };
  jwt = entra.issueFederatedToken({ subject: 'shop' });
});
afterAll(async () => {
  await entra.close();
  rmSync(folder, { recursive: true });
});
beforeEach(clearEnvironment);
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(file, { recursive: true, force: true });
});

/** A request that fails before anything is sent. @returns its error */
async function failsHere(tokens: TokenCache): Promise<ProofUnavailableError> {
  const sent = entra.requests.length;
  const error = await tokens.get().catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ProofUnavailableError);
  const failure = error as ProofUnavailableError;
  expect(failure.code).toBe('ERR_PROOF_UNAVAILABLE');
  expect(failure.retryAfterMs).toBeLessThanOrEqual(1_100);
  expect(failure.hint ?? failure.cause).toBeDefined();
  expect(entra.requests.length).toBe(sent);
  for (const secret of [jwt, jwt.slice(0, 60), SECRET, key.slice(60, 120)])
    expect(printed(error)).not.toContain(secret);
  return failure;
}

/** By the content of the file: missing if undefined, a folder if null. */
function put(content: string | null | undefined): void {
  rmSync(file, { recursive: true, force: true });
  if (content === null) mkdirSync(file);
  else if (content !== undefined) writeFileSync(file, content);
}

describe('a file that is not complete yet', () => {
  const TOKEN_FILES: [string, () => CredentialOptions][] = [
    ['a token file of a workload identity', () => ({ ...app, tokenFilePath: file })],
    ['a token file of a federated credential', () => ({ ...app, method: 'federated', from: { file } })],
    ['a token file of an agent identity', () => ({ ...app, from: { file }, agentId: app.clientId })],
  ];
  const TOKENS: [string, () => string | null | undefined, RegExp][] = [
    ['missing', () => undefined, /cannot be read \(ENOENT\)/],
    ['a folder', () => null, /cannot be read \(EISDIR\)/],
    ['empty', () => '', /is empty/],
    ['half written', () => jwt.slice(0, 40), /holds no token/],
  ];
  const cases = TOKEN_FILES.flatMap(([whose, options]) =>
    TOKENS.map(([state, content, message]) => ({ name: `${whose}: ${state}`, options, content, message })),
  );
  test.each(cases)('$name', async ({ options, content, message }) => {
    put(content());
    const failure = await failsHere(new TokenCache(createCredential(options())));
    expect(failure.message).toMatch(message);
    expect(printed(failure)).not.toContain(file);
  });

  const CERTIFICATES: [string, () => string | null | undefined, RegExp][] = [
    ['missing', () => undefined, /'certificatePath' cannot be read \(ENOENT\)/],
    ['a folder', () => null, /cannot be read \(EISDIR\)/],
    ['empty', () => '', /neither PEM nor/],
    ['cut in the certificate', () => `${key}${cert.slice(0, 300)}`, /no certificate|damaged/],
    ['without its key yet', () => cert, /no private key/],
    ['cut in the key', () => `${cert}${key.slice(0, 300)}`, /no private key|damaged/],
    [
      'with the key of another',
      () => `${cert}${makeCertificate({ commonName: 'b', keyType: 'rsa' }).key}`,
      /any of its/,
    ],
  ];
  test.each(CERTIFICATES)('a certificate, %s', async (_state, content, message) => {
    put(content());
    const tokens = () => new TokenCache(createCredential({ ...app, certificatePath: file }));
    const failure = await failsHere(tokens());
    expect(failure.message).toMatch(message);
    expect(failure.hint).toContain('read again soon');
    put(`${cert}${key}`);
    expect((await tokens().get()).reveal()).toMatch(/^eyJ/);
  });

  test('a certificate that is complete a moment later is not a failure', async () => {
    put(cert);
    const reading = new TokenCache(createCredential({ ...app, certificatePath: file })).get();
    // The first read happens before a second one, 100 ms later, finds the key as well.
    await new Promise((resolve) => setTimeout(resolve, 20));
    put(`${cert}${key}`);
    expect((await reading).reveal()).toMatch(/^eyJ/);
  });

  test("the token file of the container's endpoint of AWS", async () => {
    vi.stubEnv('AWS_CONTAINER_CREDENTIALS_FULL_URI', 'http://127.0.0.1:9/keys');
    vi.stubEnv('AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE', file);
    for (const [content, message] of [
      [undefined, /'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE' cannot be read \(ENOENT\)/],
      ['', /is empty/],
      ['two\nlines', /holds no token/],
    ] as const) {
      put(content);
      const failure = await failsHere(new TokenCache(createCredential({ ...app, method: 'federated', from: 'aws' })));
      expect(failure.message).toMatch(message);
    }
  });
});

describe('a function', () => {
  type Give = () => string | Promise<string>;
  const WAYS: [string, (give: Give) => CredentialOptions][] = [
    ['clientSecret', (clientSecret) => ({ ...app, clientSecret })],
    ['assertion', (assertion) => ({ ...app, assertion })],
    ['from', (from) => ({ ...app, method: 'federated', from })],
    ['certificatePassword', (certificatePassword) => ({ ...app, certificate: cert + key, certificatePassword })],
    ['userAssertion', (userAssertion) => ({ ...app, clientSecret: SECRET, userAssertion })],
    ['refreshToken', (refreshToken) => ({ tenantId: app.tenantId, authority: app.authority, refreshToken })],
    ['password', (password) => ({ tenantId: app.tenantId, authority: app.authority, username: 'ann', password })],
  ];
  const GIVES: [string, Give, RegExp][] = [
    ['throws', () => Promise.reject(new Error('vault is sealed')), /failed: vault is sealed/],
    ['throws at once', () => JSON.parse('{'), /failed: /],
    ["returns ''", () => '', /must return a non-empty string/],
    ['returns undefined', () => undefined as unknown as string, /must return a non-empty string/],
    ['returns line breaks', async () => '\n', /must return a non-empty string/],
  ];
  test.each(
    WAYS.flatMap(([option, options]) =>
      GIVES.map(([what, give, message]) => ({ name: `'${option}' that ${what}`, option, options, give, message })),
    ),
  )('$name', async ({ option, options, give, message }) => {
    const failure = await failsHere(new TokenCache(createCredential(options(give))));
    expect(failure.message).toContain(`'${option}'`);
    expect(failure.message).toMatch(message);
  });

  test.each(WAYS)(
    "'%s' that parses a secret as JSON does not reveal the part that JSON.parse quotes",
    async (_, options) => {
      // A word of the secret on its own: nothing else in the error may contain it.
      for (const text of [
        'Zq7Xw',
        'Zq7Xw-and-more-of-a-long-secret-that-is-quoted-in-part',
        '{"a": Zq7Xw}',
        '["Zq7Xw", Zq7Xw',
      ]) {
        const failure = await failsHere(new TokenCache(createCredential(options(() => JSON.parse(text)))));
        expect(printed(failure)).not.toMatch(/Zq7Xw|q7X/);
        expect(failure.message).toContain('not valid JSON');
      }
    },
  );

  test.each(['assertion', 'from', 'userAssertion'])("'%s' that returns part of a token is not sent", async (option) => {
    const options = WAYS.find(([name]) => name === option)?.[1] as (give: Give) => CredentialOptions;
    for (const text of [jwt.slice(0, 40), `Bearer ${jwt}`, JSON.stringify(jwt)]) {
      const failure = await failsHere(new TokenCache(createCredential(options(() => text))));
      expect(failure.message).toContain('must return a token (JWT)');
    }
  });

  test.each([
    ['an HTTP status', Object.assign(new Error('busy'), { statusCode: 503 })],
    ['a time to wait', Object.assign(new Error('busy'), { retryAfterMs: 30_000 })],
  ])('that was refused with %s by another service waits as long as for the identity provider', async (_, thrown) => {
    const options = { ...app, assertion: () => Promise.reject(thrown) };
    const error = await new TokenCache(createCredential(options)).get().catch((e) => e);
    expect(error).toMatchObject({ code: 'ERR_TOKEN_UNAVAILABLE', message: expect.stringContaining('busy') });
    expect(error.retryAfterMs).toBeGreaterThanOrEqual('retryAfterMs' in thrown ? 30_000 : 5_000);
  });

  test('that another credential of this library refuses waits as long as that one', async () => {
    const other = createCredential({ ...app, clientSecret: 'wrong' });
    const assertion = async () => (await other.getToken('api://AzureADTokenExchange/.default'))?.token ?? '';
    const error = await new TokenCache(createCredential({ ...app, assertion })).get().catch((e) => e);
    expect(error.code).toBe('ERR_TOKEN_UNAVAILABLE');
    expect(error.retryAfterMs).toBeGreaterThanOrEqual(5_000);
  });
});

test('a token file that appears is used at the next look, about a second later, and nothing was sent before', async () => {
  const tokens = new TokenCache(createCredential({ ...app, tokenFilePath: file }));
  await failsHere(tokens);
  put(jwt);
  const sent = entra.requests.length;
  const until = Date.now() + 10_000;
  let token: string | undefined;
  while (token === undefined && Date.now() < until) {
    token = await tokens.get().then(
      (got) => got.reveal(),
      () => undefined,
    );
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  expect(token).toMatch(/^eyJ/);
  expect(entra.requests.slice(sent).filter(({ endpoint }) => endpoint === 'token')).toHaveLength(1);
});

test('a certificate in the options is checked at once, and a fault in it is a configuration error', () => {
  expect(() => createCredential({ ...app, certificate: cert })).toThrow(
    expect.objectContaining({ code: 'ERR_CONFIGURATION' }),
  );
});

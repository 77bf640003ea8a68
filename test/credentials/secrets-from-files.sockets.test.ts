import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { createCredential } from '../../src/index.js';
import { type EntraEmulator, makeCertificate, startEntraEmulator } from '../../src/testing/index.js';
import { clearEnvironment } from '../support/clear-environment.js';

const SCOPE = 'https://database.windows.net/.default';
const LINE_BREAKS: [name: string, text: string][] = [
  ['LF', '\n'],
  ['CR LF', '\r\n'],
  ['several', '\n\r\n\n'],
];

const folder = mkdtempSync(join(tmpdir(), 'secrets-'));
const { cert, key } = makeCertificate({ commonName: 'app', keyType: 'rsa' });
const pfx = readFileSync(new URL('fixtures/modern.pfx', import.meta.url));
let entra: EntraEmulator;
let app: { tenantId: string; authority: string; clientId: string };

beforeAll(async () => {
  entra = await startEntraEmulator();
  const certificates = [cert, readFileSync(new URL('fixtures/cert.pem', import.meta.url), 'utf8')];
  const { clientId } = entra.addApp({ clientSecret: 'a-secret', certificates });
  entra.addUser({ userName: 'ann@contoso.com', password: 'a-password' });
  app = { tenantId: entra.tenantId, authority: entra.url, clientId };
  writeFileSync(join(folder, 'app.pfx'), pfx);
});
afterEach(() => vi.unstubAllEnvs());
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await entra.close();
});

async function tokenOf(input: object): Promise<string> {
  return (await createCredential(input as never).getToken(SCOPE))?.token ?? '';
}

/** A secret as read from a file mounted into a container. */
function fromFile(content: string): string {
  const path = join(folder, 'secret');
  writeFileSync(path, content);
  return readFileSync(path, 'utf8');
}

describe.each(LINE_BREAKS)('a line break at the end of a secret is ignored: %s', (_, end) => {
  test.each<[string, (text: string) => object]>([
    ['clientSecret', (text) => ({ clientSecret: text })],
    ['a function as clientSecret', (text) => ({ clientSecret: () => text })],
    ['an asynchronous function as clientSecret', (text) => ({ clientSecret: async () => text })],
  ])('%s', async (_option, options) => {
    expect(await tokenOf({ ...app, ...options(fromFile(`a-secret${end}`)) })).toMatch(/^eyJ/);
  });

  test("clientSecret in tedious's form", async () => {
    vi.stubEnv('AZURE_AUTHORITY_HOST', app.authority);
    const { authority: _, ...options } = { ...app, clientSecret: fromFile(`a-secret${end}`) };
    const type = 'azure-active-directory-service-principal-secret';
    expect(await tokenOf({ type, options })).toMatch(/^eyJ/);
  });

  test('clientSecret that proves the application of an on-behalf-of flow', async () => {
    const userAssertion = entra.issueToken({ principal: entra.user, audience: `api://${app.clientId}` });
    const options = { ...app, clientSecret: fromFile(`a-secret${end}`) };
    expect(await tokenOf({ ...options, userAssertion: fromFile(`${userAssertion}${end}`) })).toMatch(/^eyJ/);
  });

  test.each<[string, (text: string) => object]>([
    ['certificatePassword', (text) => ({ certificatePassword: text })],
    ['a function as certificatePassword', (text) => ({ certificatePassword: async () => text })],
  ])('%s, for a certificate and for its path', async (_option, options) => {
    const password = options(fromFile(`open-sesame${end}`));
    expect(await tokenOf({ ...app, certificate: pfx, ...password })).toMatch(/^eyJ/);
    expect(await tokenOf({ ...app, certificatePath: join(folder, 'app.pfx'), ...password })).toMatch(/^eyJ/);
  });

  test('a PEM certificate', async () => {
    expect(await tokenOf({ ...app, certificate: fromFile(`${key}\n${cert}${end}`) })).toMatch(/^eyJ/);
  });

  test('environment variables', async () => {
    clearEnvironment();
    vi.stubEnv('AZURE_AUTHORITY_HOST', app.authority);
    vi.stubEnv('AZURE_TENANT_ID', app.tenantId);
    vi.stubEnv('AZURE_CLIENT_ID', app.clientId);
    vi.stubEnv('AZURE_CLIENT_SECRET', `a-secret${end}`);
    expect(await tokenOf({ method: 'environment' })).toMatch(/^eyJ/);
    vi.stubEnv('AZURE_CLIENT_SECRET', undefined);
    vi.stubEnv('AZURE_CLIENT_CERTIFICATE_PATH', join(folder, 'app.pfx'));
    vi.stubEnv('AZURE_CLIENT_CERTIFICATE_PASSWORD', `open-sesame${end}`);
    expect(await tokenOf({ method: 'environment' })).toMatch(/^eyJ/);
  });

  test("a user's password, an access token, and a token from a function", async () => {
    const password = fromFile(`a-password${end}`);
    const token = await tokenOf({ ...app, username: 'ann@contoso.com', password });
    expect(token).toMatch(/^eyJ/);
    expect(await tokenOf({ token: fromFile(`${token}${end}`) })).toBe(token);
    expect(await tokenOf((() => fromFile(`${token}${end}`)) as never)).toBe(token);
  });

  test('the token file of a workload identity', async () => {
    const subject = 'system:serviceaccount:shop:api';
    const { clientId } = entra.addApp({ federatedCredentials: [{ subject }] });
    const tokenFilePath = join(folder, 'jwt');
    writeFileSync(tokenFilePath, `${entra.issueFederatedToken({ subject })}${end}`);
    expect(await tokenOf({ ...app, clientId, tokenFilePath })).toMatch(/^eyJ/);
  });
});

test.each(['clientSecret', 'certificatePassword', 'password'])(
  '%s from an empty file is reported as missing',
  (option) => {
    const rest = option === 'password' ? { username: 'ann' } : option === 'clientSecret' ? {} : { certificate: pfx };
    expect(() => createCredential({ ...app, ...rest, [option]: fromFile('\r\n') } as never)).toThrow(
      `'${option}' is missing.`,
    );
  },
);

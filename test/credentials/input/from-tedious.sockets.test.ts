import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { createCredential, TokenCache } from '../../../src/index.js';
import { type EntraEmulator, startEntraEmulator } from '../../../src/testing/index.js';

const SCOPE = 'https://database.windows.net/.default';
let entra: EntraEmulator;
const previous = process.env.AZURE_AUTHORITY_HOST;

beforeAll(async () => {
  entra = await startEntraEmulator();
  // tedious's own configs cannot name an authority.
  process.env.AZURE_AUTHORITY_HOST = entra.url;
});
afterAll(async () => {
  if (previous === undefined) delete process.env.AZURE_AUTHORITY_HOST;
  else process.env.AZURE_AUTHORITY_HOST = previous;
  await entra.close();
});

test('azure-active-directory-service-principal-secret', async () => {
  const { tenantId, clientId, clientSecret } = entra;
  const type = 'azure-active-directory-service-principal-secret';
  // mssql adds its own keys.
  const credential = createCredential({
    type,
    options: { tenantId, clientId, clientSecret, userName: '', password: '' },
  });
  expect(entra.verify((await new TokenCache(credential).getToken()).token)).toMatchObject({ appid: clientId });
});

test('azure-active-directory-access-token', async () => {
  const token = entra.issueToken();
  const credential = createCredential({ type: 'azure-active-directory-access-token', options: { token } });
  expect((await credential.getToken('any'))?.token).toBe(token);
});

test('token-credential', async () => {
  const options = { credential: entra.credential() };
  const credential = createCredential({ type: 'token-credential', options });
  expect(entra.verify((await new TokenCache(credential).getToken()).token)).toMatchObject({ appid: entra.clientId });
});

test('azure-active-directory-password', async () => {
  const { userName, password } = entra.user;
  const options = { userName, password, clientId: '04b07795-8ddb-461a-bbee-02f9e1bf7b46', tenantId: entra.tenantId };
  const answer = await createCredential({ type: 'azure-active-directory-password', options }).getToken(SCOPE);
  expect(entra.verify(answer?.token ?? '')).toMatchObject({ upn: userName });
});

test.each([
  'azure-active-directory-msi-vm',
  'azure-active-directory-msi-app-service',
  'azure-active-directory-default',
])('%s, with and without a client id', async (type) => {
  for (const [name, value] of Object.entries(entra.managedIdentity.imds.env)) vi.stubEnv(name, value);
  const { clientId } = entra.addManagedIdentity();
  const own = entra.systemAssignedIdentity?.clientId;
  for (const [options, expected] of [
    [{}, own],
    [{ clientId }, clientId],
  ] as const) {
    const answer = await createCredential({ type, options }).getToken(SCOPE);
    expect(entra.verify(answer?.token ?? '')).toMatchObject({ appid: expected });
  }
  vi.unstubAllEnvs();
});

test.each([
  ['azure-active-directory-service-principal-secret', { clientId: 'x' }, /'clientSecret' is missing/],
  ['azure-active-directory-access-token', {}, /must be an access token/],
  ['token-credential', {}, /'credential'/],
  ['azure-active-directory-password', { userName: 'ada' }, /'password' is missing/],
  ['azure-active-directory-magic', {}, /Unknown authentication type/],
  ['default', {}, /does not use tokens/],
  ['constructor', {}, /does not use tokens/],
])('%s with %o is refused', (type, options, message) => {
  expect(() => createCredential({ type, options })).toThrow(message);
});

import { afterAll, beforeAll, expect, it } from 'vitest';
import { createCredential, TokenCache } from '../../src/index.js';
import { type EntraEmulator, startEntraEmulator } from '../../src/testing/index.js';

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

it('azure-active-directory-service-principal-secret', async () => {
  const { tenantId, clientId, clientSecret } = entra;
  const type = 'azure-active-directory-service-principal-secret';
  // mssql adds keys of its own.
  const credential = createCredential({
    type,
    options: { tenantId, clientId, clientSecret, userName: '', password: '' },
  });
  expect(entra.verify((await new TokenCache(credential).getToken()).token)).toMatchObject({ appid: clientId });
});

it('azure-active-directory-access-token', async () => {
  const token = entra.issueToken();
  const credential = createCredential({ type: 'azure-active-directory-access-token', options: { token } });
  expect((await credential.getToken('any'))?.token).toBe(token);
});

it('token-credential', async () => {
  const options = { credential: entra.credential() };
  const credential = createCredential({ type: 'token-credential', options });
  expect(entra.verify((await new TokenCache(credential).getToken()).token)).toMatchObject({ appid: entra.clientId });
});

it.each([
  ['azure-active-directory-service-principal-secret', { clientId: 'x' }, /'clientSecret' is missing/],
  ['azure-active-directory-access-token', {}, /must be an access token/],
  ['token-credential', {}, /'credential'/],
  ['default', {}, /does not use tokens/],
  ['constructor', {}, /does not use tokens/],
])('%s with %o is refused', (type, options, message) => {
  expect(() => createCredential({ type, options })).toThrow(message);
});

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { createCredential } from '../../../src/index.js';
import { type EntraEmulator, startEntraEmulator } from '../../../src/testing/index.js';
import { printed } from '../printed.js';

const SCOPE = 'https://database.windows.net/.default';
const subject = 'system:serviceaccount:shop:api';
const folder = mkdtempSync(join(tmpdir(), 'federation-'));
const tokenFile = join(folder, 'token');
let entra: EntraEmulator;
let clientId: string;

beforeAll(async () => {
  entra = await startEntraEmulator();
  clientId = entra.addApp({ clientSecret: undefined, federatedCredentials: [{ subject }] }).clientId;
});
afterEach(() => vi.unstubAllEnvs());
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await entra.close();
});

test('an assertion callback is called for each request', async () => {
  let asked = 0;
  const assertion = async () => {
    asked += 1;
    return entra.issueFederatedToken({ subject });
  };
  const credential = createCredential({ tenantId: entra.tenantId, clientId, authority: entra.url, assertion });
  for (let i = 0; i < 2; i += 1) {
    const answer = await credential.getToken(SCOPE);
    expect(entra.verify(answer?.token ?? '')).toMatchObject({ appid: clientId });
  }
  expect(asked).toBe(2);
  expect(credential.principal).toMatchObject({ method: 'client-assertion', id: clientId });
});

test('an assertion for another subject is refused with what to do, without being quoted', async () => {
  const assertion = entra.issueFederatedToken({ subject: 'system:serviceaccount:shop:other' });
  const credential = createCredential({ tenantId: entra.tenantId, clientId, authority: entra.url, assertion });
  const error = await credential.getToken(SCOPE).catch((e) => e);
  expect(error).toMatchObject({ code: 'ERR_CREDENTIAL_REJECTED', hint: expect.stringContaining('subject') });
  expect(printed(error)).not.toContain(assertion);
});

test('the error of a failing callback is the cause', async () => {
  const assertion = () => Promise.reject(new Error('vault is sealed'));
  const credential = createCredential({ tenantId: entra.tenantId, clientId, authority: entra.url, assertion });
  await expect(credential.getToken(SCOPE)).rejects.toMatchObject({
    code: 'ERR_PROOF_UNAVAILABLE',
    message: expect.stringContaining("'assertion' failed: vault is sealed"),
  });
});

test('workload identity reads everything from the environment, and reads the file again after it rotates', async () => {
  vi.stubEnv('AZURE_TENANT_ID', entra.tenantId);
  vi.stubEnv('AZURE_CLIENT_ID', clientId);
  vi.stubEnv('AZURE_AUTHORITY_HOST', `${entra.url}/`);
  vi.stubEnv('AZURE_FEDERATED_TOKEN_FILE', tokenFile);
  const credential = createCredential({ method: 'workload-identity' });
  await expect(credential.getToken(SCOPE)).rejects.toMatchObject({ code: 'ERR_PROOF_UNAVAILABLE' });
  writeFileSync(tokenFile, 'half written');
  await expect(credential.getToken(SCOPE)).rejects.toMatchObject({ code: 'ERR_PROOF_UNAVAILABLE' });
  writeFileSync(tokenFile, entra.issueFederatedToken({ subject, expiresInSeconds: -60 }));
  await expect(credential.getToken(SCOPE)).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_REJECTED' });
  writeFileSync(tokenFile, `${entra.issueFederatedToken({ subject })}\n`);
  const answer = await credential.getToken(SCOPE);
  expect(entra.verify(answer?.token ?? '')).toMatchObject({ appid: clientId });
  expect(credential.principal).toMatchObject({ method: 'workload-identity', id: clientId, tenantId: entra.tenantId });
});

test('workload identity outside a cluster names what is missing', () => {
  vi.stubEnv('AZURE_FEDERATED_TOKEN_FILE', undefined);
  expect(() => createCredential({ method: 'workload-identity' })).toThrow(/'tokenFilePath' is missing/);
});

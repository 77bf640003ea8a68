import { execFile } from 'node:child_process';
import { accessSync, constants, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type EntraEmulator,
  type ManagedIdentity,
  startEntraEmulator,
  type TokenClaims,
} from '../../../src/testing/index.js';

const RESOURCE = 'https://database.windows.net';
const CLIENT = fileURLToPath(new URL('clients/managed-identity.mjs', import.meta.url));

interface Outcome {
  accessToken?: string;
  expiresOn?: number;
  error?: { errorCode: string; errorMessage: string };
}

/** The tokens that MSAL gets for each selected identity, in a process with only these environment variables. */
async function withMsal(
  env: Readonly<Record<string, string>>,
  choices: readonly Record<string, string>[] = [{}],
): Promise<Outcome[]> {
  const task = JSON.stringify({ resource: RESOURCE, choices });
  const { stdout } = await promisify(execFile)(process.execPath, [CLIENT, task], { env: { ...env } });
  return JSON.parse(stdout) as Outcome[];
}

/** The agent's directory, the only one from which MSAL reads key files; tests with MSAL are skipped if it is not writable. */
const ARC_DIRECTORY = '/var/opt/azcmagent/tokens';
const canWriteArcDirectory = (() => {
  try {
    mkdirSync(ARC_DIRECTORY, { recursive: true });
    accessSync(ARC_DIRECTORY, constants.W_OK);
    return process.platform === 'linux';
  } catch {
    return false;
  }
})();

// One process each, which is slow on a busy machine.
describe('with MSAL', { timeout: 120_000 }, () => {
  let entra: EntraEmulator;
  let user: ManagedIdentity;
  beforeAll(async () => {
    entra = await startEntraEmulator({ arcKeyDirectory: ARC_DIRECTORY });
    user = entra.addManagedIdentity();
  });
  afterAll(() => entra.close());

  const claimsOf = ({ accessToken = '', error }: Outcome) => {
    expect(error).toBeUndefined();
    return entra.verify(accessToken, { audience: RESOURCE }) as TokenClaims;
  };
  const clientIds = (outcomes: Outcome[]) => outcomes.map((outcome) => claimsOf(outcome).appid);
  const everyWay = () => [
    {},
    { userAssignedClientId: user.clientId },
    { userAssignedObjectId: user.objectId },
    { userAssignedResourceId: user.resourceId },
  ];
  const systemId = () => entra.systemAssignedIdentity?.clientId;
  const systemThenUser = () => [systemId(), user.clientId, user.clientId, user.clientId];

  test.concurrent('IMDS issues a token of about a day for the machine, or for an identity selected by any id', async () => {
    const unknown = { userAssignedClientId: 'b5f3f7b4-58c4-4c0b-8a5c-0c7f1c2d3e4f' };
    const outcomes = await withMsal(entra.managedIdentity.imds.env, [...everyWay(), unknown]);
    const [system, refused] = [outcomes[0] as Outcome, outcomes.pop() as Outcome];
    expect(clientIds(outcomes)).toEqual(systemThenUser());
    expect(claimsOf(system)).toMatchObject({ appidacr: '2', idtyp: 'app' });
    expect((system.expiresOn ?? 0) - Date.now()).toBeGreaterThan(23.9 * 3_600_000);
    expect(refused.error?.errorCode).toBe('invalid_request');
    expect(refused.error?.errorMessage).toContain('Identity not found');
  });

  test.concurrent('App Service', async () => {
    const outcomes = await withMsal(entra.managedIdentity.appService.env, everyWay());
    expect(clientIds(outcomes)).toEqual(systemThenUser());
  });

  test.concurrent('Cloud Shell issues a token for the user', async () => {
    const [outcome = {}] = await withMsal(entra.managedIdentity.cloudShell.env);
    expect(claimsOf(outcome)).toMatchObject({ upn: entra.user.userName });
  });

  test.concurrent('Azure Machine Learning', async () => {
    const { env } = entra.managedIdentity.machineLearning;
    const outcomes = await withMsal(env, [{}, { userAssignedClientId: user.clientId }]);
    expect(clientIds(outcomes)).toEqual([systemId(), user.clientId]);
  });

  test.concurrent('Service Fabric, over https', async () => {
    const { env, certificate } = entra.managedIdentity.serviceFabric;
    const directory = await mkdtemp(join(tmpdir(), 'entra-fabric-'));
    try {
      await writeFile(join(directory, 'ca.pem'), certificate);
      const trusting = await withMsal({ ...env, NODE_EXTRA_CA_CERTS: join(directory, 'ca.pem') });
      expect(clientIds(trusting)).toEqual([systemId()]);
      const [distrusting] = await withMsal(env);
      expect(distrusting?.error?.errorCode).toBe('network_error');
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  test.concurrent('Azure Arc, with the key file', { skip: !canWriteArcDirectory }, async () => {
    expect(clientIds(await withMsal(entra.managedIdentity.azureArc.env, everyWay()))).toEqual(systemThenUser());
    const arc = entra.requests.filter((request) => request.grantType === 'azure-arc');
    expect(arc.map((request) => request.status)).toEqual([401, 200, 401, 200, 401, 200, 401, 200]);
  });
});

/** Status and body of a plain request. */
async function ask(
  url: string,
  parameters: Record<string, string>,
  init: { headers?: Record<string, string>; method?: string; body?: URLSearchParams } = {},
) {
  const response = await fetch(`${url}?${new URLSearchParams(parameters)}`, init);
  const body = (await response.json()) as Record<string, unknown>;
  return { status: response.status, headers: response.headers, body };
}

const IMDS_QUERY = { 'api-version': '2018-02-01', resource: RESOURCE };
const METADATA = { headers: { Metadata: 'true' } };

test('IMDS writes numbers as strings, unlike the token endpoint', async () => {
  await using entra = await startEntraEmulator();
  const { status, body } = await ask(entra.managedIdentity.imds.url, IMDS_QUERY, METADATA);
  expect(status).toBe(200);
  expect(body).toMatchObject({
    token_type: 'Bearer',
    client_id: entra.systemAssignedIdentity?.clientId,
    resource: RESOURCE,
    expires_in: expect.stringMatching(/^8(6400|6399)$/),
    expires_on: expect.stringMatching(/^\d{10}$/),
  });
  expect(entra.requests[0]).toMatchObject({ endpoint: 'managed-identity', grantType: 'imds', scope: RESOURCE });
});

test('IMDS refuses with 400 a request that is incomplete or could come from a browser or proxy', async () => {
  await using entra = await startEntraEmulator();
  const { url } = entra.managedIdentity.imds;
  const refusal = async (query: Record<string, string>, headers: Record<string, string>) => {
    const { status, body } = await ask(url, query, { headers });
    return [status, body.error, body.error_description];
  };
  const noHeader = [400, 'invalid_request', 'Required metadata header not specified'];
  expect(await refusal(IMDS_QUERY, {})).toEqual(noHeader);
  expect(await refusal(IMDS_QUERY, { Metadata: 'true', 'X-Forwarded-For': '10.0.0.1' })).toEqual(noHeader);
  expect((await refusal({ resource: RESOURCE }, { Metadata: 'true' }))[2]).toMatch(/api-version/);
  expect((await refusal({ 'api-version': '2018-02-01' }, { Metadata: 'true' }))[2]).toMatch(/audience/);
  const unknown = await refusal({ ...IMDS_QUERY, resource: 'https://nowhere.example' }, { Metadata: 'true' });
  expect(unknown).toEqual([400, 'invalid_resource', expect.stringContaining('AADSTS500011')]);
  entra.removeSystemAssignedIdentity();
  expect((await refusal(IMDS_QUERY, { Metadata: 'true' }))[2]).toBe('Identity not found');
});

test('a probe is not a token request, but an outage affects it', async () => {
  await using entra = await startEntraEmulator();
  expect((await ask(entra.managedIdentity.imds.url, {})).status).toBe(400);
  expect(entra.requests).toEqual([]);
  entra.fail({ status: 404, count: 1 });
  expect((await ask(entra.managedIdentity.imds.url, {})).status).toBe(404);
});

test('faults of one kind of endpoint do not affect the others', async () => {
  await using entra = await startEntraEmulator();
  entra.fail({ status: 410, retryAfter: 3, when: (request) => request.grantType === 'imds' });
  const imds = await ask(entra.managedIdentity.imds.url, IMDS_QUERY, METADATA);
  expect([imds.status, imds.headers.get('retry-after'), imds.body]).toEqual([410, '3', { error: 'Gone' }]);
  await entra.credential().getToken(`${RESOURCE}/.default`);
});

test('a managed identity respects the token lifetime and the sameToken setting', async () => {
  await using entra = await startEntraEmulator({ tokenLifetimeSeconds: 2, sameToken: true });
  const identity = entra.addManagedIdentity();
  const first = await entra.credential(identity).getToken(`${RESOURCE}/.default`);
  const second = await entra.credential(identity.clientId).getToken(`${RESOURCE}/.default`);
  expect(first.expiresOnTimestamp - Date.now()).toBeLessThanOrEqual(2000);
  expect(second.token).toBe(first.token);
  expect(entra.verify(first.token)).toMatchObject({ appid: identity.clientId, xms_mirid: identity.resourceId });
});

test('App Service requires its header and version', async () => {
  await using entra = await startEntraEmulator();
  const { url, env } = entra.managedIdentity.appService;
  const headers = { 'X-IDENTITY-HEADER': env.IDENTITY_HEADER ?? '' };
  const query = { 'api-version': '2019-08-01', resource: RESOURCE };
  expect(await ask(url, query)).toMatchObject({ status: 401, body: { statusCode: 401 } });
  expect(await ask(url, query, { headers: { 'X-IDENTITY-HEADER': 'guess' } })).toMatchObject({ status: 401 });
  expect(await ask(url, { ...query, 'api-version': '2017-09-01' }, { headers })).toMatchObject({ status: 400 });
  expect(await ask(url, { ...query, client_id: 'unknown' }, { headers })).toMatchObject({
    status: 400,
    body: { message: expect.stringContaining('No User Assigned') },
  });
  const { body } = await ask(url, query, { headers });
  expect(Object.keys(body).sort()).toEqual(['access_token', 'client_id', 'expires_on', 'resource', 'token_type']);
});

test('Azure Arc issues a token to a client that can read the key file, once per file', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'entra-arc-'));
  const entra = await startEntraEmulator({ arcKeyDirectory: directory });
  try {
    const { url } = entra.managedIdentity.azureArc;
    const query = { 'api-version': '2020-06-01', resource: RESOURCE };
    const challenge = await ask(url, query, METADATA);
    const [, file = ''] = /^Basic realm=(.+\.key)$/.exec(challenge.headers.get('www-authenticate') ?? '') ?? [];
    expect(challenge.status).toBe(401);
    const headers = { Metadata: 'true', Authorization: `Basic ${readFileSync(file, 'utf8')}` };
    expect(await ask(url, query, { headers: { ...headers, Authorization: 'Basic guess' } })).toMatchObject({
      status: 401,
    });
    expect(await ask(url, query, { headers })).toMatchObject({ status: 200, body: { token_type: 'Bearer' } });
    expect(await ask(url, query, { headers })).toMatchObject({ status: 401 });
    expect(readdirSync(directory)).toHaveLength(2);
    await entra.close();
    expect(readdirSync(directory)).toEqual([]);
  } finally {
    await entra.close();
    await rm(directory, { recursive: true });
  }
});

test('Cloud Shell accepts only a POST with the metadata header', async () => {
  await using entra = await startEntraEmulator();
  const { url } = entra.managedIdentity.cloudShell;
  const body = new URLSearchParams({ resource: RESOURCE });
  expect(await ask(url, { resource: RESOURCE }, METADATA)).toMatchObject({ status: 400 });
  expect(await ask(url, {}, { method: 'POST', body })).toMatchObject({ status: 400 });
  expect(await ask(url, {}, { method: 'POST', body, ...METADATA })).toMatchObject({
    status: 200,
    body: { resource: RESOURCE },
  });
});

test("Service Fabric is identified by its certificate's thumbprint and requires its secret", async () => {
  await using entra = await startEntraEmulator();
  const { url, env, certificate } = entra.managedIdentity.serviceFabric;
  const query = new URLSearchParams({ 'api-version': '2019-07-01-preview', resource: RESOURCE });
  const get = (headers: Record<string, string>) =>
    new Promise<{ body: { error?: { code: string }; expires_on?: number }; thumbprint: string }>((resolve, reject) => {
      https
        .get(`${url}?${query}`, { ca: certificate, headers, agent: false }, (response) => {
          const socket = response.socket as import('node:tls').TLSSocket;
          const thumbprint = socket.getPeerCertificate().fingerprint.replaceAll(':', '');
          response.setEncoding('utf8').on('data', (text: string) => resolve({ body: JSON.parse(text), thumbprint }));
        })
        .on('error', reject);
    });
  const { thumbprint, body } = await get({ Secret: env.IDENTITY_HEADER ?? '' });
  expect(thumbprint).toBe(env.IDENTITY_SERVER_THUMBPRINT);
  expect(body.expires_on).toBeGreaterThan(Date.now() / 1000);
  expect((await get({})).body.error?.code).toBe('SecretHeaderNotFound');
  expect((await get({ Secret: 'guess' })).body.error?.code).toBe('ManagedIdentityNotFound');
});

test('Azure Machine Learning requires its secret', async () => {
  await using entra = await startEntraEmulator();
  const { url, env } = entra.managedIdentity.machineLearning;
  const query = { 'api-version': '2017-09-01', resource: RESOURCE, clientid: env.DEFAULT_IDENTITY_CLIENT_ID ?? '' };
  expect(await ask(url, query)).toMatchObject({ status: 401 });
  const headers = { secret: env.MSI_SECRET ?? '' };
  expect(await ask(url, query, { headers })).toMatchObject({
    status: 200,
    body: { client_id: entra.systemAssignedIdentity?.clientId },
  });
  expect(await ask(url, { ...query, clientid: 'unknown' }, { headers })).toMatchObject({ status: 400 });
});

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { createCredential, TokenCache } from '../../../src/index.js';
import {
  type EntraEmulator,
  type ManagedIdentity,
  type ManagedIdentityEndpoint,
  startEntraEmulator,
} from '../../../src/testing/index.js';
import { httpServer } from '../../support/http-server.js';
import { printed } from '../printed.js';

const SCOPE = 'https://database.windows.net/.default';
const ALL_VARIABLES = [
  'IDENTITY_ENDPOINT',
  'IDENTITY_HEADER',
  'IDENTITY_SERVER_THUMBPRINT',
  'IMDS_ENDPOINT',
  'MSI_ENDPOINT',
  'MSI_SECRET',
  'DEFAULT_IDENTITY_CLIENT_ID',
  'AZURE_POD_IDENTITY_AUTHORITY_HOST',
];
const arcKeyDirectory = mkdtempSync(join(tmpdir(), 'arc-'));
let entra: EntraEmulator;
let own: ManagedIdentity;
let assigned: ManagedIdentity;

beforeAll(async () => {
  entra = await startEntraEmulator({ arcKeyDirectory, tokenLifetimeSeconds: 86_400 });
  own = entra.systemAssignedIdentity as ManagedIdentity;
  assigned = entra.addManagedIdentity();
});
afterEach(() => {
  entra.heal();
  vi.unstubAllEnvs();
});
afterAll(async () => {
  await entra.close();
  rmSync(arcKeyDirectory, { recursive: true });
});

function on(platform: ManagedIdentityEndpoint, changes: Record<string, string> = {}): void {
  for (const name of ALL_VARIABLES) vi.stubEnv(name, undefined);
  for (const [name, value] of Object.entries({ ...platform.env, ...changes })) vi.stubEnv(name, value);
}

async function whoAmI(options: object = {}): Promise<unknown> {
  const answer = await new TokenCache(createCredential({ method: 'managed-identity', ...options })).getToken(SCOPE);
  const claims = entra.verify(answer.token, { audience: 'https://database.windows.net' }) as {
    appid?: string;
    upn?: string;
  };
  return claims.upn ?? claims.appid ?? claims;
}

const chosenBy = () =>
  ({ clientId: assigned.clientId, objectId: assigned.objectId, resourceId: assigned.resourceId }) as const;

describe('each platform speaks its own protocol', () => {
  test.each(['imds', 'appService', 'azureArc', 'serviceFabric', 'machineLearning'] as const)(
    '%s returns the identity of the machine or app',
    async (platform) => {
      on(entra.managedIdentity[platform]);
      expect(await whoAmI({ arcKeyDirectory })).toBe(own.clientId);
    },
  );

  test('cloudShell returns the user', async () => {
    on(entra.managedIdentity.cloudShell);
    expect(await whoAmI()).toBe(entra.user.userName);
  });

  test.each([
    ['imds', 'clientId'],
    ['imds', 'objectId'],
    ['imds', 'resourceId'],
    ['appService', 'clientId'],
    ['appService', 'objectId'],
    ['appService', 'resourceId'],
    ['azureArc', 'clientId'],
    ['azureArc', 'objectId'],
    ['azureArc', 'resourceId'],
    ['machineLearning', 'clientId'],
  ] as const)('%s lets a user-assigned one be chosen by %s', async (platform, key) => {
    on(entra.managedIdentity[platform]);
    expect(await whoAmI({ [key]: chosenBy()[key], arcKeyDirectory })).toBe(assigned.clientId);
  });

  test.each([
    ['serviceFabric', 'clientId', /Service Fabric/],
    ['cloudShell', 'resourceId', /Cloud Shell/],
    ['machineLearning', 'objectId', /only 'clientId'/],
  ] as const)('%s does not support %s and refuses it', async (platform, key, message) => {
    on(entra.managedIdentity[platform]);
    await expect(whoAmI({ [key]: chosenBy()[key] })).rejects.toThrow(message);
  });

  test('another resource gets its own token', async () => {
    on(entra.managedIdentity.imds);
    const tokens = new TokenCache(createCredential({ method: 'managed-identity' }));
    const vault = await tokens.getToken('https://vault.azure.net/.default');
    expect(entra.verify(vault.token, { audience: 'https://vault.azure.net' })).toMatchObject({ appid: own.clientId });
  });
});

test('a day-long token is renewed halfway', async () => {
  on(entra.managedIdentity.imds);
  const held = await new TokenCache(createCredential({ method: 'managed-identity' })).get();
  expect(held.refreshOn - Date.now()).toBeLessThanOrEqual(12 * 3_600_000);
  expect(held.refreshOn - Date.now()).toBeGreaterThan(10 * 3_600_000);
});

test('a hundred cold callers make one request; twenty identities make at most five at once', async () => {
  on(entra.managedIdentity.imds);
  const before = entra.requests.length;
  const tokens = new TokenCache(createCredential({ method: 'managed-identity' }));
  await Promise.all(Array.from({ length: 100 }, () => tokens.get()));
  expect(entra.requests.length - before).toBe(1);

  let most = 0;
  entra.fail({ delayMs: 40 });
  const many = Array.from({ length: 20 }, () => entra.addManagedIdentity().clientId);
  const answers = Promise.all(many.map((clientId) => whoAmI({ clientId })));
  const watch = setInterval(() => {
    most = Math.max(most, entra.requests.filter((request) => request.answeredAt === undefined).length);
  }, 5);
  expect(await answers).toEqual(many);
  clearInterval(watch);
  expect(most).toBeGreaterThan(1);
  expect(most).toBeLessThanOrEqual(5);
});

describe('failures', () => {
  test.each([
    [{ status: 404 }, 'ERR_TOKEN_UNAVAILABLE'],
    [{ status: 503, body: '<html>' }, 'ERR_TOKEN_UNAVAILABLE'],
    [{ status: 429, retryAfter: 11 }, 'ERR_TOKEN_THROTTLED'],
    [{ reset: true }, 'ERR_TOKEN_UNAVAILABLE'],
  ])('%o fails at once without patience, and is retried after 5 s or its Retry-After', async (fault, code) => {
    on(entra.managedIdentity.imds);
    entra.fail(fault);
    const before = entra.requests.length;
    const tokens = new TokenCache(createCredential({ method: 'managed-identity', retryTimeoutMs: 0 }));
    const error = await tokens.get().catch((e) => e);
    expect(error.code).toBe(code);
    expect(error.retryAfterMs).toBeGreaterThanOrEqual('retryAfter' in fault ? 11_000 : 5_000);
    await expect(tokens.get()).rejects.toMatchObject({ code });
    expect(entra.requests.length - before).toBe(1);
  });

  test('an identity that is not assigned is a refusal that names it', async () => {
    on(entra.managedIdentity.imds);
    const clientId = '11111111-2222-4333-8444-555555555555';
    await expect(whoAmI({ clientId })).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_REJECTED',
      message: expect.stringContaining(clientId),
    });
    on(entra.managedIdentity.appService);
    await expect(whoAmI({ clientId })).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_REJECTED' });
  });

  test('a resource that does not exist is a refusal by Entra', async () => {
    on(entra.managedIdentity.imds);
    const credential = createCredential({ method: 'managed-identity' });
    await expect(credential.getToken('https://no.such.example/.default')).rejects.toMatchObject({ aadsts: 500011 });
  });

  test('Service Fabric with another certificate gets no secret', async () => {
    on(entra.managedIdentity.serviceFabric, { IDENTITY_SERVER_THUMBPRINT: 'ab'.repeat(20) });
    const before = entra.requests.length;
    await expect(whoAmI()).rejects.toThrow(/certificate other than/);
    expect(entra.requests.length).toBe(before);
  });

  test('an Azure Arc endpoint that names a file elsewhere does not get its content', async () => {
    on(entra.managedIdentity.azureArc);
    // The emulator keeps its files in its own directory, not in Arc's.
    const error = await whoAmI().catch((e) => e);
    expect(error).toMatchObject({ code: 'ERR_CREDENTIAL_REJECTED', hint: expect.stringContaining('arcKeyDirectory') });
  });

  test.each([
    [`${arcKeyDirectory}/../secret.key`],
    [`${arcKeyDirectory}/sub/x.key`],
    [`${arcKeyDirectory}/x.pem`],
    ['/etc/passwd'],
  ])('Azure Arc cannot lead us to %s', async (path) => {
    await using agent = await platformThatAnswers(401, {}, { 'www-authenticate': `Basic realm=${path}` });
    on({ url: '', env: { IDENTITY_ENDPOINT: agent.url, IMDS_ENDPOINT: agent.url } });
    await expect(whoAmI({ arcKeyDirectory })).rejects.toThrow(/it was not read/);
    expect(agent.requests).toHaveLength(1);
  });

  test('an Azure Arc endpoint cannot make us read a huge file', async () => {
    const key = join(arcKeyDirectory, 'large.key');
    writeFileSync(key, 'x'.repeat(4097));
    await using agent = await platformThatAnswers(401, {}, { 'www-authenticate': `Basic realm=${key}` });
    on({ url: '', env: { IDENTITY_ENDPOINT: agent.url, IMDS_ENDPOINT: agent.url } });
    await expect(whoAmI({ arcKeyDirectory })).rejects.toThrow(/too large/);
    expect(agent.requests).toHaveLength(1);
  });

  test.each(['clientId', 'objectId', 'resourceId'] as const)(
    "an Azure Arc answer for the machine's own identity is rejected if another was selected by %s",
    async (choice) => {
      const names = { client_id: own.clientId, object_id: own.objectId, msi_res_id: own.resourceId };
      const answer = { access_token: 'of-another', expires_in: 3600, ...names };
      await using agent = await platformThatAnswers(200, answer, {}, arcChallenge());
      on({ url: '', env: { IDENTITY_ENDPOINT: agent.url, IMDS_ENDPOINT: agent.url } });
      await expect(whoAmI({ [choice]: chosenBy()[choice], arcKeyDirectory })).rejects.toMatchObject({
        code: 'ERR_CREDENTIAL_REJECTED',
        message: expect.stringContaining('identity other than'),
      });
    },
  );

  test('the error for an invalid endpoint URL names the variable', async () => {
    on({ url: '', env: { IDENTITY_ENDPOINT: 'nonsense', IDENTITY_HEADER: 'x' } });
    await expect(whoAmI()).rejects.toThrow(/'IDENTITY_ENDPOINT' must be/);
  });

  test('two selections are rejected', () => {
    const { clientId, objectId } = chosenBy();
    expect(() => createCredential({ method: 'managed-identity', clientId, objectId })).toThrow(/only one of/);
  });
});

describe('the expiry of a token is accepted as', () => {
  const inAnHour = Math.floor(Date.now() / 1000) * 1000 + 3_600_000;
  test.each<[string, object]>([
    ['seconds', { expires_on: inAnHour / 1000 }],
    ['seconds as text', { expires_on: String(inAnHour / 1000) }],
    ['ISO 8601', { expires_on: new Date(inAnHour).toISOString() }],
    ['a duration only', { expires_in: '3600' }],
    ["App Service's old text", { expires_on: oldText(inAnHour) }],
  ])('%s', async (_, times) => {
    await using platform = await platformThatAnswers(200, { access_token: 'opaque', token_type: 'Bearer', ...times });
    on({ url: '', env: { IDENTITY_ENDPOINT: platform.url, IDENTITY_HEADER: 'x' } });
    const answer = await createCredential({ method: 'managed-identity' }).getToken(SCOPE);
    expect(Math.abs((answer?.expiresOnTimestamp ?? 0) - inAnHour)).toBeLessThan(60_000);
  });

  function oldText(epochMs: number): string {
    const at = new Date(epochMs);
    const hour = at.getUTCHours();
    const clock = [hour % 12 || 12, at.getUTCMinutes(), at.getUTCSeconds()]
      .map((n) => String(n).padStart(2, '0'))
      .join(':');
    return `${at.getUTCMonth() + 1}/${at.getUTCDate()}/${at.getUTCFullYear()} ${clock} ${hour < 12 ? 'AM' : 'PM'} +00:00`;
  }
});

test('no secret of the platform is printed', async () => {
  on(entra.managedIdentity.appService);
  const secret = entra.managedIdentity.appService.env.IDENTITY_HEADER ?? '';
  vi.stubEnv('IDENTITY_HEADER', `${secret}-wrong`);
  const credential = createCredential({ method: 'managed-identity' });
  const error = await credential.getToken(SCOPE).catch((e) => e);
  expect(error).toMatchObject({ code: 'ERR_CREDENTIAL_REJECTED', status: 401 });
  expect(printed(error, credential)).not.toContain(secret);
});

/** Azure Arc's first answer: the file whose content it requires. */
function arcChallenge(): string {
  const key = join(arcKeyDirectory, 'agent.key');
  writeFileSync(key, 'the key');
  return `Basic realm=${key}`;
}

/** A platform that always gives the same answer; with a `challenge`, a request without authorization gets that first. */
function platformThatAnswers(status: number, body: object, headers: Record<string, string> = {}, challenge?: string) {
  return httpServer((request) =>
    challenge !== undefined && request.headers.authorization === undefined
      ? { status: 401, headers: { 'www-authenticate': challenge } }
      : { status, headers, body },
  );
}

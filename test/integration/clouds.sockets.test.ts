import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import sql from 'mssql';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  type CredentialInput,
  createCredential,
  createTokenPool,
  type TokenPoolConfig,
  withTokenRefresh,
} from '../../src/index.js';
import { ConnectionPool } from '../../src/mssql/index.js';
import {
  type EntraEmulator,
  makeCertificate,
  type SqlEmulator,
  startEntraEmulator,
  startSqlEmulator,
} from '../../src/testing/index.js';
import { clearEnvironment } from '../support/clear-environment.js';
import { query } from '../support/query.js';

const PUBLIC = { login: 'login.microsoftonline.com', resource: 'https://database.windows.net' };
const US_GOVERNMENT = { login: 'login.microsoftonline.us', resource: 'https://database.usgovcloudapi.net' };
const CHINA = { login: 'login.partner.microsoftonline.cn', resource: 'https://database.chinacloudapi.cn' };

const SERVERS = [
  ['shop.database.windows.net', PUBLIC],
  ['shop.public.abc123.database.windows.net', PUBLIC],
  ['shop-ondemand.sql.azuresynapse.net', PUBLIC],
  ['x1y2.datawarehouse.fabric.microsoft.com', PUBLIC],
  ['shop.database.usgovcloudapi.net', US_GOVERNMENT],
  ['shop.sql.azuresynapse.usgovcloudapi.net', US_GOVERNMENT],
  ['shop.database.chinacloudapi.cn', CHINA],
  ['shop.sql.azuresynapse.azure.cn', CHINA],
] as const;

let entra: EntraEmulator;
/** Hosts that were asked for a token. */
let asked: string[];
/** Leads token requests to any host to the emulator. */
let agent: Agent;
const folder = mkdtempSync(join(tmpdir(), 'clouds-'));
const certificate = makeCertificate({ commonName: 'localhost', altNames: SERVERS.map(([name]) => name) });

beforeAll(async () => {
  entra = await startEntraEmulator({ https: true, deviceCode: { intervalSeconds: 0.02 } });
});
beforeEach(() => {
  clearEnvironment();
  asked = [];
  agent = new Agent();
  agent.createConnection = (options) => {
    asked.push(String(options.host));
    const { port } = new URL(entra.url);
    return connectTls({ host: '127.0.0.1', port: Number(port), ca: entra.ca ?? '', servername: 'localhost' });
  };
});
afterEach(() => agent.destroy());
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await entra.close();
});

const servers: SqlEmulator[] = [];
async function serverOf(...audience: string[]): Promise<SqlEmulator> {
  const server = await startSqlEmulator({ entra, certificate, audience });
  servers.push(server);
  return server;
}
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

function application(more: object = {}): CredentialInput {
  const { tenantId, clientId, clientSecret } = entra;
  return { tenantId, clientId, clientSecret, agent, ...more };
}

/** A config as an app has it, and the way to the emulator in place of DNS. */
function configFor(name: string, emulator: SqlEmulator, authentication: CredentialInput): TokenPoolConfig {
  const connector = async () => connect(emulator.port, '127.0.0.1');
  return { ...emulator.config({ authentication, options: { connector } }), server: name } as TokenPoolConfig;
}

async function whoAmI(config: TokenPoolConfig): Promise<unknown> {
  await using pool = createTokenPool(config);
  return (await pool.use((connection) => query(connection, 'SELECT SUSER_SNAME()')))[0]?.[0];
}

describe("the server's name determines the identity provider and the resource", () => {
  test.each(SERVERS)('%s', async (name, { login, resource }) => {
    const before = entra.requests.length;
    const emulator = await serverOf(resource);
    expect(await whoAmI(configFor(name, emulator, application()))).toBe(entra.clientId);
    expect(new Set(asked)).toEqual(new Set([login]));
    expect(entra.requests.slice(before).map(({ scope }) => scope)).toEqual([`${resource}/.default`]);
  });

  test('for all three kinds of pool', async () => {
    const [name, { login, resource }] = SERVERS[4];
    const emulator = await serverOf(resource);
    const config = configFor(name, emulator, application({ enableCae: true }));
    for (const pool of [
      new sql.ConnectionPool(withTokenRefresh(config) as unknown as sql.config),
      new ConnectionPool(config),
    ]) {
      await pool.connect();
      expect((await pool.query('SELECT SUSER_SNAME() AS name')).recordset).toEqual([{ name: entra.clientId }]);
      await pool.close();
    }
    expect(new Set(asked)).toEqual(new Set([login]));
  });
});

describe('overridden', () => {
  test("'authority' of the credential and AZURE_AUTHORITY_HOST override the name", async () => {
    const [name, { resource }] = SERVERS[4];
    const emulator = await serverOf(resource);
    const authority = `https://${CHINA.login}`;
    expect(await whoAmI(configFor(name, emulator, application({ authority })))).toBe(entra.clientId);
    expect(new Set(asked)).toEqual(new Set([CHINA.login]));

    asked = [];
    vi.stubEnv('AZURE_AUTHORITY_HOST', PUBLIC.login);
    expect(await whoAmI(configFor(name, emulator, application()))).toBe(entra.clientId);
    expect(new Set(asked)).toEqual(new Set([PUBLIC.login]));
  });

  test("'scope' of the config overrides the name and what the server reports", async () => {
    const [name] = SERVERS[4];
    // The first audience is what it says.
    const emulator = await serverOf(US_GOVERNMENT.resource, CHINA.resource);
    const before = entra.requests.length;
    const config = { ...configFor(name, emulator, application()), scope: `${CHINA.resource}/.default` };
    expect(await whoAmI(config)).toBe(entra.clientId);
    expect(entra.requests.slice(before).map(({ scope }) => scope)).toEqual([`${CHINA.resource}/.default`]);
  });
});

describe('when the credential does not name an identity provider', () => {
  const federated = () => {
    const subject = 'system:serviceaccount:shop:api';
    const app = entra.addApp({ federatedCredentials: [{ subject }] });
    const file = join(folder, 'token');
    writeFileSync(file, entra.issueFederatedToken({ subject }));
    vi.stubEnv('AZURE_FEDERATED_TOKEN_FILE', file);
    vi.stubEnv('AZURE_TENANT_ID', entra.tenantId);
    vi.stubEnv('AZURE_CLIENT_ID', app.clientId);
  };
  const secret = () => {
    vi.stubEnv('AZURE_TENANT_ID', entra.tenantId);
    vi.stubEnv('AZURE_CLIENT_ID', entra.clientId);
    vi.stubEnv('AZURE_CLIENT_SECRET', entra.clientSecret);
  };
  const server = 'shop.database.usgovcloudapi.net';

  test.each<[string, () => void, CredentialInput]>([
    ['the environment', secret, { method: 'environment' }],
    ['the default chain', secret, { method: 'chain' }],
    ['a chain with a workload identity', federated, { method: 'chain', members: ['workload-identity'] }],
    ["tedious's default", secret, { type: 'azure-active-directory-default', options: {} }],
    ["ADO.NET's default", secret, `Server=${server};Authentication=Active Directory Default`],
    ["ADO.NET's integrated", secret, `Server=${server};Authentication=Active Directory Integrated`],
  ])('%s follows the server too', async (_, given, input) => {
    given();
    // These take no agent: every https connection is led to the emulator.
    const everywhere = vi.spyOn(Agent.prototype, 'createConnection').mockImplementation(agent.createConnection);
    try {
      const answer = await createCredential(input, { server }).getToken(`${US_GOVERNMENT.resource}/.default`);
      expect(entra.verify(answer?.token ?? '', { audience: US_GOVERNMENT.resource })).toHaveProperty('appid');
      expect(asked).toEqual([US_GOVERNMENT.login]);
    } finally {
      everywhere.mockRestore();
    }
  });
});

describe('when the name determines nothing', () => {
  test('requests a token for the resource that the server reports, and remembers the resource', async () => {
    const emulator = await serverOf(US_GOVERNMENT.resource);
    const before = entra.requests.length;
    await using pool = createTokenPool({ ...configFor('localhost', emulator, application()), pool: { max: 3 } });
    const name = async () => (await pool.use((c) => query(c, 'SELECT SUSER_SNAME()')))[0]?.[0];
    expect(await name()).toBe(entra.clientId);
    const two = await Promise.all([pool.use(() => name()), name()]);
    expect(two).toEqual([entra.clientId, entra.clientId]);
    expect(entra.requests.slice(before).map(({ scope }) => scope)).toEqual([
      `${PUBLIC.resource}/.default`,
      `${US_GOVERNMENT.resource}/.default`,
    ]);
  });

  test('works in a tenant that does not know the guessed resource', async () => {
    const resource = 'https://database.cloudapi.example';
    entra.addResource(resource);
    const noSuchResource = { error: 'invalid_resource', error_description: 'AADSTS500011: no such resource principal' };
    entra.fail({ status: 400, body: noSuchResource, when: ({ scope }) => scope === `${PUBLIC.resource}/.default` });
    const emulator = await serverOf(resource);
    try {
      const config = configFor('localhost', emulator, application());
      await using pool = createTokenPool(config);
      expect(await pool.use((connection) => query(connection, 'SELECT SUSER_SNAME()'))).toEqual([[entra.clientId]]);
      // From now on, the token that this server accepts is kept fresh.
      expect(pool.stats.tokenExpiresOn).toBeGreaterThan(Date.now());
      await expect(whoAmI({ ...config, scope: `${PUBLIC.resource}/.default` })).rejects.toMatchObject({
        aadsts: 500011,
        hint: expect.stringContaining('scope'),
      });
    } finally {
      entra.heal();
    }
  });
});

test('a user who signs in before the first connection gets a token for the databases of that cloud', async () => {
  const before = entra.requests.length;
  const person = createCredential({
    method: 'device-code',
    tenantId: entra.tenantId,
    authority: `https://${US_GOVERNMENT.login}`,
    agent,
    onCode: () => entra.deviceSignIns.at(-1)?.approve(),
  });
  await person.signIn();
  expect(new Set(asked)).toEqual(new Set([US_GOVERNMENT.login]));
  const scopes = entra.requests.slice(before).map(({ scope }) => scope);
  expect(scopes.join(' ')).toContain(`${US_GOVERNMENT.resource}/.default`);
  expect(scopes.join(' ')).not.toContain(PUBLIC.resource);
});

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import stock from 'mssql';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { createTokenPool, withTokenRefresh } from '../../src/index.js';
import sql from '../../src/mssql/index.js';
import {
  type EntraEmulator,
  makeCertificate,
  type SqlEmulator,
  startEntraEmulator,
  startSqlEmulator,
  type UserAccount,
} from '../../src/testing/index.js';
import { FakeTools } from '../credentials/fake-tools.js';
import { clearEnvironment } from '../support/clear-environment.js';
import { query } from '../support/query.js';

/** Everything that takes a connection string as its whole config. */
const CONSUMERS: [name: string, whoAmI: (connectionString: string) => Promise<unknown>][] = [
  [
    'createTokenPool',
    async (connectionString) => {
      await using pool = createTokenPool(connectionString);
      return (await pool.use((connection) => query(connection, 'SELECT SUSER_SNAME()')))[0]?.[0];
    },
  ],
  [
    "withTokenRefresh, for stock mssql's pool",
    (connectionString) => nameOn(new stock.ConnectionPool(withTokenRefresh(connectionString) as stock.config)),
  ],
  ['ConnectionPool', (connectionString) => nameOn(new sql.ConnectionPool(connectionString))],
  [
    "connect() of 'mssql-token-pool/mssql'",
    async (connectionString) => {
      await sql.connect(connectionString);
      const { recordset } = await sql.query('SELECT SUSER_SNAME() AS name');
      await sql.close();
      return recordset[0]?.name;
    },
  ],
];

async function nameOn(pool: { connect(): Promise<unknown>; query: unknown; close(): unknown }): Promise<unknown> {
  await pool.connect();
  const { recordset } = await (pool as stock.ConnectionPool).query('SELECT SUSER_SNAME() AS name');
  await pool.close();
  return recordset[0]?.name;
}

interface Login {
  /** What follows `Authentication=...` in the string. */
  more?: string;
  /** What SUSER_SNAME() must say. */
  principal: string;
  /** How often a person is asked, for all of them together. */
  prompts?: number;
}

/** Each keyword of Microsoft.Data.SqlClient 6, with what it needs around it. */
const KEYWORDS: [keyword: string, setUp: () => Login][] = [
  [
    'Active Directory Service Principal',
    () => {
      const clientSecret = 'it"s; a=secret';
      const { clientId } = entra.addApp({ clientSecret });
      return { more: `User ID=${clientId}@${entra.tenantId};Password=${quoted(clientSecret)}`, principal: clientId };
    },
  ],
  [
    'ActiveDirectoryServicePrincipal',
    () => {
      const { clientId, clientSecret } = entra.addApp();
      return { more: `Tenant Id=${entra.tenantId};UID=${clientId};PWD=${clientSecret}`, principal: clientId };
    },
  ],
  ['Active Directory Managed Identity', () => ({ principal: ownIdentity() })],
  [
    'Active Directory MSI',
    () => {
      const { clientId } = entra.addManagedIdentity();
      return { more: `User ID=${clientId}`, principal: clientId };
    },
  ],
  ['Active Directory Default', () => ({ principal: ownIdentity() })],
  [
    'Active Directory Workload Identity',
    () => {
      const subject = 'system:serviceaccount:shop:api';
      const { clientId } = entra.addApp({ federatedCredentials: [{ subject }] });
      const file = join(folder, 'federated-token');
      writeFileSync(file, entra.issueFederatedToken({ subject }));
      vi.stubEnv('AZURE_TENANT_ID', entra.tenantId);
      vi.stubEnv('AZURE_FEDERATED_TOKEN_FILE', file);
      return { more: `User ID=${clientId}`, principal: clientId };
    },
  ],
  [
    'Active Directory Password',
    () => {
      const { userName, password } = entra.addUser();
      return { more: `User ID=${userName};Password=${quoted(password)}`, principal: userName };
    },
  ],
  [
    'Active Directory Device Code Flow',
    () => {
      const user = entra.addUser();
      vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
        if (!/to sign in/i.test(String(text))) return true;
        prompts += 1;
        return entra.deviceSignIns.at(-1)?.approve(user) === undefined;
      });
      return { more: `User ID=${user.userName}`, principal: user.userName, prompts: 1 };
    },
  ],
  [
    'Active Directory Interactive',
    () => {
      const user = entra.addUser();
      opensBrowser(user);
      return { more: `User ID=${user.userName}`, principal: user.userName, prompts: 1 };
    },
  ],
  [
    'Active Directory Integrated',
    () => {
      const { clientId, clientSecret } = entra.addApp();
      const more = `Client Id=${clientId};Tenant Id=${entra.tenantId};Client Secret=${clientSecret}`;
      return { more, principal: clientId };
    },
  ],
];

const folder = mkdtempSync(join(tmpdir(), 'connection-strings-'));
let entra: EntraEmulator;
let server: SqlEmulator;
let tools: FakeTools;
let prompts: number;
let browser: NodeJS.Timeout | undefined;

beforeAll(async () => {
  entra = await startEntraEmulator({ deviceCode: { intervalSeconds: 0.02 } });
  server = await startSqlEmulator({ entra, certificate: makeCertificate({ commonName: 'localhost' }) });
});
beforeEach(() => {
  prompts = 0;
  tools = new FakeTools();
  clearEnvironment();
  // A connection string cannot name an identity provider.
  vi.stubEnv('AZURE_AUTHORITY_HOST', entra.url);
  for (const [name, value] of Object.entries(entra.managedIdentity.imds.env)) vi.stubEnv(name, value);
});
afterEach(() => {
  clearInterval(browser);
  vi.restoreAllMocks();
  tools.remove();
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await server.close();
  await entra.close();
});

const ownIdentity = () => entra.systemAssignedIdentity?.clientId ?? '';

/** As ADO.NET quotes a value. */
const quoted = (value: string) => `"${value.replaceAll('"', '""')}"`;

/** Replaces the system's browser with one in which a user signs in. */
function opensBrowser(user: UserAccount): void {
  const command = { darwin: 'open', win32: 'rundll32' }[process.platform as string] ?? 'xdg-open';
  tools.install(command, '');
  browser = setInterval(() => {
    const url = tools.runs(command)[prompts]?.at(-1);
    if (url === undefined) return;
    prompts += 1;
    void entra.signIn(url, user);
  }, 10);
}

describe.each(KEYWORDS)('Authentication=%s', (keyword, setUp) => {
  test('logs in everywhere that a connection string is accepted as the config', async () => {
    const { more = '', principal, prompts: expected = 0 } = setUp();
    const text = `Server=tcp:localhost,${server.port};Database=shop;Encrypt=True;TrustServerCertificate=True;Authentication=${keyword};${more}`;
    const names: Record<string, unknown> = {};
    for (const [consumer, whoAmI] of CONSUMERS) names[consumer] = await whoAmI(text);
    expect(names).toEqual(Object.fromEntries(CONSUMERS.map(([consumer]) => [consumer, principal])));
    expect(prompts).toBe(expected);
  });
});

test('methods without a token are passed through unchanged', async () => {
  const { user, password } = server.sqlLogin;
  const text = `Server=localhost,${server.port};TrustServerCertificate=True;User ID=${user};Password=${quoted(password)}`;
  for (const more of ['', ';Authentication=SqlPassword', ';Authentication=Sql Password']) {
    for (const [consumer, whoAmI] of CONSUMERS) expect([consumer, await whoAmI(text + more)]).toEqual([consumer, user]);
  }
});

type RequestFailure = Error & { originalError?: Error };

test.each(CONSUMERS)('%s reports what is wrong with a keyword, without showing a value', async (_, whoAmI) => {
  const text = `Server=localhost,${server.port};Authentication=Active Directory Magic;User ID=x;Password=hidden-value`;
  const error = await (async () => whoAmI(text))().catch((thrown: unknown) => thrown as RequestFailure);
  expect((error as RequestFailure).originalError ?? error).toMatchObject({
    code: 'ERR_CONFIGURATION',
    message: expect.stringContaining("'Authentication'"),
    hint: expect.stringContaining('Managed Identity'),
  });
  expect(JSON.stringify(error) + (error as RequestFailure).stack).not.toContain('hidden-value');
});

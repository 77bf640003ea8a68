import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { createCredential } from '../../../src/index.js';
import { type EntraEmulator, makeCertificate, startEntraEmulator } from '../../../src/testing/index.js';
import { clearEnvironment } from '../../support/clear-environment.js';
import { httpServer } from '../../support/http-server.js';
import { FakeTools } from '../fake-tools.js';
import { printed } from '../printed.js';

const SCOPE = 'https://database.windows.net/.default';
const certificate = makeCertificate({ commonName: 'app', keyType: 'rsa' });
const folder = mkdtempSync(join(tmpdir(), 'texts-'));
const certificatePath = join(folder, 'app; with = signs.pem');
let entra: EntraEmulator;
let tools: FakeTools;

beforeAll(async () => {
  entra = await startEntraEmulator({ app: { certificates: [certificate.cert], clientSecret: `s'e"c;r=et` } });
  writeFileSync(certificatePath, certificate.key + certificate.cert);
});
beforeEach(() => {
  tools = new FakeTools();
  clearEnvironment();
  vi.stubEnv('AZURE_AUTHORITY_HOST', entra.url);
  for (const [name, value] of Object.entries(entra.managedIdentity.imds.env)) vi.stubEnv(name, value);
});
afterEach(() => tools.remove());
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await entra.close();
});

async function whoIs(...text: [string?]): Promise<unknown> {
  const answer = await createCredential(...text).getToken(SCOPE);
  const claims = entra.verify(answer?.token ?? '') as { upn?: string; appid?: string };
  return claims.upn ?? claims.appid;
}

function refusal(text: string): string {
  try {
    createCredential(text);
  } catch (thrown) {
    const error = thrown as Error & { code: string; hint?: string };
    expect(error.code).toBe('ERR_CONFIGURATION');
    expect(printed(error)).not.toContain('hidden-value');
    return `${error.message} ${error.hint ?? ''}`;
  }
  throw new Error('nothing was refused');
}

/** As ADO.NET quotes a value. */
const quoted = (value: string) => `"${value.replaceAll('"', '""')}"`;

function azWorks(): void {
  const print = {
    accessToken: entra.issueToken({ principal: entra.user }),
    expires_on: Math.floor(Date.now() / 1000) + 3600,
  };
  tools.install('az', `cat <<'END'\n${JSON.stringify(print)}\nEND`);
}

describe('AzureServiceTokenProvider', () => {
  test('RunAs=App with a secret, with any contents and quoting', async () => {
    const { clientId, tenantId, clientSecret } = entra;
    expect(await whoIs(`RunAs=App;AppId=${clientId};TenantId=${tenantId};AppKey=${quoted(clientSecret)}`)).toBe(
      clientId,
    );
    const single = `'${clientSecret.replaceAll("'", "''")}'`;
    expect(await whoIs(`runas = APP; appid=${clientId} ;TENANTID=${tenantId};AppKey=${single};`)).toBe(clientId);
  });

  test('RunAs=App with a certificate file', async () => {
    const { clientId, tenantId } = entra;
    const text = `RunAs=App;AppId=${clientId};TenantId=${tenantId};CertificatePath=${quoted(certificatePath)}`;
    expect(await whoIs(text)).toBe(clientId);
  });

  test('RunAs=App with a certificate in Key Vault, read by the managed identity', async () => {
    const { clientId, tenantId } = entra;
    await using vault = await httpServer((request) => {
      const token = (request.headers.authorization ?? '').replace('Bearer ', '');
      const claims = entra.verify(token, { audience: 'https://vault.azure.net' }) as { appid?: string };
      const allowed = claims.appid === entra.systemAssignedIdentity?.clientId;
      return { status: allowed ? 200 : 403, body: { value: certificate.key + certificate.cert } };
    });
    const secret = `${vault.url}/secrets/app`;
    const text = `RunAs=App;AppId=${clientId};KeyVaultCertificateSecretIdentifier=${secret}`;
    expect(await whoIs(`${text};TenantId=${tenantId}`)).toBe(clientId);
    expect(await whoIs(text)).toBe(clientId);
    const other = entra.addManagedIdentity();
    await expect(whoIs(`${text};KeyVaultUserAssignedManagedIdentityId=${other.clientId}`)).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_REJECTED',
      status: 403,
    });
    expect(vault.requests[0]?.url.href).toBe(`${secret}?api-version=7.4`);
  });

  test('RunAs=App alone is the managed identity; with AppId, a user-assigned one', async () => {
    expect(await whoIs('RunAs=App')).toBe(entra.systemAssignedIdentity?.clientId);
    expect(await whoIs('RunAs=App;MsiRetryTimeout=30')).toBe(entra.systemAssignedIdentity?.clientId);
    const assigned = entra.addManagedIdentity();
    expect(await whoIs(`RunAs=App;AppId=${assigned.clientId}`)).toBe(assigned.clientId);
  });

  test('RunAs=Developer;DeveloperTool=AzureCLI', async () => {
    azWorks();
    expect(await whoIs('RunAs=Developer; DeveloperTool=AzureCli')).toBe(entra.user.userName);
  });

  test('without input: the environment variable, or else the chain', async () => {
    const { clientId, tenantId, clientSecret } = entra;
    vi.stubEnv(
      'AzureServicesAuthConnectionString',
      `RunAs=App;AppId=${clientId};TenantId=${tenantId};AppKey=${quoted(clientSecret)}`,
    );
    expect(await whoIs()).toBe(clientId);
    vi.stubEnv('AzureServicesAuthConnectionString', undefined);
    expect(await whoIs()).toBe(entra.systemAssignedIdentity?.clientId);
  });

  test.each([
    ['RunAs=App;AppId=x;appid=y', /'appid' occurs twice.*Remove one/],
    ['RunAs=App;AppKey=hidden-value', /'AppId' is missing.*Application/],
    ['RunAs=App;AppId=x;AppKey=hidden-value', /'TenantId' is missing.*Directory/],
    ['RunAs=App;AppId=x;Secret=hidden-value', /unknown key at position 18/],
    ['RunAs=App;MsiRetryTimeout=soon', /'MsiRetryTimeout' must be/],
    ['RunAs=App;AppId="x', /never closed/],
    ['RunAs=Everybody', /'RunAs' must be/],
    ['RunAs=', /'RunAs' must be/],
    ['RunAs=CurrentUser', /Use instead: RunAs=Developer/],
    ['RunAs=Developer;DeveloperTool=VisualStudio', /Use instead: RunAs=Developer;DeveloperTool=AzureCLI/],
    ['RunAs=Developer', /'DeveloperTool' must be/],
    [
      'RunAs=App;AppId=x;TenantId=y;CertificateThumbprint=ab;CertificateStoreLocation=LocalMachine',
      /'CertificateThumbprint'.*Use instead: .*CertificatePath/,
    ],
    [
      'RunAs=App;AppId=x;TenantId=y;CertificateSubjectName=cn',
      /'CertificateSubjectName'.*Use instead: .*CertificatePath/,
    ],
    ['RunAs=App;AppId=x;KeyVaultCertificateSecretIdentifier=http://vault.example/secrets/x', /must be https/],
  ])('%s is refused', (text, message) => {
    expect(refusal(text)).toMatch(message);
  });
});

describe('ADO.NET, Authentication=Active Directory', () => {
  const server = 'Server=tcp:shop.database.windows.net,1433;Database=shop;Encrypt=true';

  test('Service Principal, with the tenant in each supported form', async () => {
    const { clientId, tenantId, clientSecret } = entra;
    const text = `${server};Authentication=Active Directory Service Principal;Password=${quoted(clientSecret)}`;
    expect(await whoIs(`${text};User ID=${clientId};Tenant Id=${tenantId}`)).toBe(clientId);
    expect(await whoIs(`${text};UID=${clientId}@${tenantId}`)).toBe(clientId);
    vi.stubEnv('AZURE_TENANT_ID', tenantId);
    expect(await whoIs(`${text};User Id=${clientId}`)).toBe(clientId);
  });

  test.each(['Active Directory Managed Identity', 'Active Directory MSI', 'ActiveDirectoryManagedIdentity'])(
    '%s',
    async (keyword) => {
      const assigned = entra.addManagedIdentity();
      expect(await whoIs(`${server};Authentication=${keyword}`)).toBe(entra.systemAssignedIdentity?.clientId);
      expect(await whoIs(`${server};Authentication="${keyword}";User ID=${assigned.clientId}`)).toBe(assigned.clientId);
    },
  );

  test('Default', async () => {
    expect(await whoIs(`${server};Authentication=Active Directory Default`)).toBe(
      entra.systemAssignedIdentity?.clientId,
    );
  });

  test('Workload Identity', async () => {
    const subject = 'system:serviceaccount:shop:api';
    const app = entra.addApp({ federatedCredentials: [{ subject }] });
    const file = join(folder, 'token');
    writeFileSync(file, entra.issueFederatedToken({ subject }));
    vi.stubEnv('AZURE_TENANT_ID', entra.tenantId);
    vi.stubEnv('AZURE_FEDERATED_TOKEN_FILE', file);
    expect(await whoIs(`${server};Authentication=Active Directory Workload Identity;User ID=${app.clientId}`)).toBe(
      app.clientId,
    );
  });

  test('Password', async () => {
    const { userName, password } = entra.user;
    const text = `${server};Authentication=Active Directory Password;User ID=${userName};Password=${quoted(password)}`;
    expect(await whoIs(text)).toBe(userName);
  });

  test.each([
    ['Active Directory Interactive', 'interactive'],
    ['Active Directory Device Code Flow', 'device-code'],
  ])('%s', (keyword, method) => {
    const { principal } = createCredential(`${server};Authentication=${keyword};User ID=ada@contoso.example`);
    expect(principal).toMatchObject({ method, id: 'ada@contoso.example' });
  });

  test('Integrated is handled as in mssql', async () => {
    const { clientId, tenantId, clientSecret } = entra;
    const text = `${server};Authentication=Active Directory Integrated`;
    expect(await whoIs(`${text};Token=${entra.issueToken()}`)).toBe(clientId);
    const secret = `Client Id=${clientId};Tenant Id=${tenantId};Client Secret=${quoted(clientSecret)}`;
    expect(await whoIs(`${text};${secret}`)).toBe(clientId);
    expect(await whoIs(text)).toBe(entra.systemAssignedIdentity?.clientId);
  });

  test.each([
    ['Authentication=Active Directory Service Principal;Password=hidden-value', /'User ID' is missing/],
    ['Authentication=Active Directory Service Principal;User ID=x', /'Password' is missing/],
    [
      'Authentication=Active Directory Service Principal;User ID=x;Password=hidden-value',
      /'Tenant Id' is missing.*AZURE_TENANT_ID/,
    ],
    ['Authentication=Active Directory Password;User ID=x', /'Password' is missing/],
    ['Authentication=Active Directory Magic', /'Authentication' has an unknown value/],
    ['Server=x;Password=hidden-value', /neither an access token nor a connection string/],
    ['hello', /neither/],
  ])('%s is refused', (text, message) => {
    expect(refusal(text)).toMatch(message);
  });
});

test("the server's cloud determines the identity provider", () => {
  vi.stubEnv('AZURE_AUTHORITY_HOST', undefined);
  const options = { tenantId: 'contoso.example', clientId: 'x', clientSecret: 'a-secret' };
  const wrong = { ...options, authority: 'https://login.microsoftonline.us/another' };
  expect(() => createCredential(wrong, { server: 'shop.database.windows.net' })).toThrow(/differ/);
  expect(createCredential(options, { server: 'shop.database.usgovcloudapi.net' }).principal.tenantId).toBe(
    'contoso.example',
  );
});

test('the implicit grant is rejected with the reason', () => {
  expect(() => createCredential({ method: 'implicit' } as never)).toThrow(/not to a server/);
});

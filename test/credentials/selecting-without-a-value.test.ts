import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { credentialOf } from '../../src/connections/settings.js';
import * as registry from '../../src/credentials/methods/registry.js';
import { ConfigurationError, createCredential } from '../../src/index.js';
import { clearEnvironment } from '../support/clear-environment.js';

const tenantId = 'contoso.example';
const clientId = '11111111-2222-3333-4444-555555555555';
const clientSecret = 's3cret';
const app = { tenantId, clientId };

beforeEach(() => {
  clearEnvironment();
  // What would log in instead, if an option without a value counted as one that is left out.
  vi.stubEnv('AZURE_TENANT_ID', tenantId);
  vi.stubEnv('AZURE_CLIENT_ID', '99999999-2222-3333-4444-555555555555');
});
afterEach(() => {
  vi.unstubAllEnvs();
});

const NO_VALUES: [string, unknown][] = [
  ['undefined', undefined],
  ['null', null],
  ['empty', ''],
  ['a space', ' '],
];

/**
 * Every method, whole, and its options that select who logs in: the principal itself, and the tenant in which it is looked for.
 */
const METHODS: Record<string, { whole: Record<string, unknown>; selecting: string[] }> = {
  'access-token': { whole: { token: 'eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjQwMDAwMDAwMDB9.c2ln' }, selecting: ['token'] },
  'agent-identity': {
    whole: { ...app, clientSecret, agentId: clientId, agentUserName: 'agent@contoso.example' },
    selecting: ['tenantId', 'clientId', 'agentId', 'agentUserName'],
  },
  'azure-cli': { whole: { tenantId, subscription: 'shop' }, selecting: ['tenantId', 'subscription'] },
  'azure-developer-cli': { whole: { tenantId }, selecting: ['tenantId'] },
  'azure-powershell': { whole: { tenantId }, selecting: ['tenantId'] },
  chain: { whole: { clientId, tenantId }, selecting: ['clientId', 'tenantId'] },
  'client-assertion': { whole: { ...app, assertion: 'a.b.c' }, selecting: ['tenantId', 'clientId'] },
  'device-code': { whole: { tenantId, username: 'ann' }, selecting: ['tenantId', 'username'] },
  environment: { whole: {}, selecting: [] },
  federated: { whole: { ...app, from: 'aws' }, selecting: ['tenantId', 'clientId'] },
  interactive: { whole: { tenantId, username: 'ann' }, selecting: ['tenantId', 'username'] },
  'managed-identity': { whole: {}, selecting: ['clientId', 'objectId', 'resourceId'] },
  'on-behalf-of': {
    whole: { ...app, clientSecret, userAssertion: async () => 'a.b.c' },
    selecting: ['tenantId', 'clientId', 'userAssertion'],
  },
  password: { whole: { tenantId, username: 'ann', password: 'x' }, selecting: ['tenantId', 'username'] },
  'refresh-token': {
    whole: { tenantId, username: 'ann', refreshToken: 'a-refresh-token' },
    selecting: ['tenantId', 'username', 'refreshToken'],
  },
  'service-principal-certificate': {
    whole: { ...app, certificatePath: '/app.pem' },
    selecting: ['tenantId', 'clientId'],
  },
  'service-principal-secret': { whole: { ...app, clientSecret }, selecting: ['tenantId', 'clientId'] },
  'token-credential': { whole: { credential: { getToken: async () => null } }, selecting: ['credential'] },
  'workload-identity': { whole: { ...app, tokenFilePath: '/token' }, selecting: ['tenantId', 'clientId'] },
};

function refusal(create: () => unknown): Error {
  try {
    create();
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigurationError);
    return error as Error;
  }
  throw new Error('It was accepted.');
}

const OWN = Object.entries(METHODS).flatMap(([method, { whole, selecting }]) =>
  selecting.flatMap((option) => NO_VALUES.map(([what, value]) => ({ method, whole, option, what, value }))),
);

describe('in the options of a method', () => {
  test('the table has every method, and what each says of itself', () => {
    expect(Object.keys(METHODS).sort()).toEqual(
      Object.values(registry)
        .map(({ name }) => name)
        .sort(),
    );
    for (const { name, selectedBy = [] } of Object.values(registry)) {
      expect(METHODS[name]?.selecting).toEqual(expect.arrayContaining([...selectedBy]));
    }
  });

  test.each(Object.entries(METHODS))('%s is accepted whole', (method, { whole }) => {
    vi.stubEnv('AZURE_CLIENT_SECRET', clientSecret);
    expect(createCredential({ method, ...whole } as never).principal).toBeDefined();
  });

  test.each(OWN)("$method: '$option' that is $what is refused by its name", ({ method, whole, option, value }) => {
    const options = { method, ...whole, [option]: value };
    expect(refusal(() => createCredential(options as never)).message).toContain(`'${option}'`);
  });

  test.each(NO_VALUES)('the choice of a federated managed identity that is %s', (_, value) => {
    for (const id of ['clientId', 'objectId', 'resourceId']) {
      const from = { managedIdentity: { [id]: value } };
      const error = refusal(() => createCredential({ method: 'federated', ...app, from } as never));
      expect(error.message).toContain(`'from.managedIdentity.${id}'`);
    }
  });
});

describe("in tedious's types, nested and next to the server", () => {
  const TYPES: Record<string, { whole: Record<string, unknown>; selecting: string[] }> = {
    'azure-active-directory-msi-vm': { whole: { clientId }, selecting: ['clientId'] },
    'azure-active-directory-msi-app-service': { whole: { clientId }, selecting: ['clientId'] },
    'azure-active-directory-default': { whole: { clientId }, selecting: ['clientId'] },
    'azure-active-directory-access-token': { whole: METHODS['access-token']?.whole ?? {}, selecting: ['token'] },
    'azure-active-directory-service-principal-secret': {
      whole: { ...app, clientSecret },
      selecting: ['clientId', 'tenantId'],
    },
    'azure-active-directory-password': {
      whole: { userName: 'ann', password: 'x', clientId, tenantId },
      selecting: ['userName', 'tenantId'],
    },
    'token-credential': { whole: METHODS['token-credential']?.whole ?? {}, selecting: ['credential'] },
  };
  const cases = Object.entries(TYPES).flatMap(([type, { whole, selecting }]) =>
    selecting.flatMap((option) => NO_VALUES.map(([what, value]) => ({ type, whole, option, what, value }))),
  );

  test.each(cases)("$type: '$option' that is $what is refused by its name", ({ type, whole, option, value }) => {
    const options = { ...whole, [option]: value };
    expect(refusal(() => createCredential({ type, options })).message).toMatch(new RegExp(`'${option}'`, 'i'));
    if (option === 'credential') return;
    // As parseConnectionString of mssql writes it.
    const { userName, ...others } = options as Record<string, unknown>;
    const flat = {
      server: 'db',
      authentication_type: type,
      ...others,
      ...('userName' in options && { user: userName }),
    };
    expect(refusal(() => credentialOf(flat as never)).message).toMatch(new RegExp(`'${option}'`, 'i'));
  });

  test.each(Object.entries(TYPES))(
    '%s is accepted whole, and beside the keys of mssql without a value',
    (type, { whole }) => {
      const ofMssql = { domain: undefined, msiEndpoint: undefined, msiSecret: undefined };
      expect(createCredential({ type, options: { ...ofMssql, ...whole } }).principal).toBeDefined();
    },
  );

  test('what is left out is left to its default', () => {
    for (const type of ['azure-active-directory-msi-vm', 'azure-active-directory-msi-app-service']) {
      expect(createCredential({ type, options: {} }).principal.id).toBe('system-assigned');
      expect(createCredential({ type }).principal.id).toBe('system-assigned');
    }
  });
});

describe('in connection strings', () => {
  const STRINGS: [string, string[]][] = [
    ['Authentication=Active Directory Managed Identity', ['User ID', 'UID', 'User', 'Client Id']],
    ['Authentication=Active Directory Default', ['User ID', 'UID', 'User', 'Client Id', 'Tenant Id']],
    ['Authentication=Active Directory Interactive', ['User ID', 'UID', 'User', 'Tenant Id']],
    ['Authentication=Active Directory Device Code Flow', ['User ID', 'UID', 'User', 'Tenant Id']],
    ['Authentication=Active Directory Workload Identity', ['User ID', 'UID', 'User', 'Client Id', 'Tenant Id']],
    ['Authentication=Active Directory Integrated', ['Client Id', 'Tenant Id', 'Token']],
    [`Authentication=Active Directory Service Principal;Password=x;User ID=${clientId}`, ['Client Id', 'Tenant Id']],
    ['Authentication=Active Directory Service Principal;Password=x', ['User ID', 'Client Id']],
    ['Authentication=Active Directory Password;Password=x', ['User ID']],
    ['Authentication=Active Directory Password;Password=x;User ID=ann', ['Tenant Id']],
    ['RunAs=App', ['AppId', 'TenantId', 'AppKey', 'CertificatePath', 'KeyVaultCertificateSecretIdentifier']],
    ['RunAs=Developer;DeveloperTool=AzureCLI', ['TenantId']],
  ];
  const cases = STRINGS.flatMap(([text, keys]) =>
    keys.flatMap((key) => ['', ' ', '""', "' '"].map((value) => `${text};${key}=${value}`)),
  );

  test.each(cases)('%s', (text) => {
    vi.stubEnv('AZURE_FEDERATED_TOKEN_FILE', '/token');
    expect(refusal(() => createCredential(text)).message).toMatch(/^Connection string: '.+' is (empty|missing)\.$/);
  });
});

describe('in the environment, as in every Azure SDK, an empty variable counts as not set', () => {
  test.each(['', ' '])('AZURE_CLIENT_ID=%j is not sent as an id', (value) => {
    vi.stubEnv('AZURE_CLIENT_ID', value);
    vi.stubEnv('AZURE_FEDERATED_TOKEN_FILE', '/token');
    expect(refusal(() => createCredential({ method: 'workload-identity' })).message).toMatch(/clientId/);
  });
});

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { type ChainOptions, createCredential, TokenCache, type TokenCredential } from '../../../src/index.js';
import { type EntraEmulator, startEntraEmulator } from '../../../src/testing/index.js';
import { clearEnvironment } from '../../support/clear-environment.js';
import { FakeTools } from '../fake-tools.js';
import { printed } from '../printed.js';

const SCOPE = 'https://database.windows.net/.default';
/** No server listens there: as outside Azure, but the connection is refused at once. */
const NOWHERE = 'http://127.0.0.1:1';
let entra: EntraEmulator;
let tools: FakeTools;

beforeAll(async () => {
  entra = await startEntraEmulator();
});
beforeEach(() => {
  tools = new FakeTools();
  clearEnvironment();
  vi.stubEnv('AZURE_POD_IDENTITY_AUTHORITY_HOST', NOWHERE);
});
afterEach(() => {
  entra.heal();
  tools.remove();
});
afterAll(() => entra.close());

function applicationInEnvironment(secret = entra.clientSecret): void {
  vi.stubEnv('AZURE_TENANT_ID', entra.tenantId);
  vi.stubEnv('AZURE_CLIENT_ID', entra.clientId);
  vi.stubEnv('AZURE_CLIENT_SECRET', secret);
  vi.stubEnv('AZURE_AUTHORITY_HOST', entra.url);
}

function azWorks(): void {
  const print = {
    accessToken: entra.issueToken({ principal: entra.user }),
    expires_on: Math.floor(Date.now() / 1000) + 3600,
  };
  tools.install('az', `cat <<'END'\n${JSON.stringify(print)}\nEND`);
}

const chain = (options: Omit<ChainOptions, 'method'> = {}) => createCredential({ method: 'chain', ...options });

describe('the default chain', () => {
  test('tries the environment first', async () => {
    applicationInEnvironment();
    azWorks();
    const credential = chain();
    expect(credential.principal.method).toBe('chain');
    await credential.getToken(SCOPE);
    expect(credential.principal).toMatchObject({ method: 'service-principal-secret', id: entra.clientId });
  });

  test('then the managed identity', async () => {
    for (const [name, value] of Object.entries(entra.managedIdentity.imds.env)) vi.stubEnv(name, value);
    azWorks();
    const credential = chain();
    await credential.getToken(SCOPE);
    expect(credential.principal.method).toBe('managed-identity');
  });

  test('then the tools, skipping one without a signed-in account', async () => {
    tools.install('az', 'echo "Please run \'az login\' to setup account." >&2; exit 1');
    const print = { token: entra.issueToken(), expiresOn: new Date(Date.now() + 3_600_000).toISOString() };
    tools.install('azd', `cat <<'END'\n${JSON.stringify(print)}\nEND`);
    const credential = chain();
    await credential.getToken(SCOPE);
    expect(credential.principal.method).toBe('azure-developer-cli');
  });

  test('remembers the method that worked', async () => {
    azWorks();
    const credential = chain();
    await credential.getToken(SCOPE);
    applicationInEnvironment();
    await credential.getToken(SCOPE);
    expect(credential.principal.method).toBe('azure-cli');
  });

  test('never skips a wrong secret to sign in as another principal', async () => {
    applicationInEnvironment('a-wrong-secret');
    azWorks();
    const error = await chain()
      .getToken(SCOPE)
      .catch((e) => e);
    expect(error).toMatchObject({ code: 'ERR_CREDENTIAL_REJECTED', aadsts: 7000215 });
    expect(tools.runs('az')).toHaveLength(0);
  });

  test('does not skip a method because of a network error', async () => {
    applicationInEnvironment();
    azWorks();
    entra.fail({ status: 503 });
    await expect(chain().getToken(SCOPE)).rejects.toMatchObject({ code: 'ERR_TOKEN_UNAVAILABLE' });
    expect(tools.runs('az')).toHaveLength(0);
  });

  test('reports why each method is unavailable, without secrets', async () => {
    vi.stubEnv('AZURE_CLIENT_SECRET', 'half-configured');
    const error = await chain()
      .getToken(SCOPE)
      .catch((e) => e);
    expect(error).toMatchObject({ code: 'ERR_CREDENTIAL_UNAVAILABLE' });
    expect(error.message).toMatch(
      /^Tried the following 6 methods.*\n1\. environment: .*AZURE_TENANT_ID.*\n2\. workload-identity: .*AZURE_FEDERATED_TOKEN_FILE.*\n3\. managed-identity: .*IMDS.*\n4\. azure-cli: .*not installed.*\n5\. azure-developer-cli: .*\n6\. azure-powershell: /,
    );
    expect(error.cause.errors).toHaveLength(6);
    expect(printed(error, error.cause)).not.toContain('half-configured');
  });

  test('runs once for concurrent callers', async () => {
    azWorks();
    const tokens = new TokenCache(chain());
    await Promise.all(Array.from({ length: 100 }, () => tokens.get()));
    expect(tools.runs('az')).toHaveLength(1);
  });
});

describe('order and members', () => {
  test('can be set by name', async () => {
    applicationInEnvironment();
    azWorks();
    const credential = chain({ members: ['azure-cli', 'environment'] });
    await credential.getToken(SCOPE);
    expect(credential.principal.method).toBe('azure-cli');
  });

  test('can be custom credentials', async () => {
    const none: TokenCredential = { getToken: async () => null };
    const own: TokenCredential = {
      getToken: async () => ({ token: 'mine', expiresOnTimestamp: Date.now() + 3_600_000 }),
    };
    const credential = chain({ credentials: [none, createCredential({ method: 'managed-identity' }), own] });
    // A managed identity outside a chain is not probed: an unreachable endpoint is a failure.
    await expect(credential.getToken(SCOPE)).rejects.toMatchObject({ code: 'ERR_TOKEN_UNAVAILABLE' });
    expect((await chain({ credentials: [none, own] }).getToken(SCOPE))?.token).toBe('mine');
  });

  test.each<[string, object, RegExp]>([
    ['an unknown name', { members: ['kerberos'] }, /Unknown name in 'members'/],
    ['no name', { members: [] }, /at least one name/],
    ['no credential', { credentials: [] }, /at least one credential/],
    ['both', { members: ['environment'], credentials: [{ getToken() {} }] }, /either/],
  ])('%s is refused', (_, options, message) => {
    expect(() => createCredential({ method: 'chain', ...options } as never)).toThrow(message);
  });
});

test('an unanswered probe costs at most a second', async () => {
  // RFC 5737: an address that is never routed.
  vi.stubEnv('AZURE_POD_IDENTITY_AUTHORITY_HOST', 'http://192.0.2.1');
  const started = performance.now();
  await expect(chain({ members: ['managed-identity'] }).getToken(SCOPE)).rejects.toMatchObject({
    code: 'ERR_CREDENTIAL_UNAVAILABLE',
  });
  expect(performance.now() - started).toBeLessThan(5_000);
});

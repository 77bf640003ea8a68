import type { Connection } from 'tedious';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { identityOf, portableIdentityOf } from '../../src/credentials/identity.js';
import { type CredentialInput, createCredential, createTokenPools, type TokenCredential } from '../../src/index.js';
import type { UserAccount } from '../../src/testing/index.js';
import { clearEnvironment } from '../support/clear-environment.js';
import { site } from '../support/pool.js';
import { query } from '../support/query.js';

const tenantId = '72f988bf-86f1-41af-91ab-2d7cd011db47';
const clientId = '11111111-2222-4333-8444-555555555555';

beforeEach(() => {
  clearEnvironment();
});
afterEach(() => vi.unstubAllEnvs());

const identity = (input: CredentialInput | undefined) =>
  identityOf(input === undefined ? createCredential() : createCredential(input));

describe("the caller's credential objects", () => {
  async function getToken(this: { user: string }) {
    return { token: `token of ${this.user}`, expiresOnTimestamp: Date.now() + 3_600_000 };
  }
  const alice = { user: 'alice', getToken } as unknown as TokenCredential;
  const bob = { user: 'bob', getToken } as unknown as TokenCredential;

  test('two objects that share one function are two identities', () => {
    expect(identityOf(alice)).not.toBe(identityOf(bob));
    expect(identity(alice)).not.toBe(identity(bob));
    expect(identity({ credential: alice })).not.toBe(identity({ credential: bob }));
    expect(identity({ type: 'token-credential', options: { credential: alice } })).not.toBe(
      identity({ type: 'token-credential', options: { credential: bob } }),
    );
    expect(identity({ method: 'chain', credentials: [alice] })).not.toBe(
      identity({ method: 'chain', credentials: [bob] }),
    );
  });

  test('pools of two objects that share one function log in as their own users, also under pools.for()', async () => {
    await using s = await site();
    async function tokenOfUser(this: { user: UserAccount }) {
      return { token: s.entra.issueToken({ principal: this.user }), expiresOnTimestamp: Date.now() + 3_600_000 };
    }
    const users = ['ada@contoso.example', 'bob@contoso.example'].map((userName) => s.entra.addUser({ userName }));
    const credentials = users.map((user) => ({ user, getToken: tokenOfUser }) as unknown as TokenCredential);
    const asked = (connection: Connection) => query(connection, 'SELECT SUSER_SNAME()');
    const seen: unknown[] = [];
    for (const authentication of credentials) seen.push(await s.pool({ authentication }).use(asked));
    const { server, port, options } = s.server.config();
    await using pools = createTokenPools({ server, port, options } as never);
    for (const authentication of credentials) seen.push(await pools.for({ authentication }).use(asked));
    const names = users.map(({ userName }) => [[userName]]);
    expect(seen).toEqual([...names, ...names]);
  });

  test('one object is one identity, in any form', () => {
    expect(identity(alice)).toBe(identityOf(alice));
    expect(identity({ credential: alice })).toBe(identity(alice));
  });

  test('a function on the prototype does not make instances equal', () => {
    class Custom {
      constructor(readonly user: string) {}
      async getToken() {
        return { token: this.user, expiresOnTimestamp: Date.now() + 3_600_000 };
      }
    }
    expect(identity(new Custom('a'))).not.toBe(identity(new Custom('b')));
  });
});

describe('the environment is part of the identity', () => {
  const fromEnvironment: [string, CredentialInput | undefined][] = [
    ["tedious's default", { type: 'azure-active-directory-default' }],
    ['the chain', { method: 'chain' }],
    ['a chain of some members', { method: 'chain', members: ['managed-identity', 'azure-cli'] }],
    ['nothing at all', undefined],
  ];
  const VARIABLES = [
    'IDENTITY_ENDPOINT',
    'IDENTITY_HEADER',
    'MSI_ENDPOINT',
    'MSI_SECRET',
    'AZURE_CLIENT_ID',
    'AZURE_CLIENT_SECRET',
    'AZURE_TENANT_ID',
    'AZURE_USERNAME',
    'AZURE_PASSWORD',
    'AZURE_CLIENT_CERTIFICATE_PATH',
    'AZURE_FEDERATED_TOKEN_FILE',
    'AZURE_AUTHORITY_HOST',
    'AZURE_POD_IDENTITY_AUTHORITY_HOST',
    'DEFAULT_IDENTITY_CLIENT_ID',
    'AZURE_CONFIG_DIR',
    'HOME',
    'PATH',
  ];

  test.each(fromEnvironment)('%s: each variable that a member reads', (_, input) => {
    vi.stubEnv('AZURE_CONFIG_DIR', '/home/one/.azure');
    const before = identity(input);
    expect(identity(input)).toBe(before);
    for (const name of VARIABLES) {
      vi.stubEnv(name, 'https://another.example');
      expect(identity(input), name).not.toBe(before);
      vi.unstubAllEnvs();
      vi.stubEnv('AZURE_CONFIG_DIR', '/home/one/.azure');
    }
  });

  test('a managed identity: the endpoint and the secret of the app', () => {
    const input: CredentialInput = { method: 'managed-identity', clientId };
    const before = createCredential(input);
    vi.stubEnv('IDENTITY_ENDPOINT', 'http://127.0.0.1:1/token');
    vi.stubEnv('IDENTITY_HEADER', 'one');
    const there = createCredential(input);
    vi.stubEnv('IDENTITY_HEADER', 'two');
    const elsewhere = createCredential(input);
    expect(new Set([before, there, elsewhere].map(identityOf)).size).toBe(3);
    // A client id is one principal everywhere, so that a fleet shares its tokens.
    expect(new Set([before, there, elsewhere].map(portableIdentityOf)).size).toBe(1);
  });

  test('developer tools: the location of their sign-in', () => {
    const before = identity({ method: 'azure-cli' });
    vi.stubEnv('AZURE_CONFIG_DIR', '/elsewhere');
    expect(identity({ method: 'azure-cli' })).not.toBe(before);
  });

  test('credentials that read no variable do not depend on one', () => {
    const input = { tenantId, clientId, clientSecret: 'a-client-secret' };
    const before = identity(input);
    vi.stubEnv('HOME', '/elsewhere');
    expect(identity(input)).toBe(before);
  });

  test('a chain uses the environment at its creation, even if it changes before the first request', async () => {
    vi.stubEnv('AZURE_TENANT_ID', tenantId);
    vi.stubEnv('AZURE_CLIENT_ID', clientId);
    vi.stubEnv('AZURE_CLIENT_SECRET', 'first-secret');
    vi.stubEnv('AZURE_AUTHORITY_HOST', 'http://127.0.0.1:1');
    const credential = createCredential({ method: 'chain', members: ['environment'] });
    vi.stubEnv('AZURE_CLIENT_SECRET', undefined);
    vi.stubEnv('AZURE_TENANT_ID', undefined);
    await expect(credential.getToken('https://database.windows.net/.default')).rejects.toMatchObject({
      code: 'ERR_TOKEN_UNAVAILABLE',
      message: expect.stringContaining('127.0.0.1:1 cannot be reached'),
    });
  });
});

import { randomBytes } from 'node:crypto';
import { SecretClient } from '@azure/keyvault-secrets';
import { EntraIdCredentialsProviderFactory, REDIS_SCOPE_DEFAULT } from '@redis/entraid';
import { createClient } from 'redis';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createCredential, TokenCache } from '../../src/index.js';
import { type EntraEmulator, makeCertificate, startEntraEmulator } from '../../src/testing/index.js';
import { redisCredentials, redisTokenStore, type StoreKeysFunction } from '../../src/tokens/redis.js';
import { type AzureRedis, startAzureRedis } from '../support/azure-redis.mjs';
import { type KeyVault, startKeyVault } from '../support/key-vault.mjs';
import { hasRedis, RedisServer } from '../support/redis.js';

const SQL = 'https://database.windows.net/.default';
const HOUR = 3_600_000;
const SECRET = 'token-store-key';
const certificate = makeCertificate({ commonName: 'localhost' });
const ca = certificate.cert;
const cleanUp: (() => unknown)[] = [];
let entra: EntraEmulator;

beforeEach(async () => {
  entra = await startEntraEmulator();
  cleanUp.push(() => entra.close());
});
afterEach(async () => {
  for (const act of cleanUp.splice(0).reverse()) await act();
});

function application() {
  const { tenantId, clientId, clientSecret, url: authority } = entra;
  return createCredential({ tenantId, clientId, clientSecret, authority });
}

/** The requests for tokens of one resource. */
function requestsFor(resource: string): number {
  return entra.requests.filter((request) => JSON.stringify(request).includes(resource)).length;
}

describe.skipIf(!hasRedis)('a store in Azure Managed Redis', () => {
  let azure: AzureRedis;

  beforeEach(async () => {
    const redis = await RedisServer.start('--requirepass', 'root');
    cleanUp.push(() => redis[Symbol.asyncDispose]());
    azure = await startAzureRedis({ entra, port: redis.port, password: 'root', ...certificate });
    cleanUp.push(() => azure.close());
  });

  async function connected(options: Pick<NonNullable<Parameters<typeof createClient>[0]>, 'credentialsProvider'>) {
    const socket = { port: azure.port, host: 'localhost', tls: true as const, ca };
    const client = createClient({ ...options, socket });
    client.on('error', () => {});
    cleanUp.push(() => client.destroy());
    await client.connect();
    return client;
  }

  function fromEntraid() {
    return EntraIdCredentialsProviderFactory.createForDefaultAzureCredential({
      credential: application(),
      scopes: [REDIS_SCOPE_DEFAULT],
      tokenManagerConfig: { expirationRefreshRatio: 0.5 },
    });
  }

  test.each(['@redis/entraid', 'redisCredentials'] as const)(
    'with a client of %s, ten processes share one token and no key of Redis is configured',
    async (which) => {
      const keys = randomBytes(32);
      const caches = await Promise.all(
        Array.from({ length: 10 }, async () => {
          const provider = which === '@redis/entraid' ? fromEntraid() : redisCredentials(new TokenCache(application()));
          const client = await connected({ credentialsProvider: provider });
          return new TokenCache(application(), { tokenStore: redisTokenStore(client, { keys }) });
        }),
      );
      const tokens = await Promise.all(caches.map((cache) => cache.get(SQL)));
      expect(new Set(tokens.map((token) => token.reveal())).size).toBe(1);
      expect(requestsFor('database.windows.net')).toBe(1);
      expect(azure.logins.filter((login) => !login.accepted)).toEqual([]);
      expect(azure.logins.length).toBeGreaterThanOrEqual(10);
      expect(await azure.admin.keys('mssql-token-pool:*')).toHaveLength(1);
    },
  );

  test('the client of @redis/entraid outlives its tokens: it authenticates again before Redis closes the connection', async () => {
    entra.setTokenLifetime(4);
    const client = await connected({ credentialsProvider: fromEntraid() });
    const [me] = azure.logins;
    const id = await client.clientId();
    await expect.poll(() => azure.logins.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(3);
    expect(await client.aclWhoAmI()).toBe(me?.user);
    // It is still the first connection.
    expect(await client.clientId()).toBe(id);
    expect(azure.logins.filter((login) => !login.accepted)).toEqual([]);
  }, 30_000);

  test('a token for another resource does not log in', async () => {
    const client = createClient({
      socket: { port: azure.port, host: 'localhost', tls: true, ca, reconnectStrategy: false },
      credentialsProvider: redisCredentials(new TokenCache(application()), { scope: SQL }),
    });
    client.on('error', () => {});
    await expect(client.connect()).rejects.toThrow(/WRONGPASS/);
    expect(azure.logins).toMatchObject([{ accepted: false, flaw: 'audience' }]);
  });

  test('keys from Key Vault rotate under a running fleet, with one request per token', async () => {
    const vault = await startKeyVault({ entra, ...certificate });
    cleanUp.push(() => vault.close());
    const aDayAgo = Date.now() - 24 * HOUR;
    vault.setSecret(SECRET, randomBytes(32).toString('base64'), aDayAgo);
    /** A process of the fleet that starts now. */
    const takes = async () => {
      const client = await connected({ credentialsProvider: fromEntraid() });
      const tokenStore = redisTokenStore(client, { keys: keysOf(vault) });
      const token = (await new TokenCache(application(), { tokenStore }).get(SQL)).reveal();
      await expect.poll(() => azure.admin.keys('mssql-token-pool:*'), { timeout: 10_000 }).not.toEqual([]);
      return token;
    };
    const first = await takes();

    // For an hour, the new version only decrypts.
    vault.setSecret(SECRET, randomBytes(32).toString('base64'));
    expect(await takes()).toBe(first);

    // Then it encrypts; entries under the old one are still read.
    vault.age(SECRET, 2 * HOUR);
    expect(await takes()).toBe(first);
    await azure.admin.flushall();
    const second = await takes();
    expect(second).not.toBe(first);

    // The old one is no longer needed.
    vault.dropOldest(SECRET);
    expect(await takes()).toBe(second);
    expect(requestsFor('database.windows.net')).toBe(2);
  });

  function keysOf(vault: KeyVault): StoreKeysFunction {
    const client = new SecretClient(vault.url, application(), {
      disableChallengeResourceVerification: true,
      tlsOptions: { ca },
    });
    return async () => {
      const versions: { version: string; createdOn: Date }[] = [];
      for await (const { version, createdOn, enabled } of client.listPropertiesOfSecretVersions(SECRET)) {
        if (version !== undefined && createdOn !== undefined && enabled) versions.push({ version, createdOn });
      }
      versions.sort((a, b) => b.createdOn.getTime() - a.createdOn.getTime());
      const [newest, previous] = await Promise.all(
        versions.slice(0, 2).map(async ({ version }) => (await client.getSecret(SECRET, { version })).value),
      );
      const isNew = Date.now() - (versions[0]?.createdOn.getTime() ?? 0) < HOUR;
      return (isNew ? [previous, newest] : [newest, previous]).filter((key) => key !== undefined);
    };
  }
});

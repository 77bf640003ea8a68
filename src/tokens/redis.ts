/**
 * `mssql-token-pool/redis`: Redis as the token store that the processes of a fleet share, encrypted.
 *
 * @module mssql-token-pool/redis
 */
import { randomUUID } from 'node:crypto';
import { ConfigurationError } from '../errors.js';
import { requireKnownOptions } from '../known-options.js';
import {
  type EncryptedTokenStore,
  encryptedTokenStore,
  TOKEN_ENCRYPTION_OPTIONS,
  type TokenEncryptionOptions,
} from './encrypted-token-store.js';
import type { TokenStore } from './token-store.js';

export type { EncryptedTokenStore, TokenEncryptionOptions } from './encrypted-token-store.js';
export type { StoreKey } from './entry-cipher.js';
export type { StoreKeysFunction } from './key-ring.js';
export {
  type AuthenticatingClient,
  keepAuthenticated,
  type RedisCredentials,
  type RedisCredentialsOptions,
  type RedisCredentialsProvider,
  redisCredentials,
} from './redis-credentials.js';

/** The part of a node-redis client (package `redis`) or cluster that is used. */
export interface NodeRedisClient {
  eval(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
  readonly isReady?: boolean;
}

/** The part of an `ioredis` client or cluster that is used. */
export interface IORedisClient {
  eval(script: string, numberOfKeys: number, ...keysAndArguments: string[]): Promise<unknown>;
  defineCommand(name: string, definition: { lua: string }): void;
}

/** Keys and names of a token store in Redis. */
export interface RedisTokenStoreOptions extends TokenEncryptionOptions {
  /** Prefix of the names in Redis. Default `mssql-token-pool:`. */
  prefix?: string | undefined;
}

// One script, one key and one round trip each: atomic, and safe in a cluster.
const GET = "return {redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])}";
const SET = "return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])";
const LEASE = "return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])";
const RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

/**
 * Shares tokens between processes through Redis 2.6 or later, or a server that speaks its protocol. The client is
 * yours: connect it, give it an `error` listener, close it.
 *
 * @param client a client or cluster of `redis` (node-redis) or `ioredis`
 * @throws ConfigurationError that names the setting
 * @example
 * import { createClient } from 'redis';
 * import { redisTokenStore } from 'mssql-token-pool/redis';
 *
 * const client = await createClient({ url: process.env.REDIS_URL }).on('error', log).connect();
 * const tokenStore = redisTokenStore(client, { keys: process.env.TOKEN_STORE_KEY });
 * const pool = createTokenPool({ ...config, tokenStore });
 */
export function redisTokenStore(
  client: NodeRedisClient | IORedisClient,
  options: RedisTokenStoreOptions,
): EncryptedTokenStore {
  if (typeof client?.eval !== 'function') {
    throw new ConfigurationError("redisTokenStore needs a client of the package 'redis' or 'ioredis'.");
  }
  requireKnownOptions('redisTokenStore()', options ?? {}, { prefix: true, ...TOKEN_ENCRYPTION_OPTIONS });
  const { prefix = 'mssql-token-pool:', ...encryption } = options ?? {};
  if (typeof prefix !== 'string') throw new ConfigurationError("'prefix' must be a string.");
  return encryptedTokenStore(rawStore(client, prefix), encryption);
}

function rawStore(client: NodeRedisClient | IORedisClient, prefix: string): TokenStore {
  // ioredis has defineCommand, node-redis does not.
  const run = (script: string, key: string, ...args: string[]): Promise<unknown> =>
    'defineCommand' in client
      ? client.eval(script, 1, key, ...args)
      : client.eval(script, { keys: [key], arguments: args });
  return {
    async get(name) {
      const [value, ttlMs] = (await run(GET, prefix + name)) as [unknown, unknown];
      if (value === null || value === undefined) return undefined;
      // Negative if the time to live was removed: then the entry's own expiry applies.
      return { value: String(value), ttlMs: Number(ttlMs) };
    },
    async set(name, value, ttlMs) {
      await run(SET, prefix + name, value, String(ttlMs));
    },
    async lease(name, leaseMs) {
      const key = `${prefix}${name}:lease`;
      const owner = randomUUID();
      if ((await run(LEASE, key, owner, String(Math.ceil(leaseMs)))) === null) return undefined;
      return async () => {
        await run(RELEASE, key, owner);
      };
    },
  };
}

import { readJwtClaims } from '../credentials/entra/jwt-claims.js';
import { ConfigurationError } from '../errors.js';
import { requireKnownOptions } from '../known-options.js';
import { sleep } from '../time.js';
import type { CachedToken } from './cached-token.js';
import { TokenCache } from './token-cache.js';

/** The resource for which Azure Managed Redis and Azure Cache for Redis accept tokens. */
const REDIS_SCOPE = 'https://redis.azure.com/.default';
/** How often to check whether a refresh is due, ms. */
const LOOK_AGAIN_MS = 1_000;

/** How a credential signs in to Redis. */
export interface RedisCredentialsOptions {
  /** Scope of the tokens. Default `https://redis.azure.com/.default`. */
  scope?: string | undefined;
  /** Redis user. Default: the object id in the token, which is the user name in Azure. */
  username?: string | undefined;
}

/** User and password of a Redis connection. */
export interface RedisCredentials {
  username: string;
  password: string;
}

/** The part of node-redis' `StreamingCredentialsProvider` that node-redis uses. */
export interface RedisCredentialsProvider {
  readonly type: 'streaming-credentials-provider';
  subscribe(listener: {
    onNext: (credentials: RedisCredentials) => void;
    onError: (error: Error) => void;
  }): Promise<[RedisCredentials, { dispose(): void }]>;
  onReAuthenticationError(error: Error): void;
}

/** The part of an `ioredis` client that {@link keepAuthenticated} uses. */
export interface AuthenticatingClient {
  readonly status: string;
  readonly options: { username?: string | null | undefined; password?: string | null | undefined };
  auth(username: string, password: string): Promise<unknown>;
  on(event: 'ready' | 'end', listener: () => void): unknown;
}

/**
 * The `credentialsProvider` of a node-redis client (package `redis` 5 and later): each connection logs in with a fresh
 * token and re-authenticates when there is a later one, so that Redis does not disconnect it when its token expires. All
 * clients share the requests of the token cache.
 *
 * @throws ConfigurationError from `subscribe` if the token does not name its principal and there is no `username`;
 * CredentialError and its subclasses
 * @example
 * const tokens = new TokenCache(createCredential({ method: 'managed-identity' }));
 * const client = createClient({ url: 'rediss://example.redis.azure.net:10000', credentialsProvider: redisCredentials(tokens) });
 */
export function redisCredentials(tokens: TokenCache, options: RedisCredentialsOptions = {}): RedisCredentialsProvider {
  const scope = scopeOf('redisCredentials()', tokens, options);
  return {
    type: 'streaming-credentials-provider',
    async subscribe({ onNext, onError }) {
      const first = await tokens.get(scope);
      const credentials = credentialsOf(first, options);
      const end = new AbortController();
      follow(tokens, scope, first, end.signal, (token) => onNext(credentialsOf(token, options))).catch(onError);
      return [credentials, { dispose: () => end.abort() }];
    },
    // The client itself emits the error of its AUTH command.
    onReAuthenticationError() {},
  };
}

/**
 * Keeps an `ioredis` client logged in with fresh tokens: on its connection when there is a later token, and on each
 * connection it opens anew. Create the client with `lazyConnect: true` and connect it afterwards.
 *
 * @returns a function that stops it
 * @throws ConfigurationError if the token does not name its principal and there is no `username`; CredentialError
 * @example
 * const client = new Redis({ host, port: 10000, tls: {}, lazyConnect: true });
 * const stop = await keepAuthenticated(client, tokens);
 * await client.connect();
 */
export async function keepAuthenticated(
  client: AuthenticatingClient,
  tokens: TokenCache,
  options: RedisCredentialsOptions = {},
): Promise<() => void> {
  requireIORedis(client);
  const scope = scopeOf('keepAuthenticated()', tokens, options);
  const end = new AbortController();
  const use = (token: CachedToken): RedisCredentials => {
    const credentials = credentialsOf(token, options);
    // ioredis reads these whenever it opens a connection.
    Object.assign(client.options, credentials);
    return credentials;
  };
  const first = await tokens.get(scope);
  use(first);
  follow(tokens, scope, first, end.signal, (token) => {
    const { username, password } = use(token);
    // A connection that is not ready logs in with the new token when it is opened; one that fails here emits an error.
    if (client.status === 'ready') client.auth(username, password).catch(() => {});
  }).catch(() => {});
  const stop = (): void => end.abort();
  client.on('end', stop);
  return stop;
}

/** Refuses a client of node-redis, which would keep its first login. @throws ConfigurationError */
function requireIORedis(client: AuthenticatingClient): void {
  const { status, options, auth, on } = Object(client) as Partial<AuthenticatingClient>;
  const isIORedis = typeof status === 'string' && typeof options === 'object' && options !== null;
  if (isIORedis && typeof auth === 'function' && typeof on === 'function') return;
  throw new ConfigurationError("keepAuthenticated() needs a client of the package 'ioredis'.", {
    hint: "A client of 'redis' (node-redis) takes credentialsProvider: redisCredentials(tokens).",
  });
}

/** @throws ConfigurationError for anything but a token cache, and for an option that does not exist or has a wrong type */
function scopeOf(call: string, tokens: TokenCache, options: RedisCredentialsOptions): string {
  if (!(tokens instanceof TokenCache)) {
    throw new ConfigurationError(`${call} needs a TokenCache.`, {
      hint: "Create one with new TokenCache(createCredential({ method: 'managed-identity' })).",
    });
  }
  requireKnownOptions(call, options, { scope: true, username: true });
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || (typeof value === 'string' && value !== '')) continue;
    throw new ConfigurationError(`'${name}' must be a non-empty string.`);
  }
  return options.scope ?? REDIS_SCOPE;
}

function credentialsOf(token: CachedToken, { username }: RedisCredentialsOptions): RedisCredentials {
  const password = token.reveal();
  const user = username ?? readJwtClaims(password)?.principal?.split('/')[1];
  if (user !== undefined) return { username: user, password };
  throw new ConfigurationError('The token does not name its principal, so the Redis user is unknown.', {
    hint: "Pass 'username': in Azure, the object id of the principal.",
  });
}

/** Reports each later token, until the signal is aborted. The cache retries failed refreshes, within its back-off. */
async function follow(
  tokens: TokenCache,
  scope: string,
  first: CachedToken,
  signal: AbortSignal,
  onToken: (token: CachedToken) => void,
): Promise<void> {
  let known = first;
  for (;;) {
    const dueInMs = known.refreshOn - known.now();
    await sleep(Math.max(dueInMs, LOOK_AGAIN_MS), { signal, ref: false }).catch(() => {});
    if (signal.aborted) return;
    // Starts the refresh; its token is found at a later check.
    const current = tokens.current(scope);
    if (current === undefined || current.id === known.id) continue;
    known = current;
    onToken(current);
  }
}

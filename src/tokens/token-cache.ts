import type { AccessToken, GetTokenOptions, TokenCredential } from '../credentials/credential.js';
import { PUBLIC_SQL_SCOPE } from '../credentials/entra/scope-for-server.js';
import { identityOf } from '../credentials/identity.js';
import { ConfigurationError, TokenUnavailableError } from '../errors.js';
import { type KnownOptions, requireKnownOptions, requireTimeoutMs } from '../known-options.js';
import { durationMs, timerMs } from '../time.js';
import { CachedToken } from './cached-token.js';
import { requestToken } from './credential-request.js';
import type { EncryptedTokenStore } from './encrypted-token-store.js';
import { TokenRefresher, type TokenStatus } from './token-refresher.js';

/** Settings of a {@link TokenCache}; the defaults suit Entra tokens for Azure SQL. */
export interface TokenCacheOptions {
  /** Scope used if a call names none. Default `https://database.windows.net/.default`. */
  scope?: string | undefined;
  /**
   * Time limit of one request to the identity provider, ms. Default 10,000, or the credential's own limit if it
   * involves a person or a command line tool.
   */
  requestTimeoutMs?: number | undefined;
  /** Where processes of a fleet share their tokens: `redisTokenStore(...)`, or your own `encryptedTokenStore(...)`. */
  tokenStore?: EncryptedTokenStore | undefined;
}

/** Names of {@link TokenCacheOptions}. */
export const TOKEN_CACHE_OPTIONS: KnownOptions<TokenCacheOptions> = {
  scope: true,
  requestTimeoutMs: true,
  tokenStore: true,
};

/** How one caller waits; the shared request is not affected. */
export interface WaitOptions extends GetTokenOptions {
  /**
   * How long this caller waits, ms; the shared request continues. If this caller starts it, a shared store takes at
   * most half of that time.
   */
  timeoutMs?: number | undefined;
}

const WAIT_OPTIONS: KnownOptions<WaitOptions> = {
  abortSignal: true,
  claims: true,
  tenantId: true,
  enableCae: true,
  requestOptions: true,
  timeoutMs: true,
};

const DEFAULT_REQUEST_TIMEOUT_MS = 10_000;
/**
 * Maximum number of scopes per identity. The server names the scope of its login, so a hostile server could name a new
 * one each time.
 */
const MOST_SCOPES = 64;
/** Maximum number of scopes without a token so far, because they may be made up. */
const MOST_UNKNOWN_SCOPES = 16;
/**
 * A scope that has not been requested for this long may be dropped, together with its back-off, in favour of a new one.
 */
const FORGET_SCOPE_AFTER_MS = 600_000;

/**
 * Keeps one identity's tokens fresh, for any number of scopes: one request at a time for each (P3), renewed in the
 * background long before its expiry, and the last good token served while its renewal fails (P4).
 *
 * It is a `TokenCredential` itself, so it can be given to any Azure SDK client.
 *
 * @example
 * const tokens = new TokenCache(createCredential({ tenantId, clientId, clientSecret }));
 * const { token } = await tokens.getToken('https://vault.azure.net/.default');
 */
export class TokenCache implements TokenCredential {
  readonly #credential: TokenCredential;
  readonly #scope: string;
  readonly #requestTimeoutMs: number;
  #store: EncryptedTokenStore | undefined;
  /** The patience of the least patient pool that shares tokens through the store, ms. */
  #patienceMs: number | undefined;
  readonly #refreshers = new Map<string, TokenRefresher>();
  /** Key of the identity: caches of equal identity are interchangeable. */
  readonly identity: string;

  /** @throws ConfigurationError if `credential` has no `getToken` or a setting is invalid */
  constructor(credential: TokenCredential, options: TokenCacheOptions = {}) {
    requireCredential(credential);
    requireKnownOptions('new TokenCache()', options, TOKEN_CACHE_OPTIONS);
    const { scope = PUBLIC_SQL_SCOPE, requestTimeoutMs = timeoutOf(credential) } = options;
    if (typeof scope !== 'string' || scope === '') throw new ConfigurationError("'scope' must be a non-empty string.");
    if (typeof requestTimeoutMs !== 'number' || !(requestTimeoutMs > 0))
      throw new ConfigurationError("'requestTimeoutMs' must be a number of ms greater than 0.");
    this.#credential = credential;
    this.#scope = scope;
    this.#requestTimeoutMs = timerMs(requestTimeoutMs);
    this.identity = identityOf(credential);
    if (options.tokenStore !== undefined) this.shareThrough(options.tokenStore);
  }

  /**
   * Shares tokens through a store from now on, unless it does so already.
   *
   * @param patienceMs how long callers wait for a connection, ms; the wait for other processes takes less
   * @internal
   * @throws ConfigurationError for a store that does not encrypt, or a credential whose identity other processes cannot know
   */
  shareThrough(store: EncryptedTokenStore, patienceMs?: number): void {
    requireTokenStore(store, this.#credential);
    this.#store ??= store;
    if (patienceMs !== undefined) this.#patienceMs = Math.min(patienceMs, this.#patienceMs ?? patienceMs);
  }

  /**
   * The usable token, or undefined. Synchronous; starts a background refresh when one is due, so calling it regularly
   * keeps the token fresh.
   */
  current(scope: string = this.#scope): CachedToken | undefined {
    return (this.#refreshers.get(scope) ?? this.#refresher(scope))?.current();
  }

  /** A usable token or undefined. No side effects. */
  peek(scope: string = this.#scope): CachedToken | undefined {
    return this.#refreshers.get(scope)?.peek();
  }

  /**
   * The usable token, the refresh under way and the last failure, as far as there are any. No side effects.
   *
   * @internal
   */
  status(scope: string = this.#scope): TokenStatus {
    return this.#refreshers.get(scope)?.status() ?? { current: undefined, refresh: undefined, failure: undefined };
  }

  /**
   * A usable token, waiting for the shared request if there is none.
   *
   * @throws CredentialError and its subclasses, with `retryAfterMs`; AbortedError, TokenTimeoutError for this caller alone;
   *   ConfigurationError for invalid options
   */
  async get(scope: string = this.#scope, options?: WaitOptions): Promise<CachedToken> {
    if (options !== undefined) requireKnownOptions('get()', options, WAIT_OPTIONS);
    return this.#get(scope, options && { ...options, timeoutMs: requireTimeoutMs('get()', options.timeoutMs) });
  }

  #get(scope: string = this.#scope, options?: WaitOptions): Promise<CachedToken> {
    const refresher = this.#refresher(scope, options);
    return refresher === undefined ? Promise.reject(tooManyScopes()) : refresher.get(options);
  }

  /** The `@azure/core-auth` form of {@link get}. */
  async getToken(scopes?: string | string[], options?: WaitOptions): Promise<AccessToken> {
    const scope = Array.isArray(scopes) ? scopes.join(' ') : scopes;
    // The common case: no special options, and a token in the cache.
    const token = options === undefined ? this.current(scope) : undefined;
    return asAccessToken(token ?? (await this.#await(scope, options)));
  }

  /**
   * A function that resolves to the token for a scope: the `password` option of `pg` and what other drivers call for each
   * connection. All connections share one request and one back-off.
   *
   * @throws CredentialError and its subclasses, from the function
   * @example
   * const password = tokens.passwordFor('https://ossrdbms-aad.database.windows.net/.default');
   * const pool = new pg.Pool({ host, user, ssl: true, password });
   */
  passwordFor(scope: string): () => Promise<string> {
    if (typeof scope !== 'string' || !/^\S+$/.test(scope)) {
      throw new ConfigurationError(
        "passwordFor() needs a scope, e.g. 'https://ossrdbms-aad.database.windows.net/.default'.",
      );
    }
    return async () => (this.current(scope) ?? (await this.get(scope))).reveal();
  }

  #await(scope: string | undefined, options: WaitOptions = {}): Promise<CachedToken> {
    const timeoutMs =
      requireTimeoutMs('getToken()', options.timeoutMs) ?? (durationMs(options.requestOptions?.timeout) || undefined);
    // Clients of Azure services pass further options of their own.
    return this.#get(scope, { ...options, timeoutMs });
  }

  /**
   * Discards a token that the server refused, whatever its scope or only in `scope`; the next call requests a new one.
   * False if it is not the current one, if one was discarded less than 5 s ago, or if the identity provider is in back-off,
   * so that none would be left; then it is kept, and replaced as soon as there is another.
   */
  invalidate(token: string | AccessToken | CachedToken, scope?: string): boolean {
    const secret = token instanceof CachedToken ? token.reveal() : typeof token === 'string' ? token : token.token;
    for (const [key, refresher] of this.#refreshers) {
      if ((scope === undefined || key === scope) && refresher.invalidate(secret)) return true;
    }
    return false;
  }

  /**
   * Adopts a token that the same identity obtained in another way; it ends the back-off, if there was one.
   *
   * @internal
   */
  offer(token: CachedToken, scope: string = this.#scope): void {
    this.#refresher(scope)?.offer(token);
  }

  /**
   * Tokens of another tenant, or with continuous access evaluation, are tokens of their own. Undefined if there are too
   * many already.
   */
  #refresher(scope: string, options: GetTokenOptions = {}): TokenRefresher | undefined {
    const { tenantId, enableCae } = options;
    const ordinary = tenantId === undefined && enableCae === undefined;
    const key = ordinary ? scope : JSON.stringify([scope, tenantId, enableCae]);
    let refresher = this.#refreshers.get(key);
    if (refresher === undefined && this.#admitsScope()) {
      const requestTimeoutMs = this.#requestTimeoutMs;
      refresher = new TokenRefresher({
        request: (request) => {
          const ask = () => requestToken(this.#credential, request);
          const patienceMs = least(request.patienceMs, this.#patienceMs);
          return this.#store?.obtain(this.#credential, { ...request, patienceMs }, ask) ?? ask();
        },
        identity: this.identity,
        scope,
        options: { tenantId, enableCae },
        // Time spent on the store does not count against the identity provider.
        timeoutMs: () => requestTimeoutMs + (this.#store?.longestMs ?? 0),
      });
      this.#refreshers.set(key, refresher);
    }
    return refresher;
  }

  #admitsScope(): boolean {
    // The first scope is never dropped: a pool requests its own before any server has named one.
    for (const [key, { hasSucceeded, idleMs = 0 }] of [...this.#refreshers].slice(1)) {
      const isNeeded = hasSucceeded && this.#refreshers.size < MOST_SCOPES;
      if (idleMs > FORGET_SCOPE_AFTER_MS && !isNeeded) this.#refreshers.delete(key);
    }
    const unknown = [...this.#refreshers.values()].filter((refresher) => !refresher.hasSucceeded);
    return this.#refreshers.size < MOST_SCOPES && unknown.length < MOST_UNKNOWN_SCOPES;
  }
}

function least(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? (one ?? other) : Math.min(one, other);
}

function tooManyScopes(): TokenUnavailableError {
  return new TokenUnavailableError('Tokens for too many different scopes were requested for one identity.', {
    hint: 'If a server names a different scope at each login, set the scope in the configuration.',
  });
}

function asAccessToken(token: CachedToken): AccessToken {
  return { token: token.reveal(), expiresOnTimestamp: token.expiresOn, refreshAfterTimestamp: token.refreshOn };
}

/** @throws ConfigurationError */
export function requireCredential(credential: TokenCredential): void {
  if (typeof credential?.getToken === 'function') return;
  throw new ConfigurationError('A TokenCache needs a credential: an object with getToken(scopes, options).', {
    hint: 'Create one with createCredential(), or pass any TokenCredential of @azure/identity.',
  });
}

/** The credential's own limit for a request, if it has one. */
function timeoutOf(credential: TokenCredential & { requestTimeoutMs?: unknown }): number {
  return durationMs(credential.requestTimeoutMs) || DEFAULT_REQUEST_TIMEOUT_MS;
}

/** @throws ConfigurationError for a store that does not encrypt, and for a credential that it cannot name */
function requireTokenStore(store: EncryptedTokenStore, credential: TokenCredential): void {
  if (typeof store?.obtain !== 'function' || typeof store.keyOf !== 'function') {
    throw new ConfigurationError("'tokenStore' must be created by redisTokenStore() or encryptedTokenStore().", {
      hint: 'Tokens go into a store encrypted or not at all: encryptedTokenStore(yourStore, { keys }).',
    });
  }
  if (store.keyOf(credential) === undefined) {
    throw new ConfigurationError("Other processes cannot determine which principal this credential's tokens are for.", {
      hint: "Name its identity: tokenStore: store.named('orders-api'), one name for one principal.",
    });
  }
}

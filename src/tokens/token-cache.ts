import type { AccessToken, GetTokenOptions, TokenCredential } from '../credentials/credential.js';
import { PUBLIC_SQL_SCOPE } from '../credentials/entra/scope-for-server.js';
import { identityOf } from '../credentials/identity.js';
import { ConfigurationError } from '../errors.js';
import { timerMs } from '../time.js';
import { type AskedToken, askCredential } from './ask-credential.js';
import { CachedToken } from './cached-token.js';
import type { EncryptedTokenStore } from './encrypted-token-store.js';
import { requireTokenStore } from './require-token-store.js';
import { TokenRefresher } from './token-refresher.js';

/** Settings of a {@link TokenCache}; the defaults suit Entra tokens for Azure SQL. */
export interface TokenCacheOptions {
  /** Scope used where a call names none. Default `https://database.windows.net/.default`. */
  scope?: string | undefined;
  /**
   * Longest one request to the identity provider may take, ms. Default 10,000, or what the credential itself says where a
   * person or a command line tool is involved.
   */
  requestTimeoutMs?: number | undefined;
  /** Where processes of a fleet share their tokens: `redisTokenStore(...)`, or an `encryptedTokenStore(...)` of your own. */
  tokenStore?: EncryptedTokenStore | undefined;
}

/** How one caller waits; nothing here changes the shared request. */
export interface WaitOptions extends GetTokenOptions {
  /** How long this caller waits, ms; the shared request goes on. */
  timeoutMs?: number | undefined;
}

const DEFAULT_REQUEST_TIMEOUT_MS = 10_000;

/**
 * Keeps one identity's tokens fresh, for any number of scopes: one request at a time for each (P3), renewed in the
 * background long before the end, and the last good token served whatever happens to its renewal (P4).
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
  readonly #refreshers = new Map<string, TokenRefresher>();
  /** Key of the identity: caches of equal identity are interchangeable. */
  readonly identity: string;

  /** @throws ConfigurationError if `credential` has no `getToken` or a setting makes no sense */
  constructor(credential: TokenCredential, options: TokenCacheOptions = {}) {
    requireCredential(credential);
    const { scope = PUBLIC_SQL_SCOPE, requestTimeoutMs = patience(credential) } = options;
    if (!(requestTimeoutMs > 0)) throw new ConfigurationError("'requestTimeoutMs' must be a number of ms above 0.");
    this.#credential = credential;
    this.#scope = scope;
    this.#requestTimeoutMs = timerMs(requestTimeoutMs);
    this.identity = identityOf(credential);
    if (options.tokenStore !== undefined) this.shareThrough(options.tokenStore);
  }

  /**
   * Shares tokens through a store from now on, unless it does so already.
   *
   * @internal
   * @throws ConfigurationError for a store that does not encrypt, or a credential whose identity other processes cannot know
   */
  shareThrough(store: EncryptedTokenStore): void {
    requireTokenStore(store, this.#credential);
    this.#store ??= store;
  }

  /**
   * A usable token right now, or undefined. Synchronous; starts a request in the background when one is due, so calling it
   * every now and then is all the upkeep there is.
   */
  current(scope: string = this.#scope): CachedToken | undefined {
    return (this.#refreshers.get(scope) ?? this.#refresher(scope)).current();
  }

  /**
   * A usable token or undefined, without asking for another: for looking on.
   *
   * @internal
   */
  peek(scope: string = this.#scope): CachedToken | undefined {
    return this.#refreshers.get(scope)?.peek();
  }

  /**
   * A usable token, waiting for the shared request where there is none.
   *
   * @throws CredentialError and its subclasses, with `retryAfterMs`; AbortedError, TokenTimeoutError for this caller alone
   */
  get(scope: string = this.#scope, options?: WaitOptions): Promise<CachedToken> {
    return this.#refresher(scope, options).get(options);
  }

  /** The `@azure/core-auth` form of {@link get}. */
  async getToken(scopes?: string | string[], options?: WaitOptions): Promise<AccessToken> {
    const scope = Array.isArray(scopes) ? scopes.join(' ') : scopes;
    // Most calls ask for nothing special and find a token.
    const held = options === undefined ? this.current(scope) : undefined;
    return asAccessToken(held ?? (await this.#await(scope, options)));
  }

  #await(scope: string | undefined, options: WaitOptions = {}): Promise<CachedToken> {
    const timeoutMs = options.timeoutMs ?? (options.requestOptions?.timeout || undefined);
    return this.get(scope, { ...options, timeoutMs });
  }

  /**
   * Throws a token away that the server refused, whatever its scope or only in `scope`; the next call asks for a new one.
   * False where it is not the current one, where one was thrown away less than 5 s ago, or where the identity provider is
   * in back-off, so that nothing would be left; then it is kept, and replaced as soon as there is another.
   */
  invalidate(token: string | AccessToken | CachedToken, scope?: string): boolean {
    const secret = token instanceof CachedToken ? token.reveal() : typeof token === 'string' ? token : token.token;
    for (const [key, refresher] of this.#refreshers) {
      if ((scope === undefined || key === scope) && refresher.invalidate(secret)) return true;
    }
    return false;
  }

  /**
   * Takes over a token that its identity got beside it; with it ends what back-off there was.
   *
   * @internal
   */
  offer(token: AskedToken, scope: string = this.#scope): void {
    this.#refresher(scope).offer(token);
  }

  /** Tokens of another tenant, or with continuous access evaluation, are tokens of their own. */
  #refresher(scope: string, options: GetTokenOptions = {}): TokenRefresher {
    const { tenantId, enableCae } = options;
    const ordinary = tenantId === undefined && enableCae === undefined;
    const key = ordinary ? scope : JSON.stringify([scope, tenantId, enableCae]);
    let refresher = this.#refreshers.get(key);
    if (refresher === undefined) {
      const requestTimeoutMs = this.#requestTimeoutMs;
      refresher = new TokenRefresher({
        ask: (request) => {
          const ask = () => askCredential(this.#credential, request);
          return this.#store?.obtain(this.#credential, request, ask) ?? ask();
        },
        identity: this.identity,
        scope,
        request: { tenantId, enableCae },
        // What the store takes is not the identity provider's fault.
        timeoutMs: () => requestTimeoutMs + (this.#store?.longestMs ?? 0),
      });
      this.#refreshers.set(key, refresher);
    }
    return refresher;
  }
}

function asAccessToken(held: CachedToken): AccessToken {
  return { token: held.reveal(), expiresOnTimestamp: held.expiresOn, refreshAfterTimestamp: held.refreshOn };
}

function requireCredential(credential: TokenCredential): void {
  if (typeof credential?.getToken === 'function') return;
  throw new ConfigurationError('A TokenCache needs a credential: an object with getToken(scopes, options).', {
    hint: 'Make one with createCredential(), or give any TokenCredential of @azure/identity.',
  });
}

/** How long a credential of ours says a request may take. */
function patience(credential: TokenCredential & { requestTimeoutMs?: unknown }): number {
  const { requestTimeoutMs } = credential;
  return typeof requestTimeoutMs === 'number' ? requestTimeoutMs : DEFAULT_REQUEST_TIMEOUT_MS;
}

const shared = new Map<string, WeakRef<TokenCache>>();
const forgotten = new FinalizationRegistry<string>((identity) => {
  if (shared.get(identity)?.deref() === undefined) shared.delete(identity);
});

/**
 * The process-wide cache of a credential's identity, for as long as somebody holds it: pools of one identity share one
 * request (P3). `options` count for whoever is first, and a
 * `tokenStore` for whoever is the first to bring one; name the scope in each call.
 *
 * @throws ConfigurationError if `credential` has no `getToken` or a setting makes no sense
 */
export function sharedTokenCache(credential: TokenCredential, options?: TokenCacheOptions): TokenCache {
  requireCredential(credential);
  const identity = identityOf(credential);
  const known = shared.get(identity)?.deref();
  if (known !== undefined) {
    if (options?.tokenStore !== undefined) known.shareThrough(options.tokenStore);
    return known;
  }
  const cache = new TokenCache(credential, options);
  shared.set(identity, new WeakRef(cache));
  forgotten.register(cache, identity);
  return cache;
}

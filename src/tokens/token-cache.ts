import type { AccessToken, GetTokenOptions, TokenCredential } from '../credentials/credential.js';
import type { HeldToken } from './held-token.js';

/** Settings of a {@link TokenCache}; the defaults suit Entra tokens for Azure SQL. */
export interface TokenCacheOptions {
  /** Scope used where a call names none, e.g. `https://database.windows.net/.default`. */
  scope?: string | undefined;
  /** Longest one request to the identity provider may take, ms. Default 10,000. */
  requestTimeoutMs?: number | undefined;
}

/** How one caller waits; nothing here changes the shared request. */
export interface WaitOptions extends GetTokenOptions {
  /** How long this caller waits, ms; the shared request goes on. */
  timeoutMs?: number | undefined;
}

/** Keeps one identity's tokens fresh. */
export declare class TokenCache implements TokenCredential {
  constructor(credential: TokenCredential, options?: TokenCacheOptions);
  /** Key of the identity: caches of equal identity are interchangeable. */
  readonly identity: string;
  /** A usable token right now, or undefined. Synchronous; starts a background refresh when one is due. */
  peek(scope?: string): HeldToken | undefined;
  /** A usable token, waiting for the shared request where there is none. */
  take(scope?: string, options?: WaitOptions): Promise<HeldToken>;
  /** The `@azure/core-auth` form of {@link take}. */
  getToken(scopes?: string | string[], options?: WaitOptions): Promise<AccessToken>;
  /** Throws a refused token away; false where it is not the current one, or one was thrown away less than 5 s ago. */
  invalidate(token: string | AccessToken | HeldToken, scope?: string): boolean;
}

/** The process-wide cache of a credential's identity. */
export declare function sharedTokenCache(credential: TokenCredential, options?: TokenCacheOptions): TokenCache;

import type { TokenCredential } from '../credentials/credential.js';
import { identityOf } from '../credentials/identity.js';
import { requireCredential, TokenCache, type TokenCacheOptions } from './token-cache.js';

const shared = new Map<string, WeakRef<TokenCache>>();
const collected = new FinalizationRegistry<string>((identity) => {
  if (shared.get(identity)?.deref() === undefined) shared.delete(identity);
});

/**
 * The process-wide cache of a credential's identity; it lives while it is referenced. Pools of one identity share one
 * request (P3). The `options` of the first call apply, and the first `tokenStore`; pass the scope in each call.
 *
 * @param patienceMs how long callers of a pool wait for a connection, ms; waiting for a shared store takes less
 * @throws ConfigurationError if `credential` has no `getToken` or a setting is invalid
 */
export function sharedTokenCache(
  credential: TokenCredential,
  options?: TokenCacheOptions,
  patienceMs?: number,
): TokenCache {
  requireCredential(credential);
  const identity = identityOf(credential);
  const known = shared.get(identity)?.deref();
  const cache = known ?? new TokenCache(credential, options);
  if (options?.tokenStore !== undefined) cache.shareThrough(options.tokenStore, patienceMs);
  if (known !== undefined) return known;
  shared.set(identity, new WeakRef(cache));
  collected.register(cache, identity);
  return cache;
}

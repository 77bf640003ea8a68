import type { TokenCredential } from '../credentials/credential.js';
import { portableIdentityOf } from '../credentials/identity.js';
import { ConfigurationError } from '../errors.js';
import { type KnownOptions, requireKnownOptions } from '../known-options.js';
import { LONGEST_TIMER_MS } from '../time.js';
import type { CachedToken } from './cached-token.js';
import type { CredentialRequest } from './credential-request.js';
import type { StoreKey } from './entry-cipher.js';
import type { StoreKeysFunction } from './key-ring.js';
import { SharedTokens } from './shared-tokens.js';
import type { TokenStore } from './token-store.js';

/** Keys and time limits of an encrypted token store. */
export interface TokenEncryptionOptions {
  /**
   * Key of 32 bytes, or several: the first encrypts, all decrypt. To rotate, deploy `[old, new]`, then `[new, old]`, then
   * `[new]`. A function is called before the first token is requested and again after 5 minutes, so that keys rotate
   * while the process runs; while it fails, the keys that it returned last remain in use.
   */
  keys: StoreKey | readonly StoreKey[] | StoreKeysFunction;
  /**
   * How long other processes wait for the one that requests a token, ms; it may have died. At most half of
   * `acquireTimeoutMillis` in a pool. Default 5,000.
   */
  leaseMs?: number | undefined;
  /** Longest wait for one answer of the store, ms; after that, tokens are requested without it. Default 500. */
  timeoutMs?: number | undefined;
}

/** Names of {@link TokenEncryptionOptions}. */
export const TOKEN_ENCRYPTION_OPTIONS: KnownOptions<TokenEncryptionOptions> = {
  keys: true,
  leaseMs: true,
  timeoutMs: true,
};

/** A token store that reveals nothing about its tokens; for `tokenStore` in a pool's config or a `TokenCache`. */
export interface EncryptedTokenStore {
  /**
   * The same store for a credential whose identity is unknown to this library or to other processes: a credential of
   * `@azure/identity`, a function, a system-assigned identity, a secret that is a function. Processes that pass the same
   * name share tokens: use it for one principal only.
   */
  named(identity: string): EncryptedTokenStore;
  /** @internal Longest that `obtain` takes beyond `request`, ms. */
  readonly longestMs: number;
  /** @internal Key of a credential's identity in this store; undefined if it needs a name. */
  keyOf(credential: TokenCredential): string | undefined;
  /** @internal A token from the store, or from `ask`, which is then put into the store as well. */
  obtain(
    credential: TokenCredential,
    request: CredentialRequest,
    ask: () => Promise<CachedToken>,
  ): Promise<CachedToken>;
}

const DEFAULT_LEASE_MS = 5_000;
const DEFAULT_TIMEOUT_MS = 500;

/**
 * A store for tokens on top of any {@link TokenStore}: entries are encrypted (AES-256-GCM) and bound to identity and
 * scope, one process asks the identity provider while the others wait for its answer, and a failing store delays a
 * login but never fails it.
 *
 * @throws ConfigurationError that names the setting
 * @example
 * const tokenStore = encryptedTokenStore(myStore, { keys: process.env.TOKEN_STORE_KEY });
 * const pool = createTokenPool({ ...config, tokenStore });
 */
export function encryptedTokenStore(store: TokenStore, options: TokenEncryptionOptions): EncryptedTokenStore {
  for (const method of ['get', 'set', 'lease'] as const) {
    if (typeof store?.[method] !== 'function') {
      throw new ConfigurationError(`A token store must have the functions get, set and lease; '${method}' is missing.`);
    }
  }
  requireKnownOptions('encryptedTokenStore()', options ?? {}, TOKEN_ENCRYPTION_OPTIONS);
  const { keys, leaseMs = DEFAULT_LEASE_MS, timeoutMs = DEFAULT_TIMEOUT_MS } = options ?? {};
  for (const [name, value] of Object.entries({ leaseMs, timeoutMs })) {
    if (typeof value !== 'number' || !(value > 0 && value <= LONGEST_TIMER_MS)) {
      throw new ConfigurationError(`'${name}' must be a number of ms greater than 0.`);
    }
  }
  return makeStore(new SharedTokens(store, { keys, leaseMs, timeoutMs }), undefined);
}

/** A plain object with closures, because ORMs clone configs; printing it reveals nothing. */
function makeStore(tokens: SharedTokens, name: string | undefined): EncryptedTokenStore {
  const keyOf = (credential: TokenCredential): string | undefined =>
    name === undefined ? portableIdentityOf(credential) : `named:${name}`;
  return {
    named(identity) {
      if (typeof identity !== 'string' || identity === '') {
        throw new ConfigurationError('The name of an identity must be a non-empty string.');
      }
      return makeStore(tokens, identity);
    },
    longestMs: tokens.longestMs,
    keyOf,
    obtain(credential, request, ask) {
      const key = keyOf(credential);
      return key === undefined ? ask() : tokens.obtain(key, request, ask);
    },
  };
}

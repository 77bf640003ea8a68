import type { TokenCredential } from '../credentials/credential.js';
import { fingerprint, portableIdentityOf } from '../credentials/identity.js';
import { ConfigurationError } from '../errors.js';
import { LONGEST_TIMER_MS, sleep } from '../time.js';
import type { AskedToken, TokenRequest } from './ask-credential.js';
import { marginsFor } from './cached-token.js';
import { EntryCipher, type StoreKey } from './entry-cipher.js';
import { StoreHealth } from './store-health.js';
import type { TokenStore } from './token-store.js';

export interface TokenEncryptionOptions {
  /**
   * Key of 32 bytes, or several: the first encrypts, all decrypt. To rotate, deploy `[old, new]`, then `[new, old]`, then
   * `[new]`.
   */
  keys: StoreKey | readonly StoreKey[];
  /** Longest that a process which gets a token keeps the others waiting, ms; it may have died. Default 5,000. */
  leaseMs?: number | undefined;
  /** Longest wait for one answer of the store, ms; after that it is done without. Default 500. */
  timeoutMs?: number | undefined;
}

/** A store of tokens that shows nothing of them; for `tokenStore` of a pool's config or of a `TokenCache`. */
export interface EncryptedTokenStore {
  /**
   * The same store for a credential whose identity this library cannot tell, or not for other processes: a credential of
   * `@azure/identity`, a function, a system-assigned identity, a secret that is a function. Processes that give the same
   * name share tokens: give it to one principal only.
   */
  named(identity: string): EncryptedTokenStore;
  /** @internal Longest that `obtain` takes beyond `ask`, ms. */
  readonly longestMs: number;
  /** @internal Key of a credential's identity in this store; undefined where it needs a name. */
  keyOf(credential: TokenCredential): string | undefined;
  /** @internal A token from the store, or from `ask`, which then also goes into the store. */
  obtain(credential: TokenCredential, request: TokenRequest, ask: () => Promise<AskedToken>): Promise<AskedToken>;
}

const DEFAULT_LEASE_MS = 5_000;
const DEFAULT_TIMEOUT_MS = 500;
/** Pauses between two looks at whether the token has come: growing from the first to this share of the lease. */
const FIRST_PAUSE_MS = 25;
const LONGEST_PAUSE = 1 / 20;
/** A holder may die, and the next one needs its time too; after that, everybody for himself. */
const LEASES_WAITED_FOR = 2;
/** Clocks further apart than this are worth a word, ms; less is ordinary. */
const SKEW_MS = 30_000;

/** What is encrypted. Times by the clock of the process that got the token. */
interface Entry {
  token: string;
  expiresOn: number;
  lifeMs: number;
  refreshInMs?: number | undefined;
}

/**
 * A store for tokens on top of any {@link TokenStore}: entries are encrypted (AES-256-GCM) and bound to identity and scope,
 * one process asks the identity provider while the others wait for its answer, and whatever is wrong with the store costs
 * time, never a login.
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
  const { leaseMs = DEFAULT_LEASE_MS, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  for (const [name, value] of Object.entries({ leaseMs, timeoutMs })) {
    if (!(value > 0 && value <= LONGEST_TIMER_MS))
      throw new ConfigurationError(`'${name}' must be a number of ms above 0.`);
  }
  return makeStore(new SharedTokens(store, ciphersFor(options.keys), leaseMs, timeoutMs), undefined);
}

/** A plain object with closures, because ORMs clone configs; it shows nothing when printed. */
function makeStore(tokens: SharedTokens, name: string | undefined): EncryptedTokenStore {
  const keyOf = (credential: TokenCredential): string | undefined =>
    name === undefined ? portableIdentityOf(credential) : `named:${name}`;
  return {
    named(identity) {
      if (typeof identity !== 'string' || identity === '') {
        throw new ConfigurationError('The name of an identity must be a string that is not empty.');
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

function ciphersFor(keys: TokenEncryptionOptions['keys']): readonly [EntryCipher, ...EntryCipher[]] {
  const list = Array.isArray(keys) ? (keys as readonly StoreKey[]) : [keys as StoreKey];
  const [first, ...others] = list.map((key) => new EntryCipher(key));
  if (first === undefined) throw new ConfigurationError("'keys' must have at least one key.");
  return [first, ...others];
}

class SharedTokens {
  readonly #store: TokenStore;
  readonly #ciphers: readonly [EntryCipher, ...EntryCipher[]];
  readonly #leaseMs: number;
  readonly #health: StoreHealth;
  readonly longestMs: number;

  constructor(
    store: TokenStore,
    ciphers: readonly [EntryCipher, ...EntryCipher[]],
    leaseMs: number,
    timeoutMs: number,
  ) {
    this.#store = store;
    this.#ciphers = ciphers;
    this.#leaseMs = leaseMs;
    this.#health = new StoreHealth(timeoutMs);
    this.longestMs = LEASES_WAITED_FOR * leaseMs + 3 * timeoutMs;
  }

  /**
   * The token of an identity: the one in the store, if it is later than the one held; else a new one, got by whoever has
   * the lease. The others look again until it is there. Whoever died with the lease is waited for as long as it lasts.
   */
  async obtain(identity: string, request: TokenRequest, ask: () => Promise<AskedToken>): Promise<AskedToken> {
    const subject = subjectOf(identity, request);
    const waitUntil = performance.now() + LEASES_WAITED_FOR * this.#leaseMs;
    let pauseMs = FIRST_PAUSE_MS;
    for (;;) {
      const shared = await this.#find(subject, request);
      if (shared === 'store-failed') return ask();
      if (shared !== undefined) return shared;
      const lease = await this.#lease(subject);
      if (lease === 'store-failed') return ask();
      if (lease !== undefined) return this.#askFor(subject, request, ask, lease);
      if (performance.now() >= waitUntil) return this.#askFor(subject, request, ask, async () => {});
      request.abortSignal?.throwIfAborted();
      // The request's own timer keeps the process alive while a caller waits for it.
      await sleep(pauseMs * (1 + Math.random()), { ref: false });
      pauseMs = Math.min(pauseMs * 1.5, this.#leaseMs * LONGEST_PAUSE);
    }
  }

  /** Asks the identity provider on everybody's behalf. */
  async #askFor(
    subject: string,
    request: TokenRequest,
    ask: () => Promise<AskedToken>,
    giveBack: () => Promise<void>,
  ): Promise<AskedToken> {
    // It may have come between the look and the lease.
    const shared = await this.#find(subject, request);
    if (shared !== undefined && shared !== 'store-failed') {
      void this.#health.run(giveBack);
      return shared;
    }
    const leaseEnds = performance.now() + this.#leaseMs;
    try {
      const token = await ask();
      // Nobody here waits until the others have it.
      void this.#hand(subject, request, token, leaseEnds).finally(() => this.#health.run(giveBack));
      return token;
    } catch (error) {
      void this.#health.run(giveBack);
      throw error;
    }
  }

  async #lease(subject: string): Promise<(() => Promise<void>) | undefined | 'store-failed'> {
    let granted: Promise<(() => Promise<void>) | undefined> | undefined;
    const lease = await this.#health.run(() => {
      granted = this.#store.lease(this.#ciphers[0].nameOf(subject), this.#leaseMs);
      return granted;
    });
    // One that is granted after we have gone on without it would hold the others up.
    if (lease === 'store-failed') granted?.then((giveBack) => giveBack?.()).catch(() => {});
    return lease;
  }

  /** Hands a new token to the others. */
  async #hand(subject: string, request: TokenRequest, asked: AskedToken, leaseEnds: number): Promise<void> {
    // After its lease another process has asked too, and what it got may be later.
    if (performance.now() >= leaseEnds) {
      const others = await this.#find(subject, request);
      if (others !== undefined && others !== 'store-failed' && others.expiresOnTimestamp > asked.expiresOnTimestamp)
        return;
    }
    const { token, expiresOnTimestamp, refreshAfterTimestamp, obtainedAt } = asked;
    const [cipher] = this.#ciphers;
    const lifeMs = expiresOnTimestamp - obtainedAt;
    const refreshInMs = refreshAfterTimestamp === undefined ? undefined : refreshAfterTimestamp - obtainedAt;
    const entry: Entry = { token, expiresOn: expiresOnTimestamp, lifeMs, refreshInMs };
    const ttlMs = Math.floor(expiresOnTimestamp - Date.now());
    if (ttlMs <= 0) return;
    const value = cipher.seal(JSON.stringify(entry), subject);
    await this.#health.run(() => this.#store.set(cipher.nameOf(subject), value, ttlMs));
  }

  /** The latest token in the store that is of use for a request. */
  async #find(subject: string, request: TokenRequest): Promise<AskedToken | undefined | 'store-failed'> {
    const found = await Promise.all(this.#ciphers.map((cipher) => this.#read(cipher, subject)));
    if (found.includes('store-failed')) return 'store-failed';
    return found
      .filter((token) => token !== undefined && token !== 'store-failed')
      .filter((token) => isOfUse(token, request))
      .sort((a, b) => b.expiresOnTimestamp - a.expiresOnTimestamp)[0];
  }

  async #read(cipher: EntryCipher, subject: string): Promise<AskedToken | undefined | 'store-failed'> {
    const stored = await this.#health.run(() => this.#store.get(cipher.nameOf(subject)));
    if (stored === undefined || stored === 'store-failed') return stored;
    try {
      const entry = JSON.parse(cipher.open(stored.value, subject)) as Entry;
      return this.#byOwnClock(entry, stored.ttlMs);
    } catch (error) {
      this.#health.failed('unreadable-entry', error);
      return undefined;
    }
  }

  /**
   * The token with its times by this machine's clock. The store measures the life that is left whatever the clocks say; of
   * the two, the earlier end counts: a token whose end was wrong from the start must not be believed either.
   */
  #byOwnClock({ token, expiresOn, lifeMs, refreshInMs }: Entry, ttlMs: number | undefined): AskedToken {
    const now = Date.now();
    const leftMs = Math.min(expiresOn - now, ttlMs ?? Number.POSITIVE_INFINITY);
    if (ttlMs !== undefined && Math.abs(expiresOn - now - ttlMs) > SKEW_MS) {
      const apart = Math.round((expiresOn - now - ttlMs) / 1000);
      this.#health.failed('clock-skew', new Error(`The clock of another process is ${apart} s off this one's.`));
    }
    const obtainedAt = now + leftMs - lifeMs;
    return {
      token,
      expiresOnTimestamp: now + leftMs,
      refreshAfterTimestamp: refreshInMs === undefined ? undefined : obtainedAt + refreshInMs,
      obtainedAt,
      fromStore: true,
    };
  }
}

/** What an entry is about. Everything that decides which token comes out is in it, so that no two share an entry (P9). */
function subjectOf(identity: string, { scope, tenantId, enableCae, claims }: TokenRequest): string {
  return JSON.stringify([identity, scope, tenantId ?? null, enableCae ?? null, claims ?? null]);
}

/** Not the one that the server refused, with life enough for a connection, and later than the one there is. */
function isOfUse(shared: AskedToken, { held, refusedId }: TokenRequest): boolean {
  const { token, expiresOnTimestamp: expiresOn, obtainedAt } = shared;
  const id = fingerprint(token);
  if (id === refusedId || id === held?.id) return false;
  if (Date.now() >= expiresOn - marginsFor(expiresOn - obtainedAt).evictionMarginMs) return false;
  return held === undefined || held.id === refusedId || expiresOn > held.expiresOn;
}

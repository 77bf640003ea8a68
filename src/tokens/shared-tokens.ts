import { sleep } from '../time.js';
import { CachedToken } from './cached-token.js';
import type { CredentialRequest } from './credential-request.js';
import type { EntryCipher, StoreKey } from './entry-cipher.js';
import { KeyRing, type StoreKeysFunction } from './key-ring.js';
import { parseEntry, readEntry, writeEntry } from './store-entry.js';
import { StoreHealth } from './store-health.js';
import type { StoredValue, TokenStore } from './token-store.js';

/** Pauses between checks for the token: they grow from the first to this share of the lease. */
const FIRST_PAUSE_MS = 25;
const LONGEST_PAUSE = 1 / 20;
/**
 * A lease lasts this share of the wait for it: its holder may die, and the next one needs time for its request before every
 * process requests its own token.
 */
const LEASE_SHARE = 3 / 4;
/** A caller has this share of its time left when the wait ends, for the request and the login. */
const PATIENCE_SHARE = 1 / 2;
/** Clocks that differ by more than this cause a warning, ms; smaller differences are ordinary. */
const SKEW_MS = 30_000;

type ReleaseLease = () => Promise<void>;

export interface SharedTokensSettings {
  /** The first encrypts, all decrypt. */
  keys: StoreKey | readonly StoreKey[] | StoreKeysFunction;
  leaseMs: number;
  timeoutMs: number;
}

/** The token that one call looks for, with the keys that were the latest when it began. */
interface SoughtEntry {
  subject: string;
  request: CredentialRequest;
  ciphers: readonly [EntryCipher, ...EntryCipher[]];
}

/** The tokens of several processes in one store. One process at a time asks the identity provider for a token. */
export class SharedTokens {
  readonly #store: TokenStore;
  readonly #keys: KeyRing;
  /** Longest wait for other processes, ms. */
  readonly #waitMs: number;
  readonly #leaseMs: number;
  readonly #health: StoreHealth;
  /** Longest that `obtain` takes beyond `ask`, ms. */
  readonly longestMs: number;

  /** @throws ConfigurationError for a key that is not 32 bytes */
  constructor(store: TokenStore, { keys, leaseMs, timeoutMs }: SharedTokensSettings) {
    this.#store = store;
    this.#waitMs = leaseMs;
    this.#leaseMs = leaseMs * LEASE_SHARE;
    this.#health = new StoreHealth(timeoutMs);
    this.#keys = new KeyRing(keys, this.#health);
    this.longestMs = leaseMs + 3 * timeoutMs;
  }

  /**
   * The token of an identity: the one in the store, if it is later than the one in the cache; else a new one, requested
   * by the process that holds the lease. The others look again until it is there, for at most `leaseMs` or half of their
   * callers' patience: the holder may have died, and the store may grant the lease to no one. The keys of a function must
   * arrive within the same time.
   */
  async obtain(identity: string, request: CredentialRequest, ask: () => Promise<CachedToken>): Promise<CachedToken> {
    const patienceMs = request.patienceMs ?? Number.POSITIVE_INFINITY;
    const maxWaitMs = Math.min(this.#waitMs, patienceMs * PATIENCE_SHARE);
    const waitUntil = performance.now() + maxWaitMs;
    if (this.#keys.isDue) await this.#keys.read(maxWaitMs);
    // Without a key, no entry can be read, and none is stored.
    const { ciphers } = this.#keys;
    if (ciphers === undefined) return ask();
    const entry: SoughtEntry = { subject: subjectOf(identity, request), request, ciphers };
    let pauseMs = FIRST_PAUSE_MS;
    for (;;) {
      const shared = await this.#find(entry);
      if (shared === 'store-failed') return ask();
      if (shared !== undefined) return shared;
      const lease = await this.#lease(entry);
      if (lease === 'store-failed') return ask();
      if (lease !== undefined) return this.#askFor(entry, ask, lease);
      const leftMs = waitUntil - performance.now();
      if (!(leftMs > 0)) return this.#askFor(entry, ask, async () => {});
      request.abortSignal?.throwIfAborted();
      // The request's own timer keeps the process alive while a caller waits for it.
      await sleep(Math.min(pauseMs * (1 + Math.random()), leftMs), { signal: request.abortSignal, ref: false });
      pauseMs = Math.min(pauseMs * 1.5, this.#leaseMs * LONGEST_PAUSE);
    }
  }

  /** Asks the identity provider on behalf of all processes. */
  async #askFor(entry: SoughtEntry, ask: () => Promise<CachedToken>, releaseLease: ReleaseLease): Promise<CachedToken> {
    // The token may have arrived between the check and the lease.
    const shared = await this.#find(entry);
    if (shared !== undefined && shared !== 'store-failed') {
      void this.#health.run(releaseLease);
      return shared;
    }
    const leaseEnds = performance.now() + this.#leaseMs;
    try {
      const token = await ask();
      // The caller does not wait until the token is stored.
      void this.#share(entry, token, leaseEnds).finally(() => this.#health.run(releaseLease));
      return token;
    } catch (error) {
      void this.#health.run(releaseLease);
      throw error;
    }
  }

  async #lease({ subject, ciphers }: SoughtEntry): Promise<ReleaseLease | undefined | 'store-failed'> {
    let granted: Promise<ReleaseLease | null | undefined> | undefined;
    const lease = await this.#health.run(() => {
      granted = Promise.resolve(this.#store.lease(ciphers[0].nameOf(subject), this.#leaseMs));
      return granted;
    });
    // A lease that is granted after we continued without it would block the others.
    if (lease === 'store-failed') granted?.then((releaseLease) => releaseLease?.()).catch(() => {});
    if (lease === 'store-failed' || typeof lease === 'function') return lease;
    if (lease === undefined || lease === null) return undefined;
    this.#health.failed(
      'wrong-answer',
      new Error(
        `lease() must resolve to a function that releases it, or to undefined: it resolved to ${kindOf(lease)}`,
      ),
    );
    return 'store-failed';
  }

  /** Stores a new token for the other processes. */
  async #share(entry: SoughtEntry, token: CachedToken, leaseEnds: number): Promise<void> {
    // Once the lease has expired, another process may have requested a token too, possibly a later one.
    if (performance.now() >= leaseEnds) {
      const other = await this.#find(entry);
      if (other instanceof CachedToken && other.remainingMs() > token.remainingMs()) return;
    }
    const ttlMs = Math.floor(token.remainingMs());
    if (ttlMs <= 0) return;
    const { subject, ciphers } = entry;
    const [cipher] = ciphers;
    const value = cipher.seal(writeEntry(token), subject);
    await this.#health.run(() => this.#store.set(cipher.nameOf(subject), value, ttlMs));
  }

  /** The latest token in the store that is of use for a request. */
  async #find({ subject, request, ciphers }: SoughtEntry): Promise<CachedToken | undefined | 'store-failed'> {
    const found = await Promise.all(ciphers.map((cipher) => this.#read(cipher, subject)));
    if (found.includes('store-failed')) return 'store-failed';
    return found
      .filter((token) => token instanceof CachedToken)
      .filter((token) => isOfUse(token, request))
      .sort((a, b) => b.remainingMs() - a.remainingMs())[0];
  }

  async #read(cipher: EntryCipher, subject: string): Promise<CachedToken | undefined | 'store-failed'> {
    const stored: StoredValue | null | undefined | 'store-failed' = await this.#health.run(() =>
      this.#store.get(cipher.nameOf(subject)),
    );
    if (stored === 'store-failed') return stored;
    if (stored === undefined || stored === null) return undefined;
    if (typeof stored !== 'object' || typeof stored.value !== 'string') {
      const was = typeof stored === 'object' ? `an object whose value is ${kindOf(stored.value)}` : kindOf(stored);
      this.#health.failed(
        'wrong-answer',
        new Error(
          `get() must resolve to { value, ttlMs } with the text given to set(), or to undefined: it was ${was}`,
        ),
      );
      return 'store-failed';
    }
    try {
      const { token, skewMs } = readEntry(parseEntry(cipher.open(stored.value, subject)), stored.ttlMs);
      if (Math.abs(skewMs) > SKEW_MS) {
        const seconds = Math.round(skewMs / 1000);
        this.#health.failed('clock-skew', new Error(`The clock of another process differs by ${seconds} s.`));
      }
      return token;
    } catch (error) {
      this.#health.failed('unreadable-entry', error);
      return undefined;
    }
  }
}

/** What an adapter returned, without its content. */
function kindOf(value: unknown): string {
  if (value === undefined || value === null) return String(value);
  if (value instanceof Uint8Array) return 'bytes';
  return Array.isArray(value) ? 'an array' : `a value of type ${typeof value}`;
}

/**
 * The key of an entry. It contains everything that decides which token is issued, so that no two share an entry (P9).
 */
function subjectOf(identity: string, { scope, tenantId, enableCae, claims }: CredentialRequest): string {
  return JSON.stringify([identity, scope, tenantId ?? null, enableCae ?? null, claims ?? null]);
}

/**
 * A token is of use if it is not the one that the server refused, has enough time left for a connection, and is later
 * than the one in the cache.
 */
function isOfUse(shared: CachedToken, { cached, refusedId }: CredentialRequest): boolean {
  if (shared.id === refusedId || shared.id === cached?.id) return false;
  if (shared.now() >= shared.evictAt) return false;
  return cached === undefined || cached.id === refusedId || shared.remainingMs() > cached.remainingMs();
}

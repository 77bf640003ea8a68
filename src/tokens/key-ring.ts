import { ConfigurationError } from '../errors.js';
import { EntryCipher, type StoreKey } from './entry-cipher.js';
import type { StoreHealth } from './store-health.js';

/** Keys as a function: it is called again while the process runs, so that a rotated key arrives without a deployment. */
export type StoreKeysFunction = () => StoreKey | readonly StoreKey[] | Promise<StoreKey | readonly StoreKey[]>;

/** The keys, one derived cipher for each: the first encrypts, all decrypt. */
type Ciphers = readonly [EntryCipher, ...EntryCipher[]];

/**
 * How long keys from a function are used before it is called again, ms. During a rotation, a new key may encrypt once
 * every process has read it, that is, after this time.
 */
const READ_AGAIN_AFTER_MS = 5 * 60_000;
/** A key vault first needs a token of its own. Callers wait for a shorter time, and continue without the new keys. */
const LONGEST_READ_MS = 10_000;
/** Time between two calls of a function that fails while no key is known, ms. */
const AFTER_FAILURE_MS = 60_000;

/** The encryption keys of a token store. They are given once, or read from a function such as a client of Key Vault. */
export class KeyRing {
  readonly #read: StoreKeysFunction | undefined;
  readonly #health: StoreHealth;
  #ciphers: Ciphers | undefined;
  #reading: Promise<void> | undefined;
  /** A caller gave up on the call that is under way: further ones do not wait for it. */
  #isOverdue = false;
  /** When to call the function again, monotonic ms. */
  #readAgainAt = Number.NEGATIVE_INFINITY;

  /** @throws ConfigurationError for a key that is not 32 bytes */
  constructor(keys: StoreKey | readonly StoreKey[] | StoreKeysFunction, health: StoreHealth) {
    this.#health = health;
    if (typeof keys === 'function') this.#read = keys;
    else this.#ciphers = ciphersFor(keys);
  }

  /** Whether the function is due to be called. */
  get isDue(): boolean {
    return this.#read !== undefined && performance.now() >= this.#readAgainAt;
  }

  /** The latest keys; undefined if none could be read so far. */
  get ciphers(): Ciphers | undefined {
    return this.#ciphers;
  }

  /**
   * Calls the function, once for all callers, and waits for its keys, for a limited time. It never rejects: if the function
   * fails or is late, the known keys remain in use.
   */
  async read(withinMs: number): Promise<void> {
    this.#reading ??= this.#readOnce().finally(() => {
      this.#reading = undefined;
      this.#isOverdue = false;
    });
    if (this.#isOverdue) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        this.#isOverdue = this.#reading !== undefined;
        resolve();
      }, withinMs).unref();
    });
    await Promise.race([this.#reading, late]);
    clearTimeout(timer);
  }

  async #readOnce(): Promise<void> {
    const { promise: late, timer } = rejectAfter(LONGEST_READ_MS);
    try {
      this.#ciphers = ciphersFor(await Promise.race([Promise.resolve().then(this.#read), late]));
      this.#readAgainAt = performance.now() + READ_AGAIN_AFTER_MS;
    } catch (error) {
      this.#readAgainAt = performance.now() + AFTER_FAILURE_MS;
      if (this.#ciphers === undefined) this.#health.failed('no-keys', error);
      else this.#health.failed('old-keys', error);
    } finally {
      clearTimeout(timer);
    }
  }
}

function rejectAfter(ms: number): { promise: Promise<never>; timer: NodeJS.Timeout | undefined } {
  let timer: NodeJS.Timeout | undefined;
  const promise = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`No answer within ${ms} ms.`)), ms).unref();
  });
  return { promise, timer };
}

function ciphersFor(keys: unknown): Ciphers {
  const list = Array.isArray(keys) ? (keys as readonly StoreKey[]) : [keys as StoreKey];
  const [first, ...others] = list.map((key) => new EntryCipher(key));
  if (first === undefined) throw new ConfigurationError("'keys' must contain at least one key.");
  return [first, ...others];
}

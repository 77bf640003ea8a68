/**
 * A store that processes share, such as Redis: the part that {@link encryptedTokenStore} uses. Names and values are
 * opaque ASCII text, a value is a few kB; both are unreadable without the key. If a method rejects or hangs, tokens are
 * requested without the store.
 *
 * docs/shared-token-cache.md has a complete example for a SQL table.
 */
export interface TokenStore {
  /** The value stored under a name; undefined if there is none, or it has expired. */
  get(name: string): Promise<StoredValue | undefined>;
  /** Stores a value under a name, replacing an existing one; it may be dropped after `ttlMs`. */
  set(name: string, value: string, ttlMs: number): Promise<void>;
  /**
   * Grants the lease of a name to one caller at a time, for at most `leaseMs`, so that a caller that dies blocks the
   * others no longer than that. Resolves to a function that releases the lease, but not one that another caller has
   * obtained since; undefined while another caller holds it. Names of leases are separate from names of values.
   */
  lease(name: string, leaseMs: number): Promise<(() => Promise<void>) | undefined>;
}

/** A value from a token store with its remaining time to live. */
export interface StoredValue {
  value: string;
  /**
   * How long the store will still keep it, ms, if known. It gives the remaining life of a token even if the
   * clocks of two machines differ.
   */
  ttlMs?: number | undefined;
}

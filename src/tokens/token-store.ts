/**
 * A store that processes share, such as Redis: what {@link encryptedTokenStore} needs of it. Names and values are opaque
 * ASCII text, a value is a few kB; both are unreadable without the key. A method that rejects or hangs is no catastrophe:
 * tokens are got without the store then.
 *
 * docs/shared-token-cache.md has a whole one for a SQL table.
 */
export interface TokenStore {
  /** The value under a name; undefined where there is none, or no longer. */
  get(name: string): Promise<StoredValue | undefined>;
  /** Puts a value under a name, in place of the one there; it may be dropped after `ttlMs`. */
  set(name: string, value: string, ttlMs: number): Promise<void>;
  /**
   * Gives the lease of that name to one caller at a time, for `leaseMs` at most: a caller that dies blocks no other for
   * longer. Resolves to a function that releases it, and must not release a lease that another has since obtained; undefined while
   * somebody else has it. Names of leases are not names of values.
   */
  lease(name: string, leaseMs: number): Promise<(() => Promise<void>) | undefined>;
}

/** A value from a token store, and how long the store still keeps it. */
export interface StoredValue {
  value: string;
  /**
   * How long the store will still keep it, ms, if known. It gives the remaining life of a token even if the
   * clocks of two machines differ.
   */
  ttlMs?: number | undefined;
}

/** The fractional part of the golden ratio. */
const GOLDEN = (Math.sqrt(5) - 1) / 2;

/** Where in its renewal period a session is renewed, 0 to 1 (P11). */
class RenewalShares {
  /** Of the session that was opened last with each token. */
  readonly #latest = new WeakMap<object, number>();

  /**
   * The share of the next session on a token. Random shares bunch: of 50 sessions, ten would be renewed within the second in which
   * four suffice. Steps of the golden ratio fill the period evenly, however many sessions there are. The first is random, because
   * other processes may have the same token.
   */
  next(token: object | undefined): number {
    if (token === undefined) return Math.random();
    const latest = this.#latest.get(token);
    const share = latest === undefined ? Math.random() : (latest + GOLDEN) % 1;
    this.#latest.set(token, share);
    return share;
  }
}

export const renewalShares = new RenewalShares();

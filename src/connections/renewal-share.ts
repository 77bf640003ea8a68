/** The fractional part of the golden ratio. */
const GOLDEN = (Math.sqrt(5) - 1) / 2;

/** Where in its renewal period a session is renewed, 0 to 1 (P11). */
class RenewalShares {
  /** The share of the session that was opened last, by token. */
  readonly #latest = new WeakMap<object, number>();

  /**
   * The share of the next session on a token. Random shares cluster: of 50 sessions, ten would be renewed within a second instead
   * of four. Steps of the golden ratio fill the period evenly, however many sessions there are. The first is random, because
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

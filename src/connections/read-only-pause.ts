/**
 * First and longest time between two replacements of connections because a database is read-only, which may be
 * permanent.
 */
const FIRST_PAUSE_MS = 60_000;
const LONGEST_PAUSE_MS = 3_600_000;

/** How often a pool replaces its connections because their database is read-only: after a failover once is enough. */
export class ReadOnlyPause {
  #pauseMs = FIRST_PAUSE_MS;
  #since = Number.NEGATIVE_INFINITY;

  /** When connections were last replaced, monotonic ms. */
  get since(): number {
    return this.#since;
  }

  /** Sessions opened since then are kept: the database is read-only, and it has not failed over. */
  get isOn(): boolean {
    return performance.now() - this.#since < this.#pauseMs;
  }

  begin(): void {
    const now = performance.now();
    const sinceMs = now - this.#since;
    this.#pauseMs = sinceMs < 2 * this.#pauseMs ? Math.min(2 * this.#pauseMs, LONGEST_PAUSE_MS) : FIRST_PAUSE_MS;
    this.#since = now;
  }
}

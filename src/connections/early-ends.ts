/** A session that ends within this time after its login, ms, without having served, counts as a failed login. */
export const PROBATION_MS = 10_000;

/**
 * Sessions that have ended right after their login, as with a login trigger that rolls back, a proxy that cuts the
 * connections that it has just accepted, or a test that no new connection passes. The object exists until a session
 * serves or lasts.
 */
export class EarlyEnds {
  /** In a row. Sessions that were open together count once. */
  count = 0;
  #latest: { error: Error; at: number } | undefined;
  /** When a session will have lasted long enough, monotonic ms. */
  #provenAt = Number.POSITIVE_INFINITY;

  get latest(): { readonly error: Error; readonly at: number } | undefined {
    return this.#latest;
  }

  /** True once a session has lasted long enough. */
  get isOver(): boolean {
    return performance.now() >= this.#provenAt;
  }

  /** False if it has already been counted. `ageMs`: age of the session that ended. */
  add(error: Error, ageMs: number): boolean {
    const now = performance.now();
    const isCounted = this.#latest !== undefined && now - ageMs < this.#latest.at;
    this.#provenAt = Number.POSITIVE_INFINITY;
    if (isCounted) return false;
    this.count += 1;
    this.#latest = { error, at: now };
    return true;
  }

  loggedIn(): void {
    this.#provenAt = Math.min(this.#provenAt, performance.now() + PROBATION_MS);
  }
}

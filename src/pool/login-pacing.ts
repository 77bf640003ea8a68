/**
 * Limits concurrent logins (`maxOpening`), first come, first served. A cold start with hundreds of callers then stays below
 * the server's own limit.
 */
export class LoginPacing {
  readonly #max: number;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  /** @param max 0 for no limit */
  constructor(max: number) {
    this.#max = max === 0 ? Number.POSITIVE_INFINITY : max;
  }

  /** Rejects with what `login` rejects with. */
  async run<T>(login: () => Promise<T>): Promise<T> {
    // The next login in the queue takes over the permit.
    if (this.#running >= this.#max) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running += 1;
    try {
      return await login();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }
}

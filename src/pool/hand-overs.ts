import type { PooledConnection } from './pooled-connection.js';

/** Several times cheaper than queueMicrotask. */
const soon = Promise.resolve();

/** Connections that have been handed over to waiting callers that have not run yet. */
export class HandOvers {
  /** The clocks, epoch ms and monotonic ms, as {@link readClocks} has left them. */
  wall = 0;
  monotonic = 0;
  readonly #inTransit: PooledConnection[] = [];
  readonly #arrive = (): void => {
    for (const pooled of this.#inTransit) pooled.inTransit = false;
    this.#inTransit.length = 0;
  };

  /**
   * Reads the clocks once for all hand-overs until the first of their callers runs: none of these callers can use its
   * connection earlier.
   */
  readClocks(): void {
    if (this.#inTransit.length > 0) return;
    this.wall = Date.now();
    this.monotonic = performance.now();
  }

  /** Until the waiting caller runs, a return can only be a second return by the previous borrower. */
  add(pooled: PooledConnection): void {
    pooled.inTransit = true;
    if (this.#inTransit.push(pooled) === 1) void soon.then(this.#arrive);
  }

  /** Monotonic ms, from when the waiting time of a caller counts. */
  get now(): number {
    return this.#inTransit.length > 0 ? this.monotonic : performance.now();
  }
}

import type { ConnectionCheck } from './connection-check.js';
import type { PooledConnection } from './pooled-connection.js';

/** Several times cheaper than queueMicrotask. */
const soon = Promise.resolve();

/** Connections that have been handed over to waiting callers that have not run yet. */
class HandOvers {
  /** The clocks at the first of these hand-overs: epoch ms and monotonic ms. */
  #wall = 0;
  #monotonic = 0;
  readonly #inTransit: PooledConnection[] = [];
  readonly #arrive = (): void => {
    for (const pooled of this.#inTransit) pooled.inTransit = false;
    this.#inTransit.length = 0;
  };

  /**
   * Whether a connection may be handed over now. The clocks are read once for all hand-overs until the first of their
   * callers runs: none of these callers can use its connection earlier.
   */
  isFit(pooled: PooledConnection, check: ConnectionCheck): boolean {
    if (this.#inTransit.length === 0) {
      this.#wall = Date.now();
      this.#monotonic = performance.now();
    }
    return check.isFit(pooled, this.#wall, this.#monotonic);
  }

  /** Until the waiting caller runs, a return can only be a second return by the previous borrower. */
  add(pooled: PooledConnection): void {
    pooled.inTransit = true;
    if (this.#inTransit.push(pooled) === 1) void soon.then(this.#arrive);
  }

  /** Monotonic ms, from when the waiting time of a caller counts. */
  get now(): number {
    return this.#inTransit.length > 0 ? this.#monotonic : performance.now();
  }
}

/** Of all pools: a single event loop runs their callers. */
export const handOvers = new HandOvers();

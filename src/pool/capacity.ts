import { PoolClosedError } from '../errors.js';

/** What bounds the physical connections of a pool. */
export interface ConnectionBound {
  tryTake(): boolean;
  take(): Promise<void>;
  give(): void;
  close(): void;
  empty(): Promise<void>;
}

/**
 * Counts physical connections, from before the socket is opened until nothing is left of it, and makes whoever wants one
 * more wait while the bound is reached (P7). generic-pool does not count resources that are being destroyed.
 */
export class Capacity implements ConnectionBound {
  readonly #bound: number;
  #taken = 0;
  #waiting: { resolve: () => void; reject: (error: Error) => void }[] = [];
  #whenEmpty: (() => void)[] = [];
  #closed = false;

  constructor(bound: number) {
    this.#bound = bound;
  }

  get taken(): number {
    return this.#taken;
  }

  /** Takes one if that is possible now and nobody waits for one. */
  tryTake(): boolean {
    if (this.#closed || this.#taken >= this.#bound || this.#waiting.length > 0) return false;
    this.#taken += 1;
    return true;
  }

  /** Takes one, in turn. @throws PoolClosedError once closed */
  take(): Promise<void> {
    if (this.tryTake()) return Promise.resolve();
    if (this.#closed) return Promise.reject(closed());
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** Gives one back; it goes to whoever waits longest. */
  give(): void {
    const next = this.#waiting.shift();
    if (next !== undefined) {
      next.resolve();
      return;
    }
    this.#taken -= 1;
    if (this.#taken === 0) for (const resolve of this.#whenEmpty.splice(0)) resolve();
  }

  /** Turns everybody away from now on. */
  close(): void {
    this.#closed = true;
    for (const { reject } of this.#waiting.splice(0)) reject(closed());
  }

  /** Resolves when nothing is taken. */
  empty(): Promise<void> {
    if (this.#taken === 0) return Promise.resolve();
    return new Promise((resolve) => this.#whenEmpty.push(resolve));
  }
}

function closed(): PoolClosedError {
  return new PoolClosedError('The pool is closed.');
}

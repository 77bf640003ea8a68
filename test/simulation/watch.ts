import type { DrivenClock } from '../support/driven-clock.js';

export type PromiseName = 'P1' | 'P2' | 'P3' | 'P4' | 'P5' | 'P6' | 'P7' | 'P8' | 'P9' | 'P11';

export interface Violation {
  promise: PromiseName;
  message: string;
  /** Virtual ms since the start. */
  at: number;
}

const KEPT = 400;

/** Remembers what happened lately and the first promise that was broken. */
export class Watch {
  readonly #clock: DrivenClock;
  readonly #events: string[] = [];
  #next = 0;
  violation: Violation | undefined;
  /** How many times each promise was checked: a promise that was never checked proves nothing. */
  readonly checks: Record<PromiseName, number> = {
    P1: 0,
    P2: 0,
    P3: 0,
    P4: 0,
    P5: 0,
    P6: 0,
    P7: 0,
    P8: 0,
    P9: 0,
    P11: 0,
  };

  constructor(clock: DrivenClock) {
    this.#clock = clock;
  }

  note(event: string): void {
    this.#events[this.#next % KEPT] = `${(this.#clock.now / 1000).toFixed(3).padStart(12)} s  ${event}`;
    this.#next += 1;
  }

  /** Checks a promise. The message is built only if it is broken. */
  check(promise: PromiseName, holds: boolean, message: () => string): void {
    this.checks[promise] += 1;
    if (!holds) this.broken(promise, message());
  }

  broken(promise: PromiseName, message: string): void {
    this.note(`*** ${promise} BROKEN: ${message}`);
    this.violation ??= { promise, message, at: this.#clock.now };
  }

  lastEvents(count: number): string[] {
    const from = Math.max(0, this.#next - Math.min(count, KEPT));
    return Array.from({ length: this.#next - from }, (_, i) => this.#events[(from + i) % KEPT] as string);
  }
}

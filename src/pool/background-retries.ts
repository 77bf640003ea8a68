import { retryPauseMs } from './housekeeping.js';

/**
 * The pauses between attempts to open connections that no caller waits for, while these attempts fail or their sessions end right
 * after the login.
 */
export class BackgroundRetries {
  /** No attempt before this instant, monotonic ms. */
  pausedUntil = 0;
  /** The same, as far as dials that have failed are concerned. */
  #afterFailedDial = 0;
  /** Dials that have failed in a row. */
  #failedDials = 0;
  /** Failures that early ends have added. */
  #added = 0;

  /** Dials that ran in parallel met the same failure: it counts once. */
  dialFailed(): void {
    const now = performance.now();
    if (now < this.pausedUntil) return;
    this.#failedDials += 1;
    this.#afterFailedDial = now + retryPauseMs(this.#failedDials);
    this.pausedUntil = now + retryPauseMs(this.#failedDials + this.#added);
  }

  /** Sessions have ended right after their login, `repeated` times after the first time. */
  endedEarly(repeated: number): void {
    this.#added = Math.max(0, repeated - this.#failedDials);
    this.pausedUntil = performance.now() + retryPauseMs(this.#failedDials + this.#added);
  }

  /** That says nothing about dials that have failed since the latest login. False if there are none. */
  sessionsLast(): boolean {
    this.#added = 0;
    this.pausedUntil = this.#afterFailedDial;
    return this.#failedDials > 0;
  }
}

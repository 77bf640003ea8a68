import { DialFailedError } from './dial.js';

/** Longest pause between two probes of a server that cannot be reached, ms. */
const MAX_PROBE_PAUSE_MS = 5_000;
/** Azure SQL's guidance for transient errors: first retry after 5 s, doubling to 60 s. */
const TRANSIENT_FIRST_MS = 5_000;
const TRANSIENT_MAX_MS = 60_000;

/**
 * Keeps a pool from storming a server that is down: after a failure one caller probes and the rest wait for what it finds.
 * If the probe fails all of them get its error; if it succeeds they all go on. While the server is well, nobody waits.
 */
export class OutageGate {
  #failures = 0;
  #nextProbeAt = 0;
  #probe: Promise<unknown> | undefined;

  /** Milliseconds until the next attempt is let through; 0 while the server is well. */
  get pauseMs(): number {
    return this.#failures === 0 ? 0 : Math.max(0, this.#nextProbeAt - performance.now());
  }

  /** Runs `attempt` when the server may be asked. @throws the reason of `signal`, where it fires during a pause */
  async run<T>(attempt: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    while (this.#failures > 0) {
      if (this.#probe === undefined) {
        const probe = this.#afterPause(attempt, signal);
        this.#probe = probe;
        return await probe;
      }
      await this.#probe;
    }
    return await this.#observe(attempt);
  }

  async #afterPause<T>(attempt: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    try {
      const pause = this.pauseMs;
      if (pause > 0) await sleep(pause, signal);
      return await this.#observe(attempt);
    } finally {
      this.#probe = undefined;
    }
  }

  async #observe<T>(attempt: () => Promise<T>): Promise<T> {
    const failuresBefore = this.#failures;
    try {
      const result = await attempt();
      this.#failures = 0;
      return result;
    } catch (error) {
      this.#note(error, failuresBefore);
      throw error;
    }
  }

  #note(error: unknown, failuresBefore: number): void {
    if (!(error instanceof DialFailedError)) return;
    const { kind } = error.failure;
    if (kind !== 'unreachable' && kind !== 'transient') {
      // Any other answer is an answer: the server is there.
      if (kind !== 'credential') this.#failures = 0;
      return;
    }
    // Dials that ran side by side have met one outage, not many.
    if (this.#failures !== failuresBefore) return;
    this.#failures += 1;
    this.#nextProbeAt = performance.now() + pauseAfter(kind, this.#failures);
  }
}

/** Unreachable: at once after the first failure, then 250 ms doubling to 5 s. Transient: 5 s doubling to 60 s. */
function pauseAfter(kind: 'unreachable' | 'transient', failures: number): number {
  if (kind === 'transient') return Math.min(TRANSIENT_MAX_MS, TRANSIENT_FIRST_MS * 2 ** (failures - 1));
  return failures === 1 ? 0 : Math.min(MAX_PROBE_PAUSE_MS, 250 * 2 ** (failures - 2));
}

/** Does not keep the process alive; whoever waits for the connection does. */
function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, ms).unref();
    if (signal?.aborted) onAbort();
    else signal?.addEventListener('abort', onAbort, { once: true });
  });
}

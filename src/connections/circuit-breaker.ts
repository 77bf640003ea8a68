import { backOffMs, sleep } from '../time.js';
import { DialFailedError } from './dial.js';

/** Azure SQL's guidance for transient errors: first retry after 5 s, doubling to 60 s. */
const TRANSIENT = { firstMs: 5_000, longestMs: 60_000 };
/** For a server that cannot be reached: the first retry is immediate, later ones follow this schedule. */
const UNREACHABLE = { firstMs: 250, longestMs: 5_000 };

/** Runs a wait during which nothing is sent to the server. */
export type PauseAround = <T>(pause: () => Promise<T>) => Promise<T>;

const merely: PauseAround = (pause) => pause();

/**
 * A circuit breaker between a pool and a server that is down: after a failure one caller probes and the others wait for
 * the outcome. If the probe fails, all of them get its error; if it succeeds, all of them proceed. While the server
 * works, no caller waits.
 */
export class CircuitBreaker {
  /** Dials that have failed in a row. */
  #failedDials = 0;
  /** When the next attempt may start, judging by these failures alone. */
  #nextDialAt = 0;
  /** Failures counted because of early ends. */
  #added = 0;
  #nextProbeAt = 0;
  #probe: Promise<unknown> | undefined;
  /** Sessions have ended right after their login: a login alone does not show that the server works. */
  #isOnProbation = false;
  #endPause: (() => void) | undefined;

  get #failures(): number {
    return this.#failedDials + this.#added;
  }

  /** The server works. */
  get isClosed(): boolean {
    return this.#failures === 0;
  }

  /** Milliseconds until the next attempt may start; 0 while the server works. */
  get pauseMs(): number {
    return this.#failures === 0 ? 0 : Math.max(0, this.#nextProbeAt - performance.now());
  }

  /** When the next attempt may start, monotonic ms; 0 while the server works. */
  get nextAttemptAt(): number {
    return this.#failures === 0 ? 0 : this.#nextProbeAt;
  }

  /** Sessions have ended right after their login, for the `count`th time in a row: like a server that cannot be reached. */
  sessionEndedEarly(count: number): void {
    this.#isOnProbation = true;
    this.#added += Math.max(0, count - this.#failures);
    this.#nextProbeAt = performance.now() + pauseAfter('unreachable', this.#failures);
  }

  /** Sessions last again. That says nothing about dials that have failed since the latest login. */
  sessionsLast(): void {
    this.#isOnProbation = false;
    this.#added = 0;
    this.#nextProbeAt = this.#nextDialAt;
    this.#endPause?.();
  }

  #untilSessionsLast(): Promise<'sessions last'> {
    return new Promise((resolve) => {
      this.#endPause = () => resolve('sessions last');
    });
  }

  /**
   * Runs `attempt` as soon as the server may be contacted. @throws the reason of `signal` if it is aborted during a
   * pause
   *
   * @param pauseAround runs each pause
   */
  async run<T>(attempt: () => Promise<T>, signal?: AbortSignal, pauseAround = merely): Promise<T> {
    while (this.#failures > 0) {
      const probe = this.#probe;
      if (probe === undefined) {
        const own = this.#afterPause(attempt, signal, pauseAround);
        this.#probe = own;
        return await own;
      }
      await pauseAround(() => outcomeOf(probe, signal));
    }
    return await this.#observe(attempt);
  }

  async #afterPause<T>(
    attempt: () => Promise<T>,
    signal: AbortSignal | undefined,
    pauseAround: PauseAround,
  ): Promise<T> {
    try {
      let pause = this.pauseMs;
      while (pause > 0) {
        const ms = pause;
        // The caller that waits for the connection keeps the process alive, not the pause.
        const isOver = () => Promise.race([sleep(ms, { signal, ref: false }), this.#untilSessionsLast()]);
        // What is left then is due to dials that have failed.
        pause = (await pauseAround(isOver)) === 'sessions last' ? this.pauseMs : 0;
      }
      return await this.#observe(attempt);
    } finally {
      this.#probe = undefined;
    }
  }

  async #observe<T>(attempt: () => Promise<T>): Promise<T> {
    const failedBefore = this.#failedDials;
    try {
      const result = await attempt();
      this.#answered();
      if (this.#isOnProbation) this.#nextProbeAt = performance.now() + pauseAfter('unreachable', this.#failures);
      return result;
    } catch (error) {
      this.#note(error, failedBefore);
      throw error;
    }
  }

  /** The server is up. While sessions end early, that alone shortens no pause. */
  #answered(): void {
    if (this.#isOnProbation) this.#added = this.#failures;
    this.#failedDials = 0;
  }

  #note(error: unknown, failedBefore: number): void {
    if (!(error instanceof DialFailedError)) return;
    const { kind } = error.failure;
    if (kind !== 'unreachable' && kind !== 'transient') {
      if (kind !== 'credential') this.#answered();
      return;
    }
    // If dials that ran in parallel failed because of the same outage, it counts once.
    if (this.#failedDials !== failedBefore) return;
    this.#failedDials += 1;
    const now = performance.now();
    this.#nextDialAt = now + pauseAfter(kind, this.#failedDials);
    this.#nextProbeAt = now + pauseAfter(kind, this.#failures);
  }
}

function pauseAfter(kind: 'unreachable' | 'transient', failures: number): number {
  if (kind === 'transient') return backOffMs(failures, TRANSIENT);
  return failures === 1 ? 0 : backOffMs(failures - 1, UNREACHABLE);
}

/** Rejects with the failure of the probe. A probe that was aborted by its own caller says nothing about the server. */
async function outcomeOf(probe: Promise<unknown>, signal?: AbortSignal): Promise<void> {
  const outcome = probe.then(
    () => undefined,
    (error: unknown) => {
      if (error instanceof DialFailedError) throw error;
    },
  );
  if (signal === undefined) return outcome;
  await new Promise<void>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
    outcome.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

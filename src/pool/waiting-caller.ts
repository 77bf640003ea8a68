import { AbortedError, PoolClosedError } from '../errors.js';

/** What ends a caller's wait, apart from being served. */
export interface WaitTerms {
  timeoutMs: number;
  /** The caller's own. */
  signal: AbortSignal | undefined;
  /** Fires when the pool closes. */
  closing: AbortSignal;
  timedOut: () => Error;
}

/** One caller of `acquire`, from the call until he is served or leaves. */
export class WaitingCaller {
  readonly signal: AbortSignal | undefined;
  readonly startedAt = performance.now();
  /** Nobody waits for the answer any more. */
  hasLeft = false;
  /** Empty places that he was offered and did not take. */
  passedOver = 0;
  #leaving: (() => void)[] = [];

  constructor(signal: AbortSignal | undefined) {
    this.signal = signal;
  }

  /** Resolves when `work` has ended, well or not, or the caller has left. */
  async outlast(work: Promise<unknown>): Promise<void> {
    if (this.hasLeft) return;
    const left = new Promise<void>((resolve) => this.#leaving.push(resolve));
    await Promise.race([work.catch(() => {}), left]);
  }

  /**
   * Waits for `result` on these terms; one that comes too late goes to `late`.
   *
   * @throws what `result` failed with; what `timedOut` makes; AbortedError; PoolClosedError
   */
  wait<T>(
    result: Promise<T>,
    { timeoutMs, signal, closing, timedOut }: WaitTerms,
    late: (value: T) => unknown,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        closing.removeEventListener('abort', onClosing);
      };
      const leave = (error: Error): void => {
        stop();
        this.hasLeft = true;
        for (const tell of this.#leaving) tell();
        reject(error);
      };
      const onAbort = (): void => leave(aborted(signal as AbortSignal));
      const onClosing = (): void => leave(poolClosed());
      const left = timeoutMs - (performance.now() - this.startedAt);
      const timer = setTimeout(() => leave(timedOut()), Math.max(0, left));
      signal?.addEventListener('abort', onAbort, { once: true });
      closing.addEventListener('abort', onClosing, { once: true });
      result.then(
        (value) => {
          if (this.hasLeft) {
            late(value);
            return;
          }
          stop();
          resolve(value);
        },
        (error: Error) => {
          if (!this.hasLeft) leave(error);
        },
      );
    });
  }
}

export function poolClosed(): PoolClosedError {
  return new PoolClosedError('The pool is closed.');
}

export function aborted(signal: AbortSignal): AbortedError {
  return new AbortedError('The wait for a connection was aborted.', { cause: signal.reason });
}

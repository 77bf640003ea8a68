import { AbortedError, PoolClosedError } from '../errors.js';

/** One caller of `acquire`, from the call until he is served or leaves. */
export class WaitingCaller {
  readonly signal: AbortSignal | undefined;
  /** Monotonic ms. */
  readonly startedAt: number;
  /** Nobody waits for the answer any more. */
  hasLeft = false;
  #timer: NodeJS.Timeout | undefined;
  #reject: ((error: Error) => void) | undefined;
  #over: ((caller: WaitingCaller) => unknown) | undefined;
  #onAbort: (() => void) | undefined;
  #leaving: (() => void)[] | undefined;

  constructor(signal: AbortSignal | undefined, startedAt = performance.now()) {
    this.signal = signal;
    this.startedAt = startedAt;
  }

  /** Lets him leave when he has waited so long, ms. */
  leaveAfter(longestMs: number, reason: () => Error): void {
    if (this.hasLeft || this.#timer !== undefined) return;
    const left = longestMs - (performance.now() - this.startedAt);
    this.#timer = setTimeout(() => this.leave(reason()), Math.max(0, left));
  }

  /** Ends his wait. */
  leave(error: Error): void {
    if (this.hasLeft) return;
    this.hasLeft = true;
    if (this.#reject !== undefined) this.#stop();
    this.#reject?.(error);
    for (const tell of this.#leaving ?? []) tell();
  }

  /** Resolves when `work` has ended, well or not, or the caller has left. */
  async outlast(work: Promise<unknown>): Promise<void> {
    const over = work.catch(() => {});
    if (this.hasLeft) return;
    const left = new Promise<void>((resolve) => {
      this.#leaving ??= [];
      this.#leaving.push(resolve);
    });
    await Promise.race([over, left]);
  }

  /**
   * Waits for `result` until he leaves; one that comes too late goes to `late`. `over` is called when the wait is.
   *
   * @throws what `result` failed with, or what he left with: AcquireTimeoutError, AbortedError, PoolClosedError
   */
  wait<T>(result: Promise<T>, late: (value: T) => unknown, over: (caller: this) => unknown): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#reject = reject;
      this.#over = over as (caller: WaitingCaller) => unknown;
      this.#heedSignal();
      result.then(
        (value) => {
          if (this.hasLeft) {
            late(value);
            return;
          }
          this.#stop();
          resolve(value);
        },
        (error: Error) => this.leave(error),
      );
      // It may have fired between the call and here.
      if (this.signal?.aborted) this.leave(aborted(this.signal));
    });
  }

  #heedSignal(): void {
    const { signal } = this;
    if (signal === undefined) return;
    this.#onAbort = () => this.leave(aborted(signal));
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  #stop(): void {
    clearTimeout(this.#timer);
    if (this.#onAbort !== undefined) this.signal?.removeEventListener('abort', this.#onAbort);
    this.#over?.(this);
  }
}

export function poolClosed(): PoolClosedError {
  return new PoolClosedError('The pool is closed.');
}

export function aborted(signal: AbortSignal): AbortedError {
  return new AbortedError('The wait for a connection was aborted.', { cause: signal.reason });
}

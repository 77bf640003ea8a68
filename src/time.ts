/**
 * Everything about waiting: back-off, a sleep that can be aborted, and the limits of timers. Every duration is in
 * milliseconds.
 */

/** Node keeps timers in 32 bits and fires a longer one after 1 ms (node:timers, `setTimeout`). */
export const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** A duration that a timer can hold; `Infinity` becomes 24.8 days, everything below 0 and `NaN` becomes 0. */
export function timerMs(ms: number): number {
  return ms > 0 ? Math.min(ms, LONGEST_TIMER_MS) : 0;
}

/** An untrusted duration, or undefined if it is not one: text, `NaN`, `Infinity`, negative. */
export function durationMs(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : undefined;
}

/** The end of the year 9999, which stands for "never": as milliseconds, it would be in 1978. */
const LATEST_EPOCH_S = 253_402_300_799;

/** An instant in epoch seconds, as issuers give it, in epoch ms. A number that can only be ms already stays as it is. */
export function epochMs(seconds: number): number {
  return seconds <= LATEST_EPOCH_S ? seconds * 1000 : seconds;
}

/** Exponential back-off: `firstMs`, doubled with each failure in a row, at most `longestMs`. */
export interface BackOff {
  firstMs: number;
  longestMs: number;
  /** Share by which a wait is lengthened at random, so that a fleet does not retry in lockstep. Default 0. */
  jitter?: number | undefined;
}

/**
 * The wait after the `failures`-th failure in a row. Jitter only lengthens it, so that a requested minimum
 * (`atLeastMs`) is never shortened.
 *
 * @example
 * const waitMs = backOffMs(failures, { firstMs: 5_000, longestMs: 60_000, jitter: 0.1 });
 */
export function backOffMs(failures: number, { firstMs, longestMs, jitter = 0 }: BackOff, atLeastMs = 0): number {
  const doubled = Math.min(longestMs, firstMs * 2 ** (failures - 1));
  return Math.max(doubled, atLeastMs) * (1 + Math.random() * jitter);
}

/** The part of an AbortSignal that is used; signals of `abort-controller` and `node-abort-controller` have no more. */
type Abortable = Pick<AbortSignal, 'addEventListener' | 'removeEventListener'>;

/** The listeners to call when a signal is aborted. */
class AbortListeners {
  readonly all = new Set<() => void>();
  readonly fire = (): void => {
    for (const listener of this.all) listener();
  };
}

const listenersOf = new WeakMap<Abortable, AbortListeners>();

/**
 * Calls `listener` when a signal is aborted, unless the returned function is called before. All listeners share one on the signal
 * itself, because Node.js warns of a leak at the eleventh, and the signal of an application's shutdown may have thousands.
 *
 * @example
 * const stopListening = onAbort(signal, () => reject(signal.reason));
 */
export function onAbort(signal: Abortable, listener: () => void): () => void {
  const listeners = listenersOf.get(signal) ?? new AbortListeners();
  const { all, fire } = listeners;
  if (all.size === 0) {
    listenersOf.set(signal, listeners);
    signal.addEventListener('abort', fire, { once: true });
  }
  all.add(listener);
  return () => {
    if (all.delete(listener) && all.size === 0) signal.removeEventListener('abort', fire);
  };
}

export interface SleepOptions {
  /** Ends the sleep early: it rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** Keeps the process alive until the sleep ends. Default true. */
  ref?: boolean | undefined;
}

/**
 * Resolves after `ms`. A longer sleep than a timer can hold ends at the limit (24.8 days).
 *
 * @throws the reason of `signal`
 */
export function sleep(ms: number, { signal, ref = true }: SleepOptions = {}): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const timer = setTimeout(() => {
      stopListening?.();
      resolve();
    }, timerMs(ms));
    if (!ref) timer.unref();
    const stopListening =
      signal &&
      onAbort(signal, () => {
        clearTimeout(timer);
        reject(signal.reason);
      });
  });
}

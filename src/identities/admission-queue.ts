import { onAbort } from '../time.js';

interface Waiting {
  key: string;
  wake: () => void;
}

/**
 * Callers that wait until a pool may be opened for their identity, in order. A caller that is woken checks again; until
 * it has done so, it takes precedence over callers that arrive.
 */
export class AdmissionQueue {
  #waiting: Waiting[] = [];
  /** Woken, but has not checked again yet. */
  #woken = 0;

  /** Number of waiting callers. */
  get length(): number {
    return this.#waiting.length;
  }

  /** Whether a caller that arrives now would be first. */
  get isEmpty(): boolean {
    return this.#waiting.length + this.#woken === 0;
  }

  /**
   * Waits to be woken, for at most `ms` or until the signal fires. The caller checks which of these happened, then
   * calls {@link arrived}.
   *
   * @param again the caller was woken before but the limit was still reached: it keeps its turn
   */
  wait(key: string, ms: number, signal: AbortSignal | undefined, again: boolean): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        stopListening?.();
        this.#waiting = this.#waiting.filter((waiting) => waiting.wake !== wake);
        this.#woken += 1;
        resolve();
      };
      const timer = setTimeout(wake, ms);
      const stopListening = signal && onAbort(signal, wake);
      if (again) this.#waiting.unshift({ key, wake });
      else this.#waiting.push({ key, wake });
    });
  }

  /** A woken caller has checked again. */
  arrived(): void {
    this.#woken -= 1;
  }

  /** Wakes the first caller, unless a woken one has yet to check. */
  wakeNext(): void {
    if (this.#woken === 0) this.wakeAnother();
  }

  /** Wakes the first caller that still waits. */
  wakeAnother(): void {
    this.#waiting[0]?.wake();
  }

  /** Wakes the callers of one identity, or all. */
  wakeAll(key?: string): void {
    for (const waiting of [...this.#waiting]) if (key === undefined || waiting.key === key) waiting.wake();
  }
}

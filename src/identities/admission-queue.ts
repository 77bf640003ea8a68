interface Waiting {
  key: string;
  wake: () => void;
}

/**
 * The callers that wait until there may be a pool for their identity, in order. A caller that is woken looks again for
 * itself; until it has done so it still goes before callers that arrive.
 */
export class AdmissionQueue {
  #waiting: Waiting[] = [];
  /** Woken, and not back yet. */
  #woken = 0;

  /** How many callers wait. */
  get length(): number {
    return this.#waiting.length;
  }

  /** Whether a caller that arrives now has none before it. */
  get isEmpty(): boolean {
    return this.#waiting.length + this.#woken === 0;
  }

  /**
   * Waits to be woken, for at most `ms` or until the signal fires; the caller finds out itself which of these it was, and
   * says that it is back with {@link arrived}.
   *
   * @param again the caller was woken before, in vain: it keeps its turn
   */
  wait(key: string, ms: number, signal: AbortSignal | undefined, again: boolean): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', wake);
        this.#waiting = this.#waiting.filter((waiting) => waiting.wake !== wake);
        this.#woken += 1;
        resolve();
      };
      const timer = setTimeout(wake, ms);
      signal?.addEventListener('abort', wake, { once: true });
      if (again) this.#waiting.unshift({ key, wake });
      else this.#waiting.push({ key, wake });
    });
  }

  /** A woken caller is back. */
  arrived(): void {
    this.#woken -= 1;
  }

  /** Wakes the first caller, unless one is on its way already. */
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

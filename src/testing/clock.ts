/** A clock for both emulators, so that a test can make tokens expire without waiting. */
export interface TestClock {
  /** The time, epoch ms; pass it as `now` to both emulators. */
  readonly now: () => number;
  /** Advances the clock by this time, ms. */
  advance(ms: number): void;
  /** Sets the clock, epoch ms or a date. */
  set(time: number | Date): void;
  /** Returns to the machine's time. */
  reset(): void;
}

/**
 * Creates a clock that follows the machine's and can be moved. It only affects the emulators, not the timers of your
 * application.
 *
 * @throws RangeError for a time that is not a finite number.
 * @example
 * const clock = createTestClock();
 * await using entra = await startEntraEmulator({ now: clock.now });
 * await using server = await startSqlEmulator({ entra, now: clock.now, enforceExpiry: 'query' });
 * clock.advance(3_600_000); // every token of the last hour has expired
 */
export function createTestClock(): TestClock {
  let offset = 0;
  const now = (): number => Date.now() + offset;
  const finite = (ms: number): number => {
    if (!Number.isFinite(ms)) throw new RangeError(`a clock cannot be moved by ${ms}; give a finite number of ms`);
    return ms;
  };
  const epoch = (time: number | Date): number => {
    const ms = time instanceof Date ? time.getTime() : time;
    if (!Number.isFinite(ms)) throw new RangeError('a clock is set to a time in epoch ms, or to a valid Date');
    return ms;
  };
  return {
    now,
    advance: (ms) => {
      offset += finite(ms);
    },
    set: (time) => {
      offset = epoch(time) - Date.now();
    },
    reset: () => {
      offset = 0;
    },
  };
}

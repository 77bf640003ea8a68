/** A wall clock that a test can set, like NTP or the end of a suspension; monotonic time and timers go on as they are. */
export interface MovableClock extends Disposable {
  /** Moves the clock, ms; negative is back. */
  move(ms: number): void;
}

/** Takes the place of `Date` until it is disposed of. Make it before the emulators, some of which keep the clock they find. */
export function movableClock(): MovableClock {
  const RealDate = globalThis.Date;
  let offset = 0;
  class MovedDate extends RealDate {
    constructor(...when: []) {
      super(...(when.length > 0 ? when : ([MovedDate.now()] as unknown as [])));
    }
    static override now(): number {
      return RealDate.now() + offset;
    }
  }
  globalThis.Date = MovedDate as DateConstructor;
  return {
    move: (ms) => {
      offset += ms;
    },
    [Symbol.dispose]() {
      globalThis.Date = RealDate;
    },
  };
}

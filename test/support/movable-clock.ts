/** A wall clock that a test can set, like NTP or the end of a suspension; monotonic time and timers go on as they are. */
export interface MovableClock extends Disposable {
  /** Moves the clock, ms; negative is back. */
  move(ms: number): void;
}

/** Takes the place of `Date.now` until it is disposed of. Make it before the emulators, which keep the clock they find. */
export function movableClock(): MovableClock {
  const real = Date.now;
  let offset = 0;
  Date.now = () => real() + offset;
  return {
    move: (ms) => {
      offset += ms;
    },
    [Symbol.dispose]() {
      Date.now = real;
    },
  };
}

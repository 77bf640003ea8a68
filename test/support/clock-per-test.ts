import { afterEach, beforeEach } from 'vitest';
import { DrivenClock, type WhatToDrive } from './driven-clock.js';

/** A driven clock that each test of a file starts anew, and that is uninstalled after it. */
export interface ClockPerTest
  extends Pick<DrivenClock, 'pass' | 'passUntilIdle' | 'settle' | 'jump' | 'freeze' | 'now' | 'wall' | 'pending'> {}

/** Call it before the file's own `beforeEach`, which then runs on this clock. It starts at `epoch`, or at the real time. */
export function clockPerTest(epoch: number | 'now' = Date.UTC(2026, 0, 1), what: WhatToDrive = {}): ClockPerTest {
  let clock: DrivenClock;
  beforeEach(() => {
    clock = new DrivenClock(epoch === 'now' ? Date.now() : epoch).install(what);
  });
  afterEach(() => clock.uninstall());
  return {
    pass: (ms) => clock.pass(ms),
    passUntilIdle: () => clock.passUntilIdle(),
    settle: () => clock.settle(),
    jump: (ms) => clock.jump(ms),
    freeze: (ms) => clock.freeze(ms),
    get now() {
      return clock.now;
    },
    get wall() {
      return clock.wall;
    },
    get pending() {
      return clock.pending;
    },
  };
}

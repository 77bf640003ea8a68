import { expect, test } from 'vitest';
import { ReadOnlyPause } from '../../src/connections/read-only-pause.js';
import { clockPerTest } from '../support/clock-per-test.js';

const clock = clockPerTest();

const MINUTE = 60_000;

/** How long connections are kept from now on. */
async function pauseOf(pause: ReadOnlyPause): Promise<number> {
  const start = performance.now();
  while (pause.isOn) await clock.pass(MINUTE / 2);
  return performance.now() - start;
}

test('connections are replaced at once, and then less and less often: after 1 min, 2 min, ... an hour', async () => {
  const pause = new ReadOnlyPause();
  const minutes: number[] = [];
  for (let i = 0; i < 8; i += 1) {
    expect(pause.isOn).toBe(false);
    pause.begin();
    expect([pause.isOn, pause.since]).toEqual([true, performance.now()]);
    minutes.push((await pauseOf(pause)) / MINUTE);
  }
  expect(minutes).toEqual([1, 2, 4, 8, 16, 32, 60, 60]);
});

test.each([
  [2 * MINUTE - 1, 2],
  [2 * MINUTE, 1],
])('after a minute, and %i ms since the last replacement, connections are kept for %i min', async (ms, minutes) => {
  const pause = new ReadOnlyPause();
  pause.begin();
  await clock.pass(ms);
  pause.begin();
  expect(await pauseOf(pause)).toBe(minutes * MINUTE);
});

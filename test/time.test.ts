import { getEventListeners } from 'node:events';
import { afterEach, expect, test, vi } from 'vitest';
import { backOffMs, durationMs, LONGEST_TIMER_MS, sleep, timerMs } from '../src/time.js';
import { clockPerTest } from './support/clock-per-test.js';

const clock = clockPerTest();

afterEach(() => {
  vi.restoreAllMocks();
});

test.each([
  [0, 0],
  [1.5, 1.5],
  [LONGEST_TIMER_MS, LONGEST_TIMER_MS],
  [LONGEST_TIMER_MS + 1, LONGEST_TIMER_MS],
  [Number.POSITIVE_INFINITY, LONGEST_TIMER_MS],
  [Number.NaN, 0],
  [-1, 0],
  [Number.NEGATIVE_INFINITY, 0],
])('a timer of %d ms runs for %d ms', (ms, expected) => {
  expect(timerMs(ms)).toBe(expected);
});

test('accepts a finite duration of 0 ms and more', () => {
  expect([0, 0.5, 1e9].map(durationMs)).toEqual([0, 0.5, 1e9]);
});

test.each([
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  -1,
  '5000',
  5000n,
  null,
  undefined,
  {},
  [5],
])('refuses %s as a duration', (value) => {
  expect(durationMs(value)).toBeUndefined();
});

test('doubles the wait with each failure in a row, up to the longest', () => {
  const waits = [1, 2, 3, 4, 5, 6, 2_000].map((failures) => backOffMs(failures, { firstMs: 5_000, longestMs: 60_000 }));
  expect(waits).toEqual([5_000, 10_000, 20_000, 40_000, 60_000, 60_000, 60_000]);
});

test('waits at least as long as the other side asked for', () => {
  expect(backOffMs(1, { firstMs: 5_000, longestMs: 60_000 }, 90_000)).toBe(90_000);
  expect(backOffMs(3, { firstMs: 5_000, longestMs: 60_000 }, 1_000)).toBe(20_000);
});

test('jitter lengthens a wait and never shortens it', () => {
  const random = vi.spyOn(Math, 'random');
  const backOff = { firstMs: 1_000, longestMs: 60_000, jitter: 0.1 };
  random.mockReturnValue(0);
  expect(backOffMs(1, backOff, 2_000)).toBe(2_000);
  random.mockReturnValue(0.5);
  expect(backOffMs(1, backOff, 2_000)).toBeCloseTo(2_100);
});

test('sleeps for the given time', async () => {
  let awake = false;
  void sleep(1_000).then(() => {
    awake = true;
  });
  await clock.pass(999);
  expect(awake).toBe(false);
  await clock.pass(1);
  expect(awake).toBe(true);
});

test('rejects with the reason of the signal and leaves neither timer nor listener', async () => {
  const { signal, abort } = controller();
  const outcome = sleep(1_000, { signal }).catch((reason) => reason);
  abort('enough');
  expect(await outcome).toBe('enough');
  expect(clock.pending.size).toBe(0);
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});

test('rejects at once if the signal is already aborted', async () => {
  await expect(sleep(1_000, { signal: AbortSignal.abort('before') })).rejects.toBe('before');
  expect(clock.pending.size).toBe(0);
});

test('leaves no listener on the signal after a whole sleep', async () => {
  const { signal } = controller();
  const slept = sleep(10, { signal });
  await clock.pass(10);
  await slept;
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});

test('keeps the process alive, unless asked not to', () => {
  const timers: NodeJS.Timeout[] = [];
  const setTimer = globalThis.setTimeout;
  vi.spyOn(globalThis, 'setTimeout').mockImplementation(((run: () => void, ms: number) => {
    const timer = setTimer(run, ms);
    timers.push(timer);
    return timer;
  }) as typeof setTimeout);
  void sleep(5);
  void sleep(5, { ref: false });
  expect(timers.map((timer) => timer.hasRef())).toEqual([true, false]);
});

function controller() {
  const controller = new AbortController();
  return { signal: controller.signal, abort: (reason: unknown) => controller.abort(reason) };
}

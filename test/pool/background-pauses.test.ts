import { expect, test } from 'vitest';
import { BackgroundRetries } from '../../src/pool/background-retries.js';
import { clockPerTest } from '../support/clock-per-test.js';

const clock = clockPerTest();

test('the pauses become longer while dials fail, and one outage counts once', async () => {
  const retries = new BackgroundRetries();
  const pauses: number[] = [];
  for (let i = 0; i < 4; i += 1) {
    retries.dialFailed();
    const { pausedUntil } = retries;
    pauses.push(pausedUntil - performance.now());
    // It ran in parallel.
    retries.dialFailed();
    expect(retries.pausedUntil).toBe(pausedUntil);
    await clock.pass(pausedUntil - performance.now());
  }
  expect(pauses).toEqual([...pauses].sort((a, b) => a - b));
  expect(new Set(pauses).size).toBeGreaterThan(2);
  expect(retries.sessionsLast()).toBe(true);
});

test('sessions that end early lengthen the pauses until sessions last', async () => {
  const pauseAfter = (fail: (retries: BackgroundRetries) => void): number => {
    const retries = new BackgroundRetries();
    fail(retries);
    return retries.pausedUntil - performance.now();
  };
  const failing = async (dials: number): Promise<BackgroundRetries> => {
    const retries = new BackgroundRetries();
    for (let i = 0; i < dials; i += 1) {
      await clock.pass(Math.max(0, retries.pausedUntil - performance.now()));
      retries.dialFailed();
    }
    return retries;
  };
  const third = await failing(3);
  const afterThird = third.pausedUntil - performance.now();
  expect(pauseAfter((retries) => retries.endedEarly(3))).toBe(afterThird);

  // The pause for early ends is over; the one for failed dials is not.
  const mixed = await failing(1);
  const afterFirst = mixed.pausedUntil;
  mixed.endedEarly(3);
  expect(mixed.pausedUntil).toBeGreaterThan(afterFirst);
  expect(mixed.pausedUntil - performance.now()).toBe(afterThird);
  await clock.pass(mixed.pausedUntil - performance.now());
  mixed.dialFailed();
  expect(mixed.pausedUntil - performance.now()).toBeGreaterThan(afterThird);
  expect(mixed.sessionsLast()).toBe(true);
  expect(mixed.pausedUntil - performance.now()).toBe(pauseAfter((retries) => retries.endedEarly(2)));

  const healthy = new BackgroundRetries();
  healthy.endedEarly(4);
  expect(healthy.sessionsLast()).toBe(false);
  expect(healthy.pausedUntil).toBe(0);
});

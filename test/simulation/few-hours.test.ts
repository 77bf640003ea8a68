import { expect, test } from 'vitest';
import { describeViolation, simulate } from './run.js';

const HOURS = 6;

// The short form of simulation.test.ts, which runs for longer and breaks each promise on purpose.
test.each([1, 2, 3, 4, 5])('all promises are kept for a few hours of faults: seed %i', async (seed) => {
  const result = await simulate({ seed, hours: HOURS });
  expect(result.violation, describeViolation(result, HOURS)).toBeUndefined();
});

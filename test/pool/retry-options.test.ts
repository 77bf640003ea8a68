import { expect, test } from 'vitest';
import { transaction, withRetry } from '../../src/index.js';

test.each([
  ['withRetry', { retries: 0 }, /withRetry\(\) has no option 'retries'; it has maxTries/],
  ['withRetry', null, /must be an object/],
  ['transaction', { maxTries: 1 }, /transaction\(\) has no option 'maxTries'; it has isolationLevel, retries/],
])('%s(pool, fn, %j) is refused before anything runs', async (name, options, message) => {
  let runs = 0;
  const fn = async (): Promise<void> => {
    runs += 1;
  };
  const run = (name === 'withRetry' ? withRetry : transaction) as (...args: unknown[]) => Promise<unknown>;
  await expect(run({}, fn, options)).rejects.toThrow(message);
  expect(runs).toBe(0);
});

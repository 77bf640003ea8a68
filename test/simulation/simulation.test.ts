import { expect, test } from 'vitest';
import { BREAKS } from './breaks.js';
import { describeViolation, simulate } from './run.js';

const HOURS = 12;
const SEEDS = 25;
/** Not every promise is put to the test in a few seeds: for P11 many connections have to be renewed in calm weather. */
const MOST_SEEDS = 200;

test('all promises are kept in hundreds of simulated hours of faults', async () => {
  const checks: Record<string, number> = {};
  const unchecked = (): boolean => Object.values(checks).some((count) => count === 0);
  for (let seed = 1; seed <= SEEDS || (unchecked() && seed <= MOST_SEEDS); seed += 1) {
    const result = await simulate({ seed, hours: HOURS });
    expect(result.violation, describeViolation(result, HOURS)).toBeUndefined();
    for (const [promise, count] of Object.entries(result.checks)) checks[promise] = (checks[promise] ?? 0) + count;
  }
  for (const [promise, count] of Object.entries(checks)) expect(count, promise).toBeGreaterThan(0);
});

test('a seed replays its run, event by event', async () => {
  const [one, other] = [await simulate({ seed: 9, hours: 3 }), await simulate({ seed: 9, hours: 3 })];
  expect(one.checkouts).toBeGreaterThan(50);
  // Connections are numbered in the process, not in the run.
  const numberless = (events: string[]): string[] => events.map((event) => event.replace(/\bc\d+/g, 'c'));
  expect(numberless(other.lastEvents)).toEqual(numberless(one.lastEvents));
  expect(other.checks).toEqual(one.checks);
});

test.each(BREAKS)('the simulation sees it when $what ($promise)', async (sabotage) => {
  const found: string[] = [];
  for (let seed = 1; seed <= 60; seed += 1) {
    const { violation } = await simulate({ seed, hours: HOURS, sabotage });
    if (violation?.promise === sabotage.promise) return;
    if (violation !== undefined) found.push(`seed ${seed}: ${violation.promise} ${violation.message}`);
  }
  throw new Error(`${sabotage.promise} was never found broken. Found: ${found.join('; ') || 'nothing'}`);
});

import { expect, test } from 'vitest';
import { named } from '../support/named.js';
import { BREAKS } from './breaks.js';
import { describeViolation, simulate } from './run.js';

const HOURS = 12;
const SEEDS = 15;
/** Many seeds of a few hours find a break sooner than few of many hours. */
const HOURS_TO_BREAK = 4;

test('all promises are kept in hundreds of simulated hours of faults', async () => {
  const checks: Record<string, number> = {};
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const result = await simulate({ seed, hours: HOURS });
    expect(result.violation, describeViolation(result, HOURS)).toBeUndefined();
    for (const [promise, count] of Object.entries(result.checks)) checks[promise] = (checks[promise] ?? 0) + count;
  }
  // P11 needs many renewals in calm weather: see below.
  for (const [promise, count] of Object.entries(checks))
    if (promise !== 'P11') expect(count, promise).toBeGreaterThan(0);
});

test.each([1, 2, 3, 4, 5, 6])(
  'renewals are spread in pools of many connections in calm weather: seed %i',
  async (seed) => {
    const result = await simulate({ seed, hours: 6, calm: true });
    expect(result.violation, describeViolation(result, 6)).toBeUndefined();
    expect(result.checks.P11).toBeGreaterThan(10);
  },
);

test('a seed replays its run, event by event', async () => {
  const [one, other] = [await simulate({ seed: 9, hours: 3 }), await simulate({ seed: 9, hours: 3 })];
  expect(one.checkouts).toBeGreaterThan(50);
  // Connections are numbered in the process, not in the run.
  const numberless = (events: string[]): string[] => events.map((event) => event.replace(/\bc\d+/g, 'c'));
  expect(numberless(other.lastEvents)).toEqual(numberless(one.lastEvents));
  expect(other.checks).toEqual(one.checks);
});

test.each(named(BREAKS, 'what'))('the simulation sees it when %s', async (_, sabotage) => {
  const found: string[] = [];
  for (let seed = 1; seed <= 60; seed += 1) {
    const { violation } = await simulate({ seed, hours: HOURS_TO_BREAK, sabotage, calm: sabotage.calm });
    if (violation?.promise === sabotage.promise) return;
    if (violation !== undefined) found.push(`seed ${seed}: ${violation.promise} ${violation.message}`);
  }
  throw new Error(`${sabotage.promise} was never found broken. Found: ${found.join('; ') || 'nothing'}`);
});

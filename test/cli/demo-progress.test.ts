import { expect, test } from 'vitest';
import { progressLine } from '../../src/cli/demo-progress.js';

const pools = [
  { name: 'stock mssql', queries: 40_100, failed: 13_200 },
  { name: 'mssql-token-pool', queries: 52_300, failed: 0 },
];

test('the line that the demo repaints fits a terminal of 80 columns', () => {
  const line = progressLine(24.4, pools, 80);
  expect(line).toBe(' 24 s   stock mssql: 40100, 13200 failed   mssql-token-pool: 52300, 0 failed');
  expect(line.length).toBeLessThan(80);
});

test('it is truncated if the terminal is narrower', () => {
  expect(progressLine(24.4, pools, 40)).toHaveLength(39);
});

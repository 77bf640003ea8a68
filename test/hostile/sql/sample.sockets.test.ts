import { afterAll, beforeAll, expect, test } from 'vitest';
import { ProcessWatch } from '../process-watch.js';
import { CLIENTS } from './clients.js';
import { type CellResult, linesOf, runCells, sampleOfCells } from './table.js';

/**
 * A sample of the table, the same in every run: each library meets one fault at each phase. `npm run soak` runs every cell of our own
 * pools, `npm run fuzz` takes other samples of all, and `npm run fuzz -- --table` runs every cell.
 */
const SEED = 1;
const ALL = Object.keys(CLIENTS);

const watch = new ProcessWatch();
afterAll(() => watch[Symbol.dispose]());
let results: CellResult[] = [];
beforeAll(async () => {
  results = await runCells(sampleOfCells(ALL, SEED), watch);
}, 300_000);

test.each(ALL)('%s keeps its promises with a server that misbehaves', (client) => {
  const cells = results.filter((cell) => cell.client === client);
  expect(cells.length).toBeGreaterThan(0);
  expect(linesOf(cells)).toEqual([]);
});

test('nothing is thrown at the process between the cells', () => {
  expect(watch.strays).toEqual([]);
});

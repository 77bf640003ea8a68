import { afterAll, beforeAll, expect, test } from 'vitest';
import { ProcessWatch } from '../process-watch.js';
import { CLIENTS } from './clients.js';
import { type CellResult, linesOf, runCells, sampleOfCells } from './table.js';

/**
 * The libraries that bring a pool of their own, or use ours through an adapter: a sample of the table, the same in every run.
 * `npm run fuzz` takes other samples; `npm run fuzz -- --table` runs every cell.
 */
const SEED = 1;
const FOREIGN = Object.keys(CLIENTS).filter((name) => !/^(createTokenPool|ConnectionPool)/.test(name));

const watch = new ProcessWatch();
afterAll(() => watch[Symbol.dispose]());
let results: CellResult[] = [];
beforeAll(async () => {
  results = await runCells(sampleOfCells(FOREIGN, SEED), watch);
}, 300_000);

test.each(FOREIGN)('%s keeps its promises with a server that misbehaves', (client) => {
  const cells = results.filter((cell) => cell.client === client);
  expect(cells.length).toBeGreaterThan(0);
  expect(linesOf(cells)).toEqual([]);
});

test('nothing is thrown at the process between the cells', () => {
  expect(watch.strays).toEqual([]);
});

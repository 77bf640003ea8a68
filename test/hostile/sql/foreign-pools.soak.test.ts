import { afterAll, beforeAll, expect, test } from 'vitest';
import { ProcessWatch } from '../process-watch.js';
import { PHASES } from './server.js';
import { type CellResult, linesOf, runCells, sharedCells } from './table.js';

/** Libraries that bring a pool of their own, or use ours through an adapter. `npm run fuzz -- --table --client X` runs all cells of one. */
const CLIENTS = ['withTokenRefresh on stock mssql', 'Sequelize 6', 'knex', 'Prisma adapter'];

const watch = new ProcessWatch();
afterAll(() => watch[Symbol.dispose]());
let results: CellResult[] = [];
beforeAll(async () => {
  results = await runCells(sharedCells(CLIENTS, 1), watch);
}, 300_000);

test.each(PHASES)('each of the libraries keeps its promises with a server that misbehaves at: %s', (phase) => {
  const cells = results.filter((cell) => cell.phase === phase);
  expect(new Set(cells.map(({ client }) => client))).toEqual(new Set(CLIENTS));
  expect(linesOf(cells)).toEqual([]);
});

test('nothing is thrown at the process between the cells', () => {
  expect(watch.strays).toEqual([]);
});

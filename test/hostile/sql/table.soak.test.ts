import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ProcessWatch } from '../process-watch.js';
import { PHASES } from './server.js';
import { type CellResult, everyCell, linesOf, runCells } from './table.js';

const SEED = 1;
/** The libraries that hand out our pool's connections; npm run fuzz -- --table runs the others. */
const OURS = ['createTokenPool', 'ConnectionPool of mssql-token-pool/mssql'];

const watch = new ProcessWatch();
afterAll(() => watch[Symbol.dispose]());

describe.each(OURS)('%s', (client) => {
  let results: CellResult[] = [];
  beforeAll(async () => {
    results = await runCells(everyCell(client, SEED), watch);
  }, 900_000);

  test.each(PHASES)('keeps its promises with a server that misbehaves at: %s', (phase) => {
    const cells = results.filter((cell) => cell.phase === phase);
    expect(cells.length).toBeGreaterThan(0);
    expect(linesOf(cells)).toEqual([]);
  });
});

test('nothing is thrown at the process between the cells, and no warning is printed', () => {
  expect(watch.strays).toEqual([]);
  expect(watch.warnings).toEqual([]);
});

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ProcessWatch } from '../process-watch.js';
import type { Cell } from './cell.js';
import { CLIENTS } from './clients.js';
import { FAULTS } from './faults.js';
import { PHASES } from './server.js';
import { type CellResult, linesOf, runCells } from './table.js';

const SEED = 1;
/** The libraries that hand out our pool's connections; `npm run fuzz -- --table --client NAME` runs the others. */
const OURS = ['createTokenPool', 'ConnectionPool of mssql-token-pool/mssql'];

const watch = new ProcessWatch();
afterAll(() => watch[Symbol.dispose]());

describe.each(OURS)('%s', (name) => {
  let results: CellResult[] = [];
  beforeAll(async () => {
    const client = CLIENTS[name];
    if (client === undefined) throw new Error(`no such client: ${name}`);
    const cells: Cell[] = PHASES.flatMap((phase) =>
      Object.keys(FAULTS).flatMap((fault) =>
        (['token', 'password'] as const).map((login) => ({ client, phase, fault, login, seed: SEED })),
      ),
    );
    results = await runCells(cells, watch);
  }, 300_000);

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

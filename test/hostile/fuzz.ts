import { parseArgs } from 'node:util';
import { Random } from '../support/random.js';
import { ProcessWatch } from './process-watch.js';
import type { Cell } from './sql/cell.js';
import { CLIENTS } from './sql/clients.js';
import { FAULTS } from './sql/faults.js';
import { PHASES } from './sql/server.js';
import { linesOf, runCells } from './sql/table.js';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string' },
    client: { type: 'string' },
    table: { type: 'boolean', default: false },
  },
});
const watch = new ProcessWatch();
const clients = Object.entries(CLIENTS).filter(([name]) => name.includes(values.client ?? ''));

if (values.table) {
  for (const [name, client] of clients) {
    const startedAt = performance.now();
    const cpu = process.cpuUsage();
    const cells: Cell[] = PHASES.flatMap((phase) =>
      Object.keys(FAULTS).flatMap((fault) =>
        (['token', 'password'] as const).map((login) => ({
          client,
          phase,
          fault,
          login,
          seed: Number(values.seed ?? 1),
        })),
      ),
    );
    const results = await runCells(cells, watch);
    for (const line of linesOf(results)) console.log(`${name}: ${line}`);
    console.log(
      `${name}: ${results.length} cells in ${performance.now() - startedAt} ms, ${process.cpuUsage(cpu).user / 1000} ms CPU`,
    );
  }
  console.log(watch.strays, watch.warnings);
  process.exit();
}
void Random;

import type { ProcessWatch } from '../process-watch.js';
import { type Cell, runCell } from './cell.js';
import { CLIENTS } from './clients.js';
import { FAULTS } from './faults.js';
import { isKnownLimit } from './known-limits.js';
import { PHASES } from './server.js';

/** A cell of the table, with its client by name. */
export type NamedCell = Omit<Cell, 'client'> & { client: string };

export interface CellResult extends NamedCell {
  name: string;
  broken: string[];
}

/** Cells at a time: more would make the machine, not the library, miss a limit of some hundred ms. */
const AT_ONCE = 8;

/** All phases x all faults x both kinds of login. */
export function everyCell(client: string, seed: number): NamedCell[] {
  return PHASES.flatMap((phase) =>
    Object.keys(FAULTS).flatMap((fault) =>
      (['token', 'password'] as const).map((login) => ({ client, phase, fault, login, seed })),
    ),
  );
}

/** Runs cells side by side and gives, for each, the promises that were broken. */
export async function runCells(
  cells: readonly NamedCell[],
  watch: ProcessWatch,
  onResult: (result: CellResult) => void = () => {},
): Promise<CellResult[]> {
  const results: CellResult[] = [];
  const left = [...cells];
  const work = async (): Promise<void> => {
    for (let cell = left.shift(); cell !== undefined; cell = left.shift()) {
      const { client: clientName, phase, fault, login, seed } = cell;
      const client = CLIENTS[clientName];
      if (client === undefined) throw new Error(`no such client: ${clientName}`);
      const name = `${clientName}: ${phase} x ${fault} (${login}, seed ${seed})`;
      const broken = await runCell({ ...cell, client }, watch);
      const result = { ...cell, name, broken: broken.filter((line) => !isKnownLimit(cell as NamedCell, line)) };
      results.push(result);
      onResult(result);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return results;
}

/** One line for each broken promise. */
export function linesOf(results: readonly CellResult[]): string[] {
  return results.flatMap(({ name, broken }) => broken.map((line) => `${name}: ${line}`)).sort();
}

import { availableParallelism } from 'node:os';
import type { ProcessWatch } from '../process-watch.js';
import { type Cell, runCell, type Turns } from './cell.js';

export interface CellResult extends Cell {
  name: string;
  broken: string[];
}

/** Runs cells side by side and gives, for each, the promises that were broken. */
export function runCells(
  cells: readonly Cell[],
  watch: ProcessWatch,
  onResult: (result: CellResult) => void = () => {},
): Promise<CellResult[]> {
  const turns = turnsFor(12 * availableParallelism());
  return Promise.all(
    cells.map(async (cell) => {
      const name = `${cell.phase} x ${cell.fault} (${cell.login}, seed ${cell.seed})`;
      const result = { ...cell, name, broken: await runCell(cell, watch, turns) };
      onResult(result);
      return result;
    }),
  );
}

/** One line for each broken promise. */
export function linesOf(results: readonly CellResult[]): string[] {
  return results.flatMap(({ name, broken }) => broken.map((line) => `${name}: ${line}`)).sort();
}

function turnsFor(atOnce: number): Turns {
  const waiting: (() => void)[] = [];
  let free = atOnce;
  return {
    async take() {
      if (free === 0) await new Promise<void>((resolve) => waiting.push(resolve));
      else free -= 1;
    },
    give() {
      const next = waiting.shift();
      if (next === undefined) free += 1;
      else next();
    },
  };
}

import type { ProcessWatch } from '../process-watch.js';
import { type Cell, runCell } from './cell.js';

export interface CellResult extends Cell {
  name: string;
  broken: string[];
}

/** Cells at a time: more would make the machine, not the library, miss a limit of some hundred ms. */
const AT_ONCE = 8;

/** Runs cells side by side and gives, for each, the promises that were broken. */
export async function runCells(
  cells: readonly Cell[],
  watch: ProcessWatch,
  onResult: (result: CellResult) => void = () => {},
): Promise<CellResult[]> {
  const results: CellResult[] = [];
  const left = [...cells];
  const work = async (): Promise<void> => {
    for (let cell = left.shift(); cell !== undefined; cell = left.shift()) {
      const name = `${cell.phase} x ${cell.fault} (${cell.login}, seed ${cell.seed})`;
      const result = { ...cell, name, broken: await runCell(cell, watch) };
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

import type { ProcessWatch } from '../process-watch.js';
import { type Cell, CREATE_TIMEOUT_MS, runCell } from './cell.js';
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

/** Cells at a time. They mostly wait; a limit of some hundred ms that the machine misses is no finding. */
const AT_ONCE = 32;

export const LOGINS: readonly Cell['login'][] = ['token', 'password'];

/** All phases x all faults x all kinds of login. */
export function everyCell(client: string, seed: number): NamedCell[] {
  return PHASES.flatMap((phase) =>
    Object.keys(FAULTS).flatMap((fault) => LOGINS.map((login) => ({ client, phase, fault, login, seed }))),
  );
}

/** Each pair of phase and fault for one of the clients, and each kind of login for all of them. */
export function sharedCells(clients: readonly string[], seed: number): NamedCell[] {
  return PHASES.flatMap((phase, row) =>
    Object.keys(FAULTS).map((fault, column) => {
      const client = clients[(row + column) % clients.length] as string;
      const login = LOGINS[(row + Math.floor(column / clients.length)) % LOGINS.length] as Cell['login'];
      return { client, phase, fault, login, seed };
    }),
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
      const { client: clientName, phase, fault, login, seed, createTimeoutMs = CREATE_TIMEOUT_MS } = cell;
      const client = CLIENTS[clientName];
      if (client === undefined) throw new Error(`no such client: ${clientName}`);
      const name = `${clientName}: ${phase} x ${fault} (${login}, seed ${seed}, ${createTimeoutMs} ms)`;
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

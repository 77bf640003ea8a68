import type { ProcessWatch } from '../process-watch.js';
import { type Cell, CREATE_TIMEOUT_MS, NOT_WELL_AGAIN, runCell } from './cell.js';
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

/**
 * Number of concurrent cells. They mostly wait; a limit of some hundred ms that the machine misses is not a finding.
 */
const AT_ONCE = 24;
/** The client's limit for a cell that is run again, alone. */
const GENEROUS_MS = 8_000;

export const LOGINS: readonly Cell['login'][] = ['token', 'password'];

/** All phases x all faults x all kinds of login. */
export function everyCell(client: string, seed: number): NamedCell[] {
  return PHASES.flatMap((phase) =>
    Object.keys(FAULTS).flatMap((fault) => LOGINS.map((login) => ({ client, phase, fault, login, seed }))),
  );
}

/** A sample: one fault at each phase for each of the clients, all of them in turn. */
export function sampleOfCells(clients: readonly string[], seed: number): NamedCell[] {
  const faults = Object.keys(FAULTS);
  return clients.flatMap((client, row) =>
    PHASES.map((phase, column): NamedCell => {
      const turn = row * PHASES.length + column + seed;
      const login = LOGINS[turn % LOGINS.length] as Cell['login'];
      return { client, phase, fault: faults[(7 * turn) % faults.length] as string, login, seed };
    }),
  );
}

/**
 * Runs cells side by side and gives, for each, the promises that were broken. A client that has not recovered may only have
 * been too slow: its cell is run again, alone and with a generous limit.
 */
export async function runCells(
  cells: readonly NamedCell[],
  watch: ProcessWatch,
  onResult: (result: CellResult) => void = () => {},
): Promise<CellResult[]> {
  const results: CellResult[] = [];
  const again: NamedCell[] = [];
  const left = [...cells];
  const done = (result: CellResult): void => {
    results.push(result);
    onResult(result);
  };
  const work = async (): Promise<void> => {
    for (let cell = left.shift(); cell !== undefined; cell = left.shift()) {
      const result = await resultOf(cell, watch);
      if (result.broken.length > 0 && result.broken.every((line) => line.startsWith(NOT_WELL_AGAIN))) again.push(cell);
      else done(result);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  for (const cell of again) done(await resultOf({ ...cell, createTimeoutMs: GENEROUS_MS }, watch));
  return results;
}

async function resultOf(cell: NamedCell, watch: ProcessWatch): Promise<CellResult> {
  const { client: clientName, phase, fault, login, seed, createTimeoutMs = CREATE_TIMEOUT_MS } = cell;
  const client = CLIENTS[clientName];
  if (client === undefined) throw new Error(`no such client: ${clientName}`);
  const name = `${clientName}: ${phase} x ${fault} (${login}, seed ${seed}, ${createTimeoutMs} ms)`;
  const broken = await runCell({ ...cell, client }, watch);
  return { ...cell, name, broken: broken.filter((line) => !isKnownLimit(cell, line)) };
}

/** One line for each broken promise. */
export function linesOf(results: readonly CellResult[]): string[] {
  return results.flatMap(({ name, broken }) => broken.map((line) => `${name}: ${line}`)).sort();
}

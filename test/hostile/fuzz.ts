/**
 * Strangers made up at random, for as long as wanted: hostile servers, credential objects and configurations.
 *
 *   npm run fuzz -- --minutes 10
 *   npm run fuzz -- --seed 4711              one round, as it was found
 *   npm run fuzz -- --table --client knex    the whole table of the hostile server for one client
 */
import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { Random } from '../support/random.js';
import { TEXT_ENTRY_POINTS } from './config/entry-points.js';
import { planted } from './config/planted.js';
import { outcomes, useCredentialObject } from './identity/credential-object.js';
import { ProcessWatch } from './process-watch.js';
import { everythingPrinted, plantedSecret, secretIn } from './secrets.js';
import type { Cell } from './sql/cell.js';
import { CLIENTS } from './sql/clients.js';
import { FAULTS } from './sql/faults.js';
import { PHASES } from './sql/server.js';
import { linesOf, runCells } from './sql/table.js';

const CELLS_A_ROUND = 24;
const SCRIPTS_A_ROUND = 40;
const TEXTS_A_ROUND = 400;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string' },
    client: { type: 'string', default: '' },
    table: { type: 'boolean', default: false },
  },
});
const watch = new ProcessWatch();
const clients = Object.entries(CLIENTS).filter(([name]) => name.includes(values.client));
let found = 0;

function report(seed: number, lines: readonly string[]): void {
  found += lines.length;
  for (const line of lines) console.log(`seed ${seed}: ${line}`);
}

/** The table itself, with one seed for what is random about its faults. */
async function wholeTable(seed: number): Promise<void> {
  for (const [name, client] of clients) {
    const cells: Cell[] = PHASES.flatMap((phase) =>
      Object.keys(FAULTS).flatMap((fault) =>
        (['token', 'password'] as const).map((login) => ({ client, phase, fault, login, seed })),
      ),
    );
    await runCells(cells, watch, (result) =>
      report(
        seed,
        linesOf([result]).map((line) => `${name}: ${line}`),
      ),
    );
    console.log(`${name}: ${cells.length} cells`);
  }
}

/** Everything that is random, once; the same seed does the same again. */
async function round(seed: number): Promise<void> {
  const random = new Random(seed);
  const cells = Array.from({ length: CELLS_A_ROUND }, () => {
    const [name, client] = random.pick(clients);
    const login = random.pick(['token', 'password'] as const);
    const cell: Cell = { client, login, phase: random.pick(PHASES), fault: random.pick(Object.keys(FAULTS)), seed };
    return { name, cell };
  });
  await runCells(
    cells.map(({ cell }) => cell),
    watch,
    (result) => {
      const name = cells.find(({ cell }) => cell.client === result.client)?.name;
      report(
        seed,
        linesOf([result]).map((line) => `${name}: ${line}`),
      );
    },
  );
  for (const { text, secrets } of fc.sample(planted, { seed, numRuns: TEXTS_A_ROUND })) {
    // What has the form of a server's name, with an instance or without, is one: a name is printed.
    if (/^[\w.-]+(\\[\w$#-]+)?$/.test(text.trim())) continue;
    for (const [name, enter] of Object.entries(TEXT_ENTRY_POINTS)) {
      if (secretIn(await printedAbout(enter, text), secrets))
        report(seed, [`${name}: a secret of ${JSON.stringify(text)}`]);
    }
  }
  const secret = plantedSecret();
  for (const script of fc.sample(outcomes(secret), { seed, numRuns: SCRIPTS_A_ROUND })) {
    const crashes: string[] = [];
    const broken = await watch.run(crashes, () => useCredentialObject(script, secret));
    const name = script.map(({ how, value }) => `${how} ${value.name}`).join(', then ');
    report(
      seed,
      [...broken, ...crashes].map((line) => `a credential that ${name}: ${line}`),
    );
  }
  report(seed, watch.strays.splice(0));
}

async function printedAbout(enter: (text: string) => unknown, text: string): Promise<string> {
  try {
    return everythingPrinted(await enter(text));
  } catch (error) {
    return everythingPrinted(error);
  }
}

if (values.table) {
  await wholeTable(Number(values.seed ?? 1));
} else {
  const endsAt = performance.now() + Number(values.minutes) * 60_000;
  let seed = values.seed === undefined ? Date.now() % 1_000_000_000 : Number(values.seed);
  const first = seed;
  do {
    await round(seed);
    seed += 1;
  } while (values.seed === undefined && performance.now() < endsAt);
  console.log(`${seed - first} rounds, seeds ${first} to ${seed - 1}: ${found} broken promises`);
}
process.exit(found === 0 ? 0 : 1);

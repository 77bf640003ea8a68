/**
 * Random hostile servers, identity providers, credential objects and configurations, for any length of time.
 *
 *   npm run fuzz -- --minutes 10
 *   npm run fuzz -- --seed 4711              one round, as it was found
 *   npm run fuzz -- --seed 4711 --rounds 5   this round and the four after it
 *   npm run fuzz -- --table --client knex    the whole table of the hostile server for one client
 */
import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { Random } from '../support/random.js';
import { TEXT_ENTRY_POINTS } from './config/entry-points.js';
import { planted } from './config/planted.js';
import { outcomes, useCredentialObject } from './identity/credential-object.js';
import { scripts } from './identity/hostile-provider.js';
import { askHostileProviders, METHODS } from './identity/over-http.js';
import { FILE_KINDS } from './identity/token-files.js';
import { ProcessWatch } from './process-watch.js';
import { everythingPrinted, plantedSecret, secretIn } from './secrets.js';
import { CLIENTS } from './sql/clients.js';
import { FAULTS } from './sql/faults.js';
import { PHASES } from './sql/server.js';
import { everyCell, LOGINS, linesOf, type NamedCell, runCells } from './sql/table.js';
import { Supervisor } from './supervisor.js';

const CELLS_A_ROUND = 24;
const EXCHANGES_A_ROUND = 60;
const SCRIPTS_A_ROUND = 40;
const TEXTS_A_ROUND = 400;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string' },
    rounds: { type: 'string', default: '1' },
    client: { type: 'string', default: '' },
    table: { type: 'boolean', default: false },
  },
});
const supervisor = new Supervisor();
const watch = new ProcessWatch();
const clients = Object.keys(CLIENTS).filter((name) => name.includes(values.client));
if (clients.length === 0) throw new Error(`No client is called ${values.client}: ${Object.keys(CLIENTS).join(', ')}.`);
let found = 0;

function report(seed: number, lines: readonly string[]): void {
  found += lines.length;
  for (const line of lines) console.log(`seed ${seed}: ${line}`);
}

/** The table itself, with one seed for what is random about its faults. */
async function wholeTable(seed: number): Promise<void> {
  for (const client of clients) {
    const cells = everyCell(client, seed);
    await runCells(cells, watch, (result) => {
      report(seed, linesOf([result]));
      supervisor.progress(result.name);
    });
    console.log(`${client}: ${cells.length} cells`);
  }
}

/** One round of everything that is random; the same seed replays it. */
async function round(seed: number): Promise<void> {
  supervisor.progress(`round ${seed}`);
  await hostileServers(seed);
  await malformedTexts(seed);
  await identityProviders(seed);
  await credentialObjects(seed);
  report(seed, watch.strays.splice(0));
}

async function hostileServers(seed: number): Promise<void> {
  const random = new Random(seed);
  const cells = Array.from({ length: CELLS_A_ROUND }, (): NamedCell => {
    const client = random.pick(clients);
    const cell = { client, login: random.pick(LOGINS), phase: random.pick(PHASES), seed };
    // A short limit ends the conversation at any point, as a busy machine does.
    const createTimeoutMs = random.chance(0.25) ? random.whole(5, 80) : undefined;
    return { ...cell, fault: random.pick(Object.keys(FAULTS)), ...(createTimeoutMs && { createTimeoutMs }) };
  });
  await runCells(cells, watch, (result) => {
    report(seed, linesOf([result]));
    supervisor.progress(result.name);
  });
}

async function malformedTexts(seed: number): Promise<void> {
  for (const { text, secrets } of fc.sample(planted, { seed, numRuns: TEXTS_A_ROUND })) {
    for (const [name, enter] of Object.entries(TEXT_ENTRY_POINTS)) {
      supervisor.progress(`${name} with ${JSON.stringify(text)}`);
      if (secretIn(await printedAbout(enter, text), secrets))
        report(seed, [`${name}: a secret of ${JSON.stringify(text)}`]);
    }
  }
}

async function identityProviders(seed: number): Promise<void> {
  const random = new Random(seed);
  const exchanges = fc.sample(scripts, { seed, numRuns: EXCHANGES_A_ROUND }).map((script) => {
    const method = random.pick(Object.keys(METHODS));
    return { method, script, file: random.chance(0.5) ? random.pick(FILE_KINDS) : undefined };
  });
  await askHostileProviders(exchanges, watch, (_, lines) => {
    report(seed, lines);
    supervisor.progress('an identity provider');
  });
}

async function credentialObjects(seed: number): Promise<void> {
  const secret = plantedSecret();
  for (const script of fc.sample(outcomes(secret), { seed, numRuns: SCRIPTS_A_ROUND })) {
    const crashes: string[] = [];
    const name = script.map(({ how, value }) => `${how} ${value.name}`).join(', then ');
    supervisor.progress(`a credential that ${name}`);
    const broken = await watch.run(crashes, () => useCredentialObject(script, secret));
    report(
      seed,
      [...broken, ...crashes].map((line) => `a credential that ${name}: ${line}`),
    );
  }
}

async function printedAbout(enter: (text: string) => unknown, text: string): Promise<string> {
  try {
    return everythingPrinted(await enter(text));
  } catch (error) {
    return everythingPrinted(error);
  }
}

async function main(): Promise<void> {
  if (values.table) {
    await wholeTable(Number(values.seed ?? 1));
    report(0, watch.strays.splice(0));
    return;
  }
  const endsAt = performance.now() + Number(values.minutes) * 60_000;
  let seed = values.seed === undefined ? Date.now() % 1_000_000_000 : Number(values.seed);
  const first = seed;
  do {
    await round(seed);
    seed += 1;
  } while (values.seed === undefined ? performance.now() < endsAt : seed < first + Number(values.rounds));
  console.log(`${seed - first} rounds, seeds ${first} to ${seed - 1}: ${found} broken promises`);
}

// While the process is watched, no exception ends it, so a fault of the harness itself is reported here.
await main().catch((error: unknown) => {
  found += 1;
  console.error('The harness failed:', error);
});
supervisor.finish(found === 0 ? 0 : 1);

/**
 * `npm run bench`: compares this library with its alternatives, prints a table, writes results.json, results.svg and the tables of
 * docs/benchmarks.md.
 * `--quick` is a smoke test that writes nothing; names of figures (`checkout queries`) run only those and replace their rows.
 */
import { fork } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chart } from './lib/chart.mjs';
import { table } from './lib/table.mjs';
import { publishResults } from './results-in-docs.mjs';

const FIGURES = [
  'checkout',
  'features',
  'connection-cycle',
  'queries',
  'cold-start',
  'token-lookup',
  'at-rest',
  'loading',
  'rollover',
  'fleet',
  'orms',
];

const { values, positionals } = parseArgs({ options: { quick: { type: 'boolean' } }, allowPositionals: true });
const unknown = positionals.filter((name) => !FIGURES.includes(name));
if (unknown.length > 0) {
  console.error(`There is no figure called ${unknown.join(', ')}; there are ${FIGURES.join(', ')}.`);
  process.exit(2);
}

const wanted = positionals.length > 0 ? positionals : FIGURES;
/** @type {import('./lib/rounds.mjs').Figure[]} */
const figures = [];
const failed = [];
for (const name of wanted) {
  const measured = await measure(name);
  if (measured === undefined) failed.push(name);
  else {
    figures.push(...measured.map((figure) => ({ program: name, ...figure })));
    console.log(table(measured));
  }
}

if (failed.length > 0) {
  console.error(`No figures for ${failed.join(', ')}: the run failed or an answer was wrong; see above.`);
  process.exitCode = 1;
} else if (!values.quick) {
  const results = withRowsOf(wanted, figures);
  writeFileSync(path('results.json'), `${JSON.stringify(results, null, 2)}\n`);
  writeFileSync(path('results.svg'), chart(results));
  publishResults(results);
  console.log('Written: bench/results.json, bench/results.svg, docs/benchmarks.md');
}

/** @param {string} name @returns {Promise<import('./lib/rounds.mjs').Figure[] | undefined>} */
function measure(name) {
  const args = values.quick ? ['--quick'] : [];
  const child = fork(path(`figures/${name}.mjs`), args, { execArgv: ['--no-warnings'] });
  return new Promise((resolve) => {
    let measured;
    child.on('message', ({ figures: sent }) => {
      measured = sent;
    });
    child.once('exit', (code) => resolve(code === 0 ? measured : undefined));
  });
}

/**
 * The stored results with those of some programs replaced. Each row compares what ran side by side in one run of its program, so
 * rows of several runs may stand in one table.
 *
 * @param {string[]} programs @param {import('./lib/rounds.mjs').Figure[]} measured
 */
function withRowsOf(programs, measured) {
  /** @type {import('./lib/rounds.mjs').Figure[]} */
  const stored = JSON.parse(readFileSync(path('results.json'), 'utf8'));
  const rows = [...stored.filter(({ program }) => !programs.includes(program ?? '')), ...measured];
  return FIGURES.flatMap((name) => rows.filter(({ program }) => program === name));
}

/** @param {string} file */
function path(file) {
  return fileURLToPath(new URL(file, import.meta.url));
}

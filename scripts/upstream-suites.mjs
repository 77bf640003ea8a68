// Runs the test suites of node-mssql and knex twice, with the stock package and with this one, and compares the results test by
// test. Their code is not part of this repository: pass the path of a checkout with installed dependencies (mocha and those of
// the tests). The server is the SQL emulator with SQLite tables, so tests that need a real SQL Server fail in both runs; or a
// server of your own, in whose database the suites create and drop tables. Every test that passes with the stock package must
// pass here as well.
//
//   npm run build
//   node scripts/upstream-suites.mjs node-mssql ../node-mssql
//   node scripts/upstream-suites.mjs knex ../knex [spec ...]
//   node scripts/upstream-suites.mjs knex ../knex --server HOST [--port 1433] --user U --password P --database D [spec ...]
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { SUITES } from './upstream-suites/suites.mjs';

const OPTIONS = {
  server: { type: 'string' },
  port: { type: 'string', default: '1433' },
  user: { type: 'string' },
  password: { type: 'string' },
  database: { type: 'string', default: 'master' },
};
const { values: given, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
const [name, checkout, ...specs] = positionals;
const suite = SUITES[name];
if (suite === undefined || checkout === undefined) {
  console.error(`Usage: node scripts/upstream-suites.mjs ${Object.keys(SUITES).join('|')} <checkout> [spec ...]`);
  process.exit(2);
}
const root = resolve(checkout);
const mocha = join(createRequire(join(root, 'package.json')).resolve('mocha/package.json'), '../bin/mocha.js');
const folder = mkdtempSync(join(tmpdir(), 'upstream-suites-'));

/** Runs the suite in a separate process. Returns the state of each test by its full title. */
async function run(who) {
  const server = given.server === undefined ? await suite.start() : serverGiven();
  const report = join(folder, `${who}.json`);
  const config = join(folder, `${who}-server.json`);
  writeFileSync(config, JSON.stringify(server.config));
  const preload = new URL(`./upstream-suites/${name}.cjs`, import.meta.url).pathname;
  const args = ['--require', preload, mocha, '--no-config', '--exit', '-t', '10000', '--reporter', 'json'];
  const env = { ...process.env, ...suite.env, UPSTREAM: root, UPSTREAM_SERVER: config, RUN_AS: who };
  const child = spawn(
    process.execPath,
    [
      ...args,
      '--reporter-option',
      `output=${report}`,
      ...(specs.length > 0 ? specs : (given.server && suite.specsOfServer) || suite.specs),
    ],
    { cwd: root, env, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let stderr = '';
  child.stderr.on('data', (data) => {
    stderr = (stderr + data).slice(-4_000);
  });
  await new Promise((ended) => child.on('close', ended));
  await server.close();
  try {
    return outcomes(JSON.parse(readFileSync(report, 'utf8')));
  } catch {
    throw new Error(`The suite did not run as ${who}:\n${stderr}`);
  }
}

function serverGiven() {
  const options = { encrypt: true, trustServerCertificate: true };
  return { config: { ...given, port: Number(given.port), options }, close: async () => {} };
}

function outcomes({ passes, failures, pending }) {
  const all = new Map();
  for (const [state, tests] of Object.entries({ passed: passes, failed: failures, skipped: pending })) {
    for (const { fullTitle, err } of tests) {
      let title = fullTitle;
      for (let copy = 2; all.has(title); copy += 1) title = `${fullTitle} (${copy})`;
      all.set(title, { state, message: String(err?.message ?? '').split('\n')[0] });
    }
  }
  return all;
}

const stock = await run('stock');
const ours = await run('ours');
rmSync(folder, { recursive: true });

const count = (results, state) => [...results.values()].filter((result) => result.state === state).length;
for (const [who, results] of Object.entries({ stock, ours })) {
  console.log(
    `${who}: ${['passed', 'failed', 'skipped'].map((state) => `${count(results, state)} ${state}`).join(', ')}`,
  );
}
const passedBoth = [...stock].filter(([title, { state }]) => state === 'passed' && ours.get(title)?.state === 'passed');
console.log(`passed both ways: ${passedBoth.length}`);
let lost = 0;
for (const [title, { state }] of stock) {
  const own = ours.get(title) ?? { state: 'missing', message: '' };
  if (state !== 'passed' || own.state === 'passed') continue;
  const reason = suite.differences[title];
  if (reason === undefined) lost += 1;
  console.log(
    `${reason === undefined ? 'LOST' : 'documented'}: ${title}: ${own.state} ${own.message}${reason ? ` (${reason})` : ''}`,
  );
}
for (const [title, { state }] of ours) {
  if (state === 'passed' && stock.get(title)?.state !== 'passed') console.log(`only here: ${title}`);
}
if (process.env.SHOW_FAILURES) {
  for (const [title, { state, message }] of stock) {
    if (state === 'failed')
      console.log(`fails both ways: ${title}: ${message.slice(0, 160)} | ${ours.get(title)?.message.slice(0, 160)}`);
  }
}
process.exit(lost === 0 ? 0 : 1);

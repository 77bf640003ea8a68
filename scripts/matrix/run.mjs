// Installs every row of scripts/matrix/rows.mjs with the packed tarball in an empty folder and runs it against the emulators while
// two tokens expire. Writes the first part of docs/compatibility.md.
//
//   npm run matrix                      everything (about half an hour)
//   npm run matrix -- --quick           one row of each kind; skipped with a warning if the registry is unreachable
//   npm run matrix -- --only WORD       rows whose name contains WORD; the other results are kept (reports/matrix.json)
//   npm run matrix -- --keep            leaves the projects in place
//   npm run matrix -- --jobs N          number of concurrent rows (2)
import { execFile, execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { parseArgs, stripVTControlCharacters } from 'node:util';
import { startEntraEmulator, startSqlEmulator } from '../../dist/testing/index.mjs';
import { GROUPS } from './rows.mjs';
import { writeTable } from './table.mjs';

const { values: args } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    keep: { type: 'boolean', default: false },
    jobs: { type: 'string', default: '2' },
  },
});
const APPS = new URL('apps/', import.meta.url);
// Long enough for a busy machine to finish a login within the margin.
const LIFETIME_SECONDS = 3;
/** The latest result of every row. */
const REPORT = 'reports/matrix.json';
const NPM = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel', 'error'];

const base = mkdtempSync(join(tmpdir(), 'matrix-'));
const [{ filename }] = JSON.parse(
  execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', base], { encoding: 'utf8' }),
);
const tarball = join(base, filename);
const programFolders = new Map();
const isWhole = !args.quick && args.only === undefined;
const results = new Map(!isWhole && existsSync(REPORT) ? JSON.parse(readFileSync(REPORT, 'utf8')) : []);
let failed = 0;
let isOffline = false;
const chosen = GROUPS.flatMap(({ rows }) => rows)
  .filter(({ quick }) => quick || !args.quick)
  .filter(({ name }) => name.toLowerCase().includes((args.only ?? '').toLowerCase()));
const waiting = [...chosen];
mkdirSync('reports', { recursive: true });
await Promise.all(Array.from({ length: Number(args.jobs) }, work));
if (!args.quick) {
  writeTable(GROUPS, results);
}
if (!args.keep) rmSync(base, { recursive: true, force: true });
if (chosen.length === 0) console.log('No such row.');
process.exitCode = failed > 0 ? 1 : 0;

/** Runs rows until none is left or the registry is unreachable. */
async function work(_, job) {
  while (waiting.length > 0 && !isOffline) {
    const row = waiting.shift();
    const startedAt = Date.now();
    let result = await run(row, job);
    // On a very busy machine, a login can take longer than its token's margin and be refused; a second attempt rules that out.
    if (result.error !== undefined && !result.offline) {
      console.log(`once more: ${row.name}\n${result.error.replace(/^/gm, '       ')}`);
      result = await run(row, job);
    }
    if (result.offline) {
      isOffline = true;
      continue;
    }
    results.set(row.name, result);
    if (!args.quick) writeFileSync(REPORT, JSON.stringify([...results], undefined, 1));
    if (result.error !== undefined) failed += 1;
    const took = `${((Date.now() - startedAt) / 1000).toFixed(0)} s`;
    const outcome = result.error === undefined ? 'ok  ' : 'FAIL';
    console.log(`${outcome} ${row.name}: ${result.summary ?? ''} ${result.versions ?? ''} (${took})`);
    if (result.error !== undefined) console.log(result.error.replace(/^/gm, '       '));
  }
}

/** Installs and runs one row. */
async function run(row, job) {
  const folder = join(base, row.name.replace(/\W+/g, '-').toLowerCase());
  rmSync(folder, { recursive: true, force: true });
  if (row.project === undefined) {
    mkdirSync(folder);
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'app', version: '1.0.0', private: true }));
  } else cpSync(new URL(`../../examples/${row.project}`, import.meta.url), folder, { recursive: true });
  const programs = [row.node && `node@${row.node}`, row.runtime].filter(Boolean);
  const path = [
    join(folder, 'node_modules/.bin'),
    ...(await Promise.all(programs.map(programFolder))),
    process.env.PATH,
  ].join(delimiter);
  const env = { ...process.env, PATH: path, CI: 'true', NEXT_TELEMETRY_DISABLED: '1' };
  const installed = await command(['npm', 'install', ...NPM, tarball, ...(row.packages ?? [])], { cwd: folder, env });
  if (installed.code !== 0) {
    const offline = /E(AI_AGAIN|NOTFOUND|NETUNREACH|CONNREFUSED|TIMEDOUT)|ENOTCACHED/.test(installed.output);
    if (offline && args.quick) {
      console.warn('The registry is out of reach: the matrix is skipped.');
      return { error: 'offline', offline: true };
    }
    return { error: lastLines(installed.output) };
  }
  cpSync(new URL('cross.cjs', APPS), join(folder, 'cross.cjs'));
  for (const [name, content] of Object.entries({ ...(row.app && { [row.app]: row.app }), ...row.files })) {
    const file = join(folder, name);
    mkdirSync(dirname(file), { recursive: true });
    const isPath = /^[\w./-]+$/.test(content);
    const source = new URL(content.startsWith('examples/') ? `../../../${content}` : content, APPS);
    writeFileSync(file, isPath ? readFileSync(source) : content);
  }

  const versions = [
    ...namesOf(row, folder).map((name) => versionOf(folder, name)),
    ...(row.runtime ? [versionOf(prefixOf(row.runtime), nameOf(row.runtime))] : []),
  ].join(', ');
  const entra = await startEntraEmulator({ tokenLifetimeSeconds: LIFETIME_SECONDS });
  const onQuery = (sql) => (/orders/.test(sql) ? [{ id: 1, item: 'coffee' }] : undefined);
  const server = await startSqlEmulator({ entra, enforceExpiry: 'login', onQuery });
  const { tenantId, clientId, clientSecret, url } = entra;
  const config = server.config({ authentication: { tenantId, clientId, clientSecret, authority: url } });
  writeFileSync(join(folder, 'ca.pem'), server.ca);
  Object.assign(env, {
    MATRIX_CONFIG: JSON.stringify(config),
    SQL_SERVER: `${config.server},${server.port}`,
    SQL_DATABASE: 'shop',
    AZURE_TENANT_ID: tenantId,
    AZURE_CLIENT_ID: clientId,
    AZURE_CLIENT_SECRET: clientSecret,
    AZURE_AUTHORITY_HOST: url,
    NODE_EXTRA_CA_CERTS: join(folder, 'ca.pem'),
    PORT: String(39_127 + job),
  });
  try {
    for (const each of row.commands ?? [`node ${row.app}`]) {
      const ran = await command(['sh', '-c', each], {
        cwd: folder,
        env: { ...env, MATRIX_CONFIG: JSON.stringify(config) },
      });
      if (ran.code !== 0) return { error: `${each}\n${lastLines(ran.output)}`, versions };
    }
    const refused = server.logins.filter(({ accepted }) => !accepted).length;
    const tokens = new Set(server.logins.map(({ tokenExpiry }) => tokenExpiry)).size;
    if (row.expiries === false) return { versions, summary: '' };
    const summary = `${server.logins.length} logins on ${tokens} tokens, ${refused} refused`;
    if (refused > 0 || tokens < 3) return { error: summary, versions, refused };
    return { versions, summary, logins: server.logins.length };
  } finally {
    await server.close();
    await entra.close();
  }
}

/** The folder of another Node.js version or runtime, from the npm package of that name. */
function programFolder(spec) {
  if (!programFolders.has(spec)) programFolders.set(spec, installProgram(spec));
  return programFolders.get(spec);
}

async function installProgram(spec) {
  const prefix = prefixOf(spec);
  const { code, output } = await command(['npm', 'install', ...NPM, '--prefix', prefix, spec], { env: process.env });
  if (code !== 0) throw new Error(output);
  return join(prefix, 'node_modules/.bin');
}

function prefixOf(spec) {
  return join(base, spec.replace('@', '-'));
}

/** The packages that a row tests, for the table. */
function namesOf({ packages }, folder) {
  if (packages !== undefined) return packages.map(nameOf);
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  return Object.keys({ ...dependencies, ...devDependencies }).filter((name) => name !== 'mssql-token-pool');
}

function nameOf(spec) {
  return /^(@?[^@]+)/.exec(spec)[1];
}

function versionOf(folder, name) {
  return `${name} ${JSON.parse(readFileSync(join(folder, 'node_modules', name, 'package.json'), 'utf8')).version}`;
}

function command([program, ...rest], options) {
  return new Promise((resolve) => {
    const nice = process.platform === 'win32' ? [] : ['nice', '-n', '10'];
    const [first, ...others] = [...nice, program, ...rest];
    execFile(first, others, { ...options, timeout: 300_000, maxBuffer: 2 ** 26 }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : (error.code ?? 1), output: stripVTControlCharacters(stdout + stderr) }),
    );
  });
}

function lastLines(text) {
  return text.trim().split('\n').slice(0, 40).join('\n');
}

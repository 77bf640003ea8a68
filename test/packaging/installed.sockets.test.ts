import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type EntraEmulator,
  makeCertificate,
  type SqlEmulator,
  startEntraEmulator,
  startSqlEmulator,
} from '../../src/testing/index.js';

const run = promisify(execFile);
const root = join(import.meta.dirname, '../..');

let folder: string;
let tarball: string;
let entra: EntraEmulator;
let server: SqlEmulator;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mssql-token-pool-pack-'));
  const { stdout } = await run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], {
    cwd: root,
  });
  tarball = join(folder, JSON.parse(stdout)[0].filename);
  entra = await startEntraEmulator();
  server = await startSqlEmulator({ entra, certificate: makeCertificate({ commonName: 'localhost' }) });
  const ca = join(folder, 'ca.pem');
  await writeFile(ca, server.ca);
  env = {
    ...process.env,
    NODE_EXTRA_CA_CERTS: ca,
    AZURE_AUTHORITY_HOST: entra.url,
    AZURE_TENANT_ID: entra.tenantId,
    AZURE_CLIENT_ID: entra.clientId,
    AZURE_CLIENT_SECRET: entra.clientSecret,
    SQL_SERVER: `localhost,${server.port}`,
    SQL_DATABASE: 'app',
  };
}, 60_000);

afterAll(async () => {
  await server.close();
  await entra.close();
  await rm(folder, { recursive: true });
});

/** A snippet of the README as a reader pastes it: the text before it names the file. */
async function snippet(file: string): Promise<string> {
  const readme = await readFile(join(root, 'README.md'), 'utf8');
  const [, code] =
    new RegExp(`\\bIn \`${file.replace('.', '\\.')}\`[^\`]*\`\`\`js\\n([\\s\\S]*?)\`\`\``).exec(readme) ?? [];
  if (code === undefined) throw new Error(`README.md has no snippet for ${file}`);
  return code;
}

/** A project as `npm init -y` leaves it, with our package installed. */
async function project(name: string, packages: string[]): Promise<string> {
  const path = join(folder, name);
  await mkdir(path);
  await run('npm', ['init', '-y'], { cwd: path });
  const options = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts'];
  await run('npm', ['install', ...options, tarball, ...packages], { cwd: path });
  return path;
}

const SNIPPETS = [
  ['app.mjs', '[ { one: 1 } ]\n'],
  ['wrapped.mjs', '[ { one: 1 } ]\n'],
  ['raw.mjs', '1\n'],
  ['expiry.mjs', '[]\n'],
] as const;

test('every snippet of the README runs and ends, pasted into an empty project', async () => {
  const path = await project('snippets', ['mssql', 'tedious@19']);
  const readme = await readFile(join(root, 'README.md'), 'utf8');
  expect(readme.match(/```js\n/g)).toHaveLength(SNIPPETS.length);
  for (const [file, output] of SNIPPETS) {
    await writeFile(join(path, file), await snippet(file));
    const { stdout } = await run(process.execPath, [file], { cwd: path, env, timeout: 30_000 });
    expect({ file, stdout }).toEqual({ file, stdout: output });
  }
}, 120_000);

test('the first snippet runs with require() in a CommonJS project', async () => {
  const path = await project('cjs', ['mssql']);
  const code = (await snippet('app.mjs')).replace(/import sql from '([^']+)';.*/, "const sql = require('$1');");
  await writeFile(join(path, 'app.js'), `(async () => {\n${code}\n})();\n`);
  const { stdout } = await run(process.execPath, ['app.js'], { cwd: path, env });
  expect(stdout).toBe('[ { one: 1 } ]\n');
}, 120_000);

test('the first snippet compiles in strict mode and runs as TypeScript', async () => {
  const path = await project('ts', ['mssql', 'typescript@5.9', '@types/mssql', '@types/node@20']);
  // The only thing strict TypeScript asks of it: a variable of the environment may be missing.
  const code = (await snippet('app.mjs')).replace('process.env.SQL_SERVER', "process.env.SQL_SERVER ?? ''");
  await writeFile(join(path, 'app.mts'), code);
  const compilerOptions = { strict: true, module: 'nodenext', target: 'es2022', types: ['node'], skipLibCheck: false };
  await writeFile(join(path, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['app.mts'] }));
  const tsc = [process.execPath, 'node_modules/typescript/bin/tsc'] as const;
  const compiled = await run(tsc[0], [tsc[1]], { cwd: path }).catch((error) => error);
  expect(compiled.stdout).toBe('');
  const { stdout } = await run(process.execPath, ['app.mjs'], { cwd: path, env });
  expect(stdout).toBe('[ { one: 1 } ]\n');
}, 120_000);

test('the package holds what users need and nothing else', async () => {
  const { stdout } = await run('npm', ['pack', '--dry-run', '--ignore-scripts', '--json'], { cwd: root });
  const files: string[] = JSON.parse(stdout)[0].files.map((file: { path: string }) => file.path);
  const unexpected = files.filter(
    (file) =>
      !/^(dist\/.*\.(js|mjs|d\.ts|d\.mts|html|css)|dist\/package\.json|dist\/.*\.LICENSES\.txt|package\.json|README\.md|LICENSE|CHANGELOG\.md)$/.test(
        file,
      ),
  );
  expect(unexpected).toEqual([]);
  for (const needed of ['dist/index.js', 'dist/index.d.ts', 'dist/mssql/index.js', 'dist/testing/index.d.ts']) {
    expect(files).toContain(needed);
  }
});

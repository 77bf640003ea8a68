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
  env = { ...process.env, AZURE_AUTHORITY_HOST: entra.url, NODE_EXTRA_CA_CERTS: ca };
}, 60_000);

afterAll(async () => {
  await server.close();
  await entra.close();
  await rm(folder, { recursive: true });
});

/** The README's first snippet; only the name of the server, which is made up, is another one. */
async function firstSnippet(): Promise<string> {
  const readme = await readFile(join(root, 'README.md'), 'utf8');
  const snippet = /```js\n([\s\S]*?)```/.exec(readme)?.[1] ?? '';
  expect(snippet).toContain("from 'mssql-token-pool/mssql'");
  expect(snippet).toContain("server: 'example.database.windows.net',");
  return snippet.replace("'example.database.windows.net',", `'localhost', port: ${server.port},`);
}

function prelude(): string {
  const { tenantId, clientId, clientSecret } = entra;
  return `const [tenantId, clientId, clientSecret] = ${JSON.stringify([tenantId, clientId, clientSecret])};\n`;
}

const EPILOGUE = 'console.log(JSON.stringify(recordset));\nawait pool.close();\n';

async function project(name: string, manifest: object, packages: string[]): Promise<string> {
  const path = join(folder, name);
  await mkdir(path);
  await writeFile(join(path, 'package.json'), JSON.stringify({ name, private: true, ...manifest }));
  const options = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts'];
  await run('npm', ['install', ...options, tarball, 'mssql', ...packages], { cwd: path });
  return path;
}

test('installed into an empty ESM project, the first snippet of the README runs', async () => {
  const path = await project('esm', { type: 'module' }, []);
  const [first = '', ...rest] = (await firstSnippet()).split('\n');
  await writeFile(join(path, 'app.js'), [first, prelude(), ...rest, EPILOGUE].join('\n'));
  const { stdout } = await run(process.execPath, ['app.js'], { cwd: path, env });
  expect(JSON.parse(stdout)).toEqual([{ one: 1 }]);
}, 120_000);

test('installed into an empty CommonJS project, it runs with require()', async () => {
  const path = await project('cjs', {}, []);
  const snippet = (await firstSnippet()).replace(/import sql from '([^']+)';.*/, "const sql = require('$1');");
  await writeFile(join(path, 'app.js'), `${prelude()}(async () => {\n${snippet}\n${EPILOGUE}})();\n`);
  const { stdout } = await run(process.execPath, ['app.js'], { cwd: path, env });
  expect(JSON.parse(stdout)).toEqual([{ one: 1 }]);
}, 120_000);

test('installed into a TypeScript project, it compiles in strict mode and runs', async () => {
  const path = await project('ts', { type: 'module' }, ['typescript@5.9', '@types/mssql', '@types/node@20']);
  const [first = '', ...rest] = (await firstSnippet()).split('\n');
  await writeFile(join(path, 'app.ts'), [first, prelude(), ...rest, EPILOGUE].join('\n'));
  const options = [
    '--strict',
    '--module',
    'nodenext',
    '--target',
    'es2022',
    '--types',
    'node',
    '--skipLibCheck',
    'false',
  ];
  const compiled = await run(process.execPath, ['node_modules/typescript/bin/tsc', ...options, 'app.ts'], {
    cwd: path,
  }).catch((error) => error);
  expect(compiled.stdout).toBe('');
  const { stdout } = await run(process.execPath, ['app.js'], { cwd: path, env });
  expect(JSON.parse(stdout)).toEqual([{ one: 1 }]);
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

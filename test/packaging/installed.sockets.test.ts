import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
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
/** What is in the package, by name. */
let files: string[];
/** As `npm init -y` and the command of the README leave a folder, with the types that TypeScript needs beside it. */
let project: string;
let entra: EntraEmulator;
let server: SqlEmulator;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mssql-token-pool-pack-'));
  const { stdout } = await run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], {
    cwd: root,
  });
  const [packed] = JSON.parse(stdout) as [{ filename: string; files: { path: string }[] }];
  files = packed.files.map(({ path }) => path);
  project = join(folder, 'project');
  await mkdir(project);
  await run('npm', ['init', '-y'], { cwd: project });
  const options = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts'];
  const packages = [join(folder, packed.filename), 'mssql', '@types/mssql', '@types/node@20'];
  await run('npm', ['install', ...options, ...packages], { cwd: project });
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

const SNIPPETS = [
  ['app.mjs', '[ { one: 1 } ]\n'],
  ['wrapped.mjs', '[ { one: 1 } ]\n'],
  ['raw.mjs', '1\n'],
  ['expiry.mjs', '[]\n'],
] as const;

test('the README has no other snippets', async () => {
  const readme = await readFile(join(root, 'README.md'), 'utf8');
  expect(readme.match(/```js\n/g)).toHaveLength(SNIPPETS.length);
});

test.concurrent.each(SNIPPETS)(
  'the snippet for %s of the README runs and ends, pasted into an empty project',
  async (file, output) => {
    await writeFile(join(project, file), await snippet(file));
    const { stdout } = await run(process.execPath, [file], { cwd: project, env, timeout: 30_000 });
    expect(stdout).toBe(output);
  },
);

test.concurrent('the first snippet runs with require() in a CommonJS project', async () => {
  const code = (await snippet('app.mjs')).replace(/import sql from '([^']+)';.*/, "const sql = require('$1');");
  await writeFile(join(project, 'app.js'), `(async () => {\n${code}\n})();\n`);
  const { stdout } = await run(process.execPath, ['app.js'], { cwd: project, env });
  expect(stdout).toBe('[ { one: 1 } ]\n');
});

test.concurrent('the first snippet compiles in strict mode and runs as TypeScript', async () => {
  // All that strict TypeScript requires: an environment variable may be missing.
  const code = (await snippet('app.mjs')).replace('process.env.SQL_SERVER', "process.env.SQL_SERVER ?? ''");
  await writeFile(join(project, 'typed.mts'), code);
  const compilerOptions = { strict: true, module: 'node16', target: 'es2022', types: ['node'], skipLibCheck: false };
  // Every declaration that these entry points reach, from both module systems.
  const entries = ['', '/redis', '/testing', '/testing/conformance', '/timeline'];
  const imports = entries.map((entry, i) => `import * as _${i} from 'mssql-token-pool${entry}';\nexport { _${i} };\n`);
  for (const file of ['entries.mts', 'entries.cts']) await writeFile(join(project, file), imports.join(''));
  const sources = ['typed.mts', 'entries.mts', 'entries.cts'];
  await writeFile(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: sources }));
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  const compiled = await run(process.execPath, [compiler], { cwd: project }).catch((error) => error);
  expect(compiled.stdout).toBe('');
  const { stdout } = await run(process.execPath, ['typed.mjs'], { cwd: project, env });
  expect(stdout).toBe('[ { one: 1 } ]\n');
});

test('links and pictures of the packed README and docs lead to files of the package', async () => {
  const packed = new Set(files);
  const dead: string[] = [];
  for (const file of files.filter((each) => /^([A-Z]+|docs\/[^/]+|examples\/README)\.md$/.test(each))) {
    const text = await readFile(join(root, file), 'utf8');
    for (const [, markdown, html] of text.matchAll(/\]\(([^)\s#]+)(?:#[^)\s]*)?\)|\bsrc(?:set)?="([^"]+)"/g)) {
      const link = (markdown ?? html) as string;
      if (!/^https?:/.test(link) && !packed.has(join(dirname(file), link))) dead.push(`${file}: ${link}`);
    }
  }
  expect(dead).toEqual([]);
});

test('the package contains what users need and nothing else', () => {
  const unexpected = files.filter(
    (file) =>
      !/^(dist\/.*\.(js|mjs|d\.ts|d\.mts|html|css)|dist\/package\.json|dist\/.*\.LICENSES\.txt|package\.json|[A-Z]+\.md|LICENSE|docs\/[^/]+\.(md|json|yml|svg)|docs\/images\/.*|examples\/.*)$/.test(
        file,
      ),
  );
  expect(unexpected).toEqual([]);
  for (const needed of ['dist/index.js', 'dist/index.d.ts', 'dist/mssql/index.js', 'dist/testing/index.d.ts']) {
    expect(files).toContain(needed);
  }
});

import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { transform } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';

// A copy of the package in a folder where nothing but its own dependencies and what every ORM here needs is installed.
let alone: string;

beforeAll(async () => {
  alone = await mkdtemp(join(tmpdir(), 'mssql-token-pool-'));
  const root = fileURLToPath(new URL('../../', import.meta.url));
  await compile(join(root, 'src'), join(alone, 'dist'));
  await cp(join(root, 'package.json'), join(alone, 'package.json'));
  await mkdir(join(alone, 'node_modules/@azure'), { recursive: true });
  for (const name of ['generic-pool', '@azure/msal-node', 'mssql', 'tedious']) {
    await symlink(join(root, 'node_modules', name), join(alone, 'node_modules', name));
  }
});
afterAll(() => rm(alone, { recursive: true, force: true }));

test.each([
  ['kysely', 'npm install kysely'],
  ['knex', 'npm install knex'],
  ['typeorm', 'npm install typeorm'],
  ['sequelize', 'npm install sequelize'],
  ['prisma', 'npm install @prisma/adapter-mssql'],
  ['drizzle', 'npm install drizzle-orm'],
  ['mikro-orm', 'npm install @mikro-orm/core'],
])('importing mssql-token-pool/%s without its ORM says what to install', async (name, command) => {
  const script = `import('mssql-token-pool/${name}').then(() => console.log('imported'), (error) => console.log(error.code, error.message))`;
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', script], { cwd: alone });
  expect(stdout).toMatch(/^ERR_CONFIGURATION .*not installed/);
  expect(stdout.trimEnd()).toMatch(new RegExp(`: ${command}$`));
});

test('every peer is optional, and Drizzle is none: its own peers are in the way of mssql 12', async () => {
  const { peerDependencies, peerDependenciesMeta } = JSON.parse(await readFile(join(alone, 'package.json'), 'utf8'));
  const optional = Object.keys(peerDependencies).map((name) => [name, { optional: true }]);
  expect(peerDependenciesMeta).toEqual(Object.fromEntries(optional));
  expect(Object.keys(peerDependencies)).not.toContain('drizzle-orm');
  expect(Object.keys(peerDependencies)).toEqual(
    expect.arrayContaining(['kysely', 'knex', 'typeorm', 'sequelize', '@prisma/adapter-mssql', '@mikro-orm/core']),
  );
});

/** What `npm run build` does, without the types. */
async function compile(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const source = join(from, entry.name);
    if (entry.isDirectory()) await compile(source, join(to, entry.name));
    else if (entry.name.endsWith('.ts')) {
      const { code } = await transform(await readFile(source, 'utf8'), {
        loader: 'ts',
        target: 'node20',
        format: 'esm',
      });
      await writeFile(join(to, entry.name.replace(/\.ts$/, '.js')), code);
    }
  }
}

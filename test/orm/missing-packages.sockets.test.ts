import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';

// A copy of the package as built (`npm run build`) in a folder where nothing but its own dependencies and what every ORM here needs is installed.
let alone: string;

beforeAll(async () => {
  alone = await mkdtemp(join(tmpdir(), 'mssql-token-pool-'));
  const root = fileURLToPath(new URL('../../', import.meta.url));
  await cp(join(root, 'dist'), join(alone, 'dist'), { recursive: true });
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
  const script = `try { require('mssql-token-pool/${name}'); console.log('imported') } catch (error) { console.log(error.code, error.message) }`;
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

import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
/** With what every ORM here needs, and with nothing but the package's own dependencies. */
let withDriver: string;
let bare: string;

beforeAll(async () => {
  withDriver = await packageBeside('mssql', 'tedious');
  bare = await packageBeside();
});
afterAll(async () => {
  for (const folder of [withDriver, bare]) await rm(folder, { recursive: true, force: true });
});

/** A copy of the package as built (`npm run build`), its dependencies, and these packages. */
async function packageBeside(...names: string[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'mssql-token-pool-'));
  await cp(join(root, 'dist'), join(folder, 'dist'), { recursive: true });
  await cp(join(root, 'package.json'), join(folder, 'package.json'));
  await mkdir(join(folder, 'node_modules/@azure'), { recursive: true });
  for (const name of ['generic-pool', '@azure/msal-node', ...names]) {
    await symlink(join(root, 'node_modules', name), join(folder, 'node_modules', name));
  }
  return folder;
}

/** The error of both `require` and `import()`; a process that ends with a code other than 0 fails the test. */
async function importing(subpath: string, cwd: string): Promise<string> {
  const said = await Promise.all(
    ['require', 'await import'].map(async (load) => {
      const script = `try { ${load}('mssql-token-pool/${subpath}'); console.log('imported') } catch (error) { console.log(error.code, error.message) }`;
      const type = load === 'require' ? 'commonjs' : 'module';
      const args = [`--input-type=${type}`, '-e', script];
      return (await promisify(execFile)(process.execPath, args, { cwd })).stdout.trimEnd();
    }),
  );
  expect(said[1]).toBe(said[0]);
  return said[0] as string;
}

test.each([
  ['kysely', 'npm install kysely'],
  ['knex', 'npm install knex'],
  ['typeorm', 'npm install typeorm'],
  ['sequelize', 'npm install sequelize'],
  ['prisma', 'npm install @prisma/adapter-mssql'],
  ['drizzle', 'npm install drizzle-orm'],
  ['mikro-orm', 'npm install @mikro-orm/core'],
  ['otel', 'npm install @opentelemetry/api'],
])(
  'importing mssql-token-pool/%s without the package that it works with says what to install',
  async (name, command) => {
    const output = await importing(name, withDriver);
    expect(output).toMatch(/^ERR_CONFIGURATION .*not installed/);
    expect(output).toMatch(new RegExp(`: ${command}$`));
  },
);

test.each(['mssql', 'typeorm', 'drizzle'])(
  'importing mssql-token-pool/%s without mssql names it among what needs mssql',
  async (name) => {
    const output = await importing(name, bare);
    expect(output).toMatch(/^ERR_CONFIGURATION The package 'mssql' is not installed.*: npm install mssql$/);
    expect(output).toContain(`/${name}`);
  },
);

test('every peer is optional, and Drizzle is none: its own peers are in the way of mssql 12', async () => {
  const { peerDependencies, peerDependenciesMeta } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  const optional = Object.keys(peerDependencies).map((name) => [name, { optional: true }]);
  expect(peerDependenciesMeta).toEqual(Object.fromEntries(optional));
  expect(Object.keys(peerDependencies)).not.toContain('drizzle-orm');
  expect(Object.keys(peerDependencies)).toEqual(
    expect.arrayContaining(['kysely', 'knex', 'typeorm', 'sequelize', '@prisma/adapter-mssql', '@mikro-orm/core']),
  );
});

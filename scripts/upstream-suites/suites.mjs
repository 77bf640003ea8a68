import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { startSqlEmulator } from '../../dist/testing/index.mjs';

/** The SQL emulator with SQLite tables. `prepares` answers the statements that create the suite's objects. */
async function startServer({ prepares = () => false, database }) {
  const folder = mkdtempSync(join(tmpdir(), 'tables-'));
  const outfile = join(folder, 'tables.mjs');
  await build({
    entryPoints: [new URL('../../test/orm/tsql-on-sqlite.ts', import.meta.url).pathname],
    bundle: true,
    platform: 'node',
    format: 'esm',
    external: ['node:*'],
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
    define: { __dirname: JSON.stringify(new URL('../../node_modules/sql.js/dist', import.meta.url).pathname) },
    outfile,
  });
  const { makeTables } = await import(pathToFileURL(outfile).href);
  const tables = await makeTables();
  const server = await startSqlEmulator({
    ...tables,
    onQuery: (sql, parameters, session) =>
      prepares(sql) ? { rowsAffected: 0 } : tables.onQuery(sql, parameters, session),
  });
  return {
    config: { ...server.config(), database },
    async close() {
      await server.close();
      rmSync(folder, { recursive: true });
    },
  };
}

export const SUITES = {
  'node-mssql': {
    specs: ['test/common/unit.js', 'test/tedious/tedious.js'],
    env: {},
    start: () =>
      startServer({ database: 'master', prepares: (sql) => /exec\('(create|drop)|sys\.procedures/i.test(sql) }),
    differences: {
      'tedious basic test suite healthy connection goes bad': 'connect() keeps the connection that it has opened',
      'tedious connection pooling max 1': 'connect() keeps the connection that it has opened',
    },
  },
  knex: {
    specs: [
      'test/util/chai-setup.js',
      'test/unit/dialects/mssql.js',
      'test/unit/schema-builder/mssql.js',
      'test/unit/client/pool-config.js',
      'test/unit/client/connection-pool.js',
      'test/unit/query/builder.js',
      // The other specs of test/integration2 load SQLite's native driver, regardless of DB.
      'test/integration2/dialects/mssql.spec.js',
      'test/integration2/{query,schema,transaction}/**/*.spec.js',
    ],
    env: { DB: 'mssql', KNEX_TEST: new URL('knex.cjs', import.meta.url).pathname },
    start: () => startServer({ database: 'master' }),
    differences: {},
  },
};

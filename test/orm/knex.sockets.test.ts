import knex from 'knex';
import knex3_2 from 'knex-3.2';
import MssqlClient3_2 from 'knex-3.2/lib/dialects/mssql/index.js';
import { createTokenPool } from '../../src/index.js';
import { connectionPool, knexClient, knexConfig } from '../../src/orm/knex.js';
import { NAMELESS_ROW_COUNT } from './abilities.js';
import { knexLibrary } from './knex-library.js';
import { ormSuite } from './suite.js';
import { versionOf } from './version-of.js';

const knexSuite = {
  pool: 'ours',
  tables: 'migrations',
  relations: 'joins',
  needs: { tables: NAMELESS_ROW_COUNT },
} as const;

ormSuite({
  ...knexSuite,
  name: 'knex 3.3',
  version: versionOf('knex'),
  seam: '`client` as a class, with our pool in it',
  open: async (config) => knexLibrary(knex(knexConfig(config))),
});

ormSuite({
  ...knexSuite,
  name: 'knex 3.3, connectionPool',
  version: versionOf('knex'),
  seam: '`connectionPool` (public)',
  async open(config) {
    const pool = createTokenPool(config);
    const library = knexLibrary(knex({ client: 'mssql', connectionPool: connectionPool(pool) }));
    return { ...library, close: () => library.close().then(() => pool.close()) };
  },
});

ormSuite({
  ...knexSuite,
  name: 'knex 3.2',
  version: versionOf('knex-3.2'),
  seam: '`client` as a class, with our pool in it',
  open: async (config) =>
    // The types of knex 3.3 do for both.
    knexLibrary(
      (knex3_2 as unknown as typeof knex)({ ...knexConfig(config), client: knexClient(MssqlClient3_2, config) }),
    ),
});

import { Kysely, MssqlDialect } from 'kysely';
import { dialectConfig } from '../../src/orm/kysely.js';
import { type Database, kyselyLibrary } from './kysely-library.js';
import { needsNode } from './needs-node.js';
import { type OrmUnderTest, ormSuite } from './suite.js';
import { versionOf } from './version-of.js';

const kysely: Omit<OrmUnderTest, 'name' | 'version' | 'open'> = {
  seam: '`tarn.Pool` of `MssqlDialect` (public)',
  pool: 'ours',
  tables: 'schema builder',
  relations: 'joins',
};

ormSuite({
  ...kysely,
  name: 'Kysely 0.28',
  version: versionOf('kysely'),
  open: async (config) => kyselyLibrary(new Kysely<Database>({ dialect: new MssqlDialect(dialectConfig(config)) })),
});

needsNode(22, 'Kysely 0.29', () =>
  ormSuite({
    ...kysely,
    name: 'Kysely 0.29',
    version: versionOf('kysely-0.29'),
    async open(config) {
      // The same names as in 0.28, where the types of this file come from.
      const latest = (await import('kysely-0.29')) as unknown as typeof import('kysely');
      const dialect = new latest.MssqlDialect(dialectConfig(config));
      return kyselyLibrary(new latest.Kysely<Database>({ dialect }));
    },
  }),
);

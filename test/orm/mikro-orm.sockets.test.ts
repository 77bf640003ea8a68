import { REFERENTIAL_CONSTRAINTS } from './abilities.js';
import { needsNode } from './needs-node.js';
import { ormSuite } from './suite.js';
import { versionOf } from './version-of.js';

const mikroOrm = { pool: 'ours', tables: 'schema generator', relations: 'entities' } as const;

ormSuite({
  ...mikroOrm,
  needs: { tables: REFERENTIAL_CONSTRAINTS },
  name: 'MikroORM 6',
  version: versionOf('@mikro-orm/mssql', new URL('packages/mikro-orm-6/', import.meta.url)),
  seam: '`driverOptions.client` as a class, with our pool in it',
  open: async (config) => (await import('./packages/mikro-orm-6/orm.js')).open(config),
});

needsNode(22, 'MikroORM 7', () =>
  ormSuite({
    ...mikroOrm,
    name: 'MikroORM 7',
    version: versionOf('@mikro-orm/mssql', new URL('packages/mikro-orm-7/', import.meta.url)),
    seam: '`driverOptions` as a Kysely dialect (public)',
    open: async (config) => (await import('./packages/mikro-orm-7/orm.js')).open(config),
  }),
);

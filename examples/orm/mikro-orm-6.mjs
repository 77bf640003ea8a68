// Uses MikroORM 6; this repository also has 7. In your app: `import ... from '@mikro-orm/knex'` and '@mikro-orm/mssql'.
import { createRequire } from 'node:module';

const require = createRequire(new URL('../../test/orm/packages/mikro-orm-6/package.json', import.meta.url));

export const { MsSqlKnexDialect } = require('@mikro-orm/knex');
export const { EntitySchema, MikroORM } = require('@mikro-orm/mssql');

import { EntitySchema, MikroORM } from '@mikro-orm/mssql';
import { MssqlDialect } from 'kysely';
import type { TokenPoolConfig } from '../../../../src/connections/config.js';
import { driverOptions } from '../../../../src/orm/mikro-orm.js';
import { entities, type MikroOrm, mikroOrmLibrary } from '../../mikro-orm-library.js';
import type { Library } from '../../suite.js';

export async function init(config: TokenPoolConfig): Promise<MikroOrm> {
  const orm = await MikroORM.init({
    dbName: 'master',
    entities: entities(EntitySchema as never) as never,
    driverOptions: driverOptions(MssqlDialect as never, config) as never,
  });
  return orm as unknown as MikroOrm;
}

export async function open(config: TokenPoolConfig): Promise<Library> {
  return mikroOrmLibrary(await init(config));
}

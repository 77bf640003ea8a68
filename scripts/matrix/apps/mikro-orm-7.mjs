import { EntitySchema, MikroORM } from '@mikro-orm/mssql';
import { MssqlDialect } from 'kysely';
import { driverOptions } from 'mssql-token-pool/mikro-orm';
import { config, cross } from './cross.cjs';

const properties = { id: { type: 'number', primary: true }, item: { type: 'string' } };
const Order = new EntitySchema({ name: 'Order', tableName: 'orders', properties });
const orm = await MikroORM.init({
  dbName: 'shop',
  entities: [Order],
  driverOptions: driverOptions(MssqlDialect, { ...config, database: 'shop' }),
});
await cross({ query: () => orm.em.fork().findAll('Order'), close: () => orm.close(true) });

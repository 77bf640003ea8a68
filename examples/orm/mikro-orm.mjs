// MikroORM 6. For 7, use `MssqlDialect` from 'kysely' instead of `MsSqlKnexDialect`.
import { driverOptions } from 'mssql-token-pool/mikro-orm';
import { crossingExpiries } from './crossing-expiries.mjs';
import { EntitySchema, MikroORM, MsSqlKnexDialect } from './mikro-orm-6.mjs';

const Order = new EntitySchema({
  name: 'Order',
  tableName: 'orders',
  properties: { id: { type: 'number', primary: true }, item: { type: 'string' } },
});

await crossingExpiries(async (config) => {
  const orm = await MikroORM.init({
    dbName: 'shop',
    entities: [Order],
    ensureDatabase: false,
    driverOptions: driverOptions(MsSqlKnexDialect, config),
  });
  return { orders: () => orm.em.fork().findAll('Order'), close: () => orm.close(true) };
});

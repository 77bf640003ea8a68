import { dataSourceOptions } from 'mssql-token-pool/typeorm';
import { DataSource, EntitySchema } from 'typeorm';
import { crossingExpiries } from './crossing-expiries.mjs';

const Order = new EntitySchema({
  name: 'orders',
  columns: { id: { type: 'int', primary: true }, item: { type: 'nvarchar' } },
});

await crossingExpiries(async (config) => {
  const dataSource = new DataSource({ ...dataSourceOptions({ ...config, database: 'shop' }), entities: [Order] });
  await dataSource.initialize();
  return { orders: () => dataSource.getRepository(Order).find(), close: () => dataSource.destroy() };
});

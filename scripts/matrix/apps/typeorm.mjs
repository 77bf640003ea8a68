import { dataSourceOptions } from 'mssql-token-pool/typeorm';
import { DataSource, EntitySchema } from 'typeorm';
import { config, cross } from './cross.cjs';

const columns = { id: { type: 'int', primary: true }, item: { type: 'nvarchar' } };
const Order = new EntitySchema({ name: 'orders', columns });
const dataSource = new DataSource({ ...dataSourceOptions({ ...config, database: 'shop' }), entities: [Order] });
await dataSource.initialize();
await cross({ query: () => dataSource.getRepository(Order).find(), close: () => dataSource.destroy() });

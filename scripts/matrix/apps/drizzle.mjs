import { int, mssqlTable, nvarchar } from 'drizzle-orm/mssql-core';
import { drizzle } from 'drizzle-orm/node-mssql';
import { connectClient } from 'mssql-token-pool/drizzle';
import { config, cross } from './cross.cjs';

const orders = mssqlTable('orders', { id: int(), item: nvarchar({ length: 100 }) });
const client = await connectClient(config);
const db = drizzle({ client });
await cross({ query: () => db.select().from(orders), close: () => client.close() });

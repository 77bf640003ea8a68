import { int, mssqlTable, nvarchar } from 'drizzle-orm/mssql-core';
import { drizzle } from 'drizzle-orm/node-mssql';
import { connectClient } from 'mssql-token-pool/drizzle';
import { crossingExpiries } from './crossing-expiries.mjs';

const orders = mssqlTable('orders', { id: int(), item: nvarchar({ length: 100 }) });

await crossingExpiries(async (config) => {
  const client = await connectClient(config);
  const db = drizzle({ client });
  return { orders: () => db.select().from(orders), close: () => client.close() };
});

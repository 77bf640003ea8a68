import knex from 'knex';
import { knexConfig } from 'mssql-token-pool/knex';
import { crossingExpiries } from './crossing-expiries.mjs';

await crossingExpiries(async (config) => {
  const db = knex(knexConfig(config));
  return { orders: () => db('orders').select(), close: () => db.destroy() };
});

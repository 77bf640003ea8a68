import knex from 'knex';
import { knexConfig } from 'mssql-token-pool/knex';
import { Model } from 'objection';
import { crossingExpiries } from './crossing-expiries.mjs';

class Order extends Model {
  static tableName = 'orders';
}

await crossingExpiries(async (config) => {
  const db = knex(knexConfig(config));
  Model.knex(db);
  return { orders: () => Order.query(), close: () => db.destroy() };
});

import { Kysely, MssqlDialect } from 'kysely';
import { dialectConfig } from 'mssql-token-pool/kysely';
import { crossingExpiries } from './crossing-expiries.mjs';

await crossingExpiries(async (config) => {
  const db = new Kysely({ dialect: new MssqlDialect(dialectConfig(config)) });
  return { orders: () => db.selectFrom('orders').selectAll().execute(), close: () => db.destroy() };
});

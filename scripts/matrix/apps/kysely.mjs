import { Kysely, MssqlDialect } from 'kysely';
import { dialectConfig } from 'mssql-token-pool/kysely';
import { config, cross } from './cross.cjs';

const db = new Kysely({ dialect: new MssqlDialect(dialectConfig(config)) });
await cross({ query: () => db.selectFrom('orders').selectAll().execute(), close: () => db.destroy() });

import knex from 'knex';
import { knexConfig } from 'mssql-token-pool/knex';
import { config, cross } from './cross.cjs';

const db = knex(knexConfig(config));
await cross({ query: () => db('orders').select(), close: () => db.destroy() });

import test from 'node:test';
import sql from 'mssql-token-pool/mssql';
import { config, cross } from './cross.cjs';

test('crosses two expiries', async () => {
  const pool = await sql.connect(config);
  await cross({ query: () => pool.query`SELECT 1 AS one`, close: () => pool.close() });
});

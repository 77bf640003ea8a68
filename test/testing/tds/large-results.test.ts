import { createRequire } from 'node:module';
import { expect, it } from 'vitest';
import { startSqlEmulator } from '../../../src/testing/index.js';

const sql = createRequire(import.meta.url)('mssql') as typeof import('mssql');

it.each([10, 200, 20_000])('a result of %i rows arrives whole', async (count) => {
  await using server = await startSqlEmulator();
  const pool = await new sql.ConnectionPool(server.config() as never).connect();
  try {
    const { recordset } = await pool.query(`SELECT value AS n FROM GENERATE_SERIES(1, ${count})`);
    expect(recordset.map((row) => row.n)).toEqual(Array.from({ length: count }, (_, i) => i + 1));
  } finally {
    await pool.close();
  }
});

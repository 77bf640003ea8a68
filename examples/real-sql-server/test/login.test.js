// Runs both in CI and in the dev container: everything it needs is in the environment.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import sql from 'mssql-token-pool/mssql';

test('logs in with a token, and with a new one after it has expired', async () => {
  const pool = await new sql.ConnectionPool(process.env.SQL_CONNECTION_STRING).connect();
  const lifetimeMs = 1000 * Number(process.env.TOKEN_LIFETIME_SECONDS);
  const until = Date.now() + 1.2 * lifetimeMs;
  while (Date.now() < until) {
    const { recordset } = await pool.query('SELECT SUSER_SNAME() AS name');
    assert.equal(recordset[0].name, 'sa');
    await new Promise((resolve) => setTimeout(resolve, lifetimeMs / 50));
  }
  await pool.close();
});

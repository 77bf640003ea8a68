const sql = require('mssql-token-pool/mssql');
const { TokenPoolError, createCredential } = require('mssql-token-pool');
const { config, cross } = require('./cross.cjs');

test('crosses two expiries', async () => {
  const pool = await sql.connect(config);
  await cross({ query: () => pool.query`SELECT 1 AS one`, close: () => pool.close() });
}, 30_000);

test('errors are instances of the classes of this registry', () => {
  expect(() => createCredential({ tenantId: 't' })).toThrow(TokenPoolError);
});

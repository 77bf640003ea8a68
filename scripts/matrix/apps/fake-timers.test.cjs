// A fake clock: the pool's timers follow it, sockets do not.
const sql = require('mssql-token-pool/mssql');
const { config } = require('./cross.cjs');

test('queries under fake timers', async () => {
  useFakeTimers();
  const pool = await sql.connect(config);
  await pool.query`SELECT 1 AS one`;
  await advance(1_000);
  await pool.query`SELECT 1 AS one`;
  await pool.close();
  useRealTimers();
}, 30_000);

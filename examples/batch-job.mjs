// A job that holds one transaction while several tokens expire. Its borrowed connection is never closed for expiry (P8), and
// SQL Server does not end a session when its token expires. The connection is replaced when it is returned.
import { setTimeout as sleep } from 'node:timers/promises';
import sql from 'mssql-token-pool/mssql';
import { withEmulators } from './with-emulators.mjs';

const emulators = await withEmulators();
const rows = [];
const pool = await new sql.ConnectionPool(emulators.config).connect();

const transaction = pool.transaction();
await transaction.begin();
const until = Date.now() + Number(process.env.EXAMPLE_MS ?? 15_000);
while (Date.now() < until) {
  const { recordset } = await transaction.request().query('SELECT @@SPID AS session, @@TRANCOUNT AS depth');
  rows.push(recordset[0]);
  await sleep(500);
}
await transaction.commit();

const sessions = new Set(rows.map((row) => row.session));
console.log(`${rows.length} statements in one transaction, on ${sessions.size} session`);
const after = await pool.query('SELECT @@SPID AS session');
console.log(`afterwards a fresh connection: ${sessions.has(after.recordset[0].session) ? 'no' : 'yes'}`);
process.exitCode = sessions.size === 1 && emulators.report() === 0 ? 0 : 1;
await pool.close();
await emulators.stop();

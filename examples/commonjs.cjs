// The same from CommonJS: Node 20.19 and later can require() ES modules.
const sql = require('mssql-token-pool/mssql');

async function main() {
  const { withEmulators } = await import('./with-emulators.mjs');
  const emulators = await withEmulators();
  const pool = await sql.connect(emulators.config);
  const { recordset } = await pool.query`SELECT ${42} AS answer`;
  console.log(recordset[0]);
  await sql.close();
  process.exitCode = emulators.report();
  await emulators.stop();
}

main();

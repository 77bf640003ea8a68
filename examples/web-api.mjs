// An HTTP API on one pool. Every request borrows a connection; token renewals go unnoticed.
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import sql from 'mssql-token-pool/mssql';
import { withEmulators } from './with-emulators.mjs';

const emulators = await withEmulators();

// ---- the app ----
const pool = await sql.connect({ ...emulators.config, pool: { max: 5, min: 1 } });

const api = createServer(async (request, response) => {
  const id = Number(new URL(request.url, 'http://localhost').searchParams.get('id'));
  try {
    const { recordset } = await pool.request().input('id', sql.Int, id).query('SELECT @id AS id, SUSER_SNAME() AS who');
    response.setHeader('content-type', 'application/json').end(JSON.stringify(recordset[0]));
  } catch (error) {
    console.error(error);
    response.writeHead(503).end();
  }
});

async function shutDown() {
  await new Promise((resolve) => api.close(resolve));
  await pool.close();
}
process.once('SIGTERM', shutDown);

// ---- its users, for ten seconds ----
await new Promise((resolve) => api.listen(0, '127.0.0.1', resolve));
const url = `http://127.0.0.1:${api.address().port}/?id=`;
let [served, failed] = [0, 0];
const until = Date.now() + Number(process.env.EXAMPLE_MS ?? 15_000);
while (Date.now() < until) {
  const answers = await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map(async (id) => (await fetch(url + id)).ok));
  served += answers.filter(Boolean).length;
  failed += answers.filter((ok) => !ok).length;
  await sleep(50);
}
console.log(`${served} requests served, ${failed} failed`);
process.exitCode = failed + emulators.report() === 0 ? 0 : 1;
api.closeAllConnections();
await shutDown();
await emulators.stop();

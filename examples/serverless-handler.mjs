// A function whose process is frozen between calls, longer than its token and its connections last. The pool is made once,
// outside the handler; the first call after a thaw notices at its checkout that time has passed.
import sql from 'mssql-token-pool/mssql';
import { withEmulators } from './with-emulators.mjs';

const emulators = await withEmulators();

// ---- the function ----
const connecting = new sql.ConnectionPool({
  ...emulators.config,
  pool: { max: 1, idleTimeoutMillis: 600_000 },
}).connect();

export async function handler(event) {
  const pool = await connecting;
  const { recordset } = await pool.request().input('name', event.name).query('SELECT @name AS hello');
  return recordset[0];
}

// ---- its platform: calls, then a freeze in which not even timers run ----
function freeze(ms) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
for (const name of ['one', 'two', 'three']) {
  console.log(await handler({ name }));
  freeze(Number(process.env.EXAMPLE_MS ?? 6_000));
}
process.exitCode = emulators.report();
await (await connecting).close();
await emulators.stop();

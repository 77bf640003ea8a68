// A function whose process is frozen between calls for longer than its token is valid. The pool is created once, outside the
// handler; the first checkout after a freeze detects that time has passed.
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
console.log(await handler({ name: 'one' }));
for (const name of ['two', 'three']) {
  freeze(Number(process.env.EXAMPLE_MS ?? 6_000));
  console.log(await handler({ name }));
}
process.exitCode = emulators.report();
await (await connecting).close();
await emulators.stop();

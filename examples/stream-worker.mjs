// A worker thread that copies large results to files, row by row. Memory stays flat, because the server sends rows only as fast
// as the file is written. A token may expire during a copy; the connection is replaced when it is returned.
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import sql from 'mssql-token-pool/mssql';
import { withEmulators } from './with-emulators.mjs';

if (isMainThread) await main();
else await work(workerData);

/** Makes one copy after another on its own pool until it is stopped. */
async function work({ config, folder }) {
  let stopped = false;
  parentPort.once('message', () => {
    stopped = true;
  });
  const pool = await new sql.ConnectionPool(config).connect();
  for (let copy = 1; !stopped; copy += 1) {
    const file = join(folder, `${copy}.ndjson`);
    await copyOrders(pool, file);
    parentPort.postMessage(file);
  }
  await pool.close();
}

async function copyOrders(pool, file) {
  const request = pool.request();
  const rows = request.toReadableStream();
  request.query('SELECT id FROM orders'); // errors are emitted on the stream
  const lines = new Transform({
    writableObjectMode: true,
    transform: (row, _encoding, done) => done(null, `${JSON.stringify(row)}\n`),
  });
  await pipeline(rows, lines, createWriteStream(file));
}

/** The application around it: counts the copied rows and stops the worker cleanly. */
async function main() {
  const ROWS = 20_000;
  const onQuery = () => ({ columns: [{ name: 'id', type: 'int' }], rows: numbers(ROWS) });
  const emulators = await withEmulators({ onQuery });
  const folder = await mkdtemp(join(tmpdir(), 'stream-worker-'));
  const worker = new Worker(new URL(import.meta.url), { workerData: { config: emulators.config, folder } });
  const files = [];
  worker.on('message', (file) => files.push(file));
  const ended = once(worker, 'exit');

  await sleep(Number(process.env.EXAMPLE_MS ?? 15_000));
  worker.postMessage('stop');
  await ended;
  const lengths = await Promise.all(files.map(async (file) => (await readFile(file, 'utf8')).split('\n').length - 1));
  const incomplete = lengths.filter((length) => length !== ROWS).length;
  console.log(`${lengths.length} copies of ${ROWS} rows, ${incomplete} incomplete`);
  process.exitCode = incomplete + emulators.report() === 0 ? 0 : 1;
  await rm(folder, { recursive: true });
  await emulators.stop();
}

function* numbers(end) {
  for (let id = 1; id <= end; id += 1) yield [id];
}

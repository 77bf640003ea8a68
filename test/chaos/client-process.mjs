// An application: callers that query through one pool until it is stopped, and record the outcome of each query.
import { setTimeout as sleep } from 'node:timers/promises';
import { createTokenPool } from 'mssql-token-pool';
import { Request } from 'tedious';

const { config, callers, pauseMs, slowReaders, memoryEveryMs } = JSON.parse(process.env.CHAOS);
const pool = createTokenPool(config);
const failures = [];
const memory = [];
let queries = 0;
let asked = 0;
let settled = 0;
let longestWaitMs = 0;
let stopped = false;

function run(connection, sql, readRow) {
  return new Promise((resolve, reject) => {
    const request = new Request(sql, (error) => (error ? reject(error) : resolve(undefined)));
    request.on('row', (columns) => readRow(columns, request));
    connection.execSql(request);
  });
}

async function call(work) {
  const startedAt = performance.now();
  asked += 1;
  let connection;
  try {
    connection = await pool.acquire();
  } finally {
    settled += 1;
    longestWaitMs = Math.max(longestWaitMs, performance.now() - startedAt);
  }
  try {
    await work(connection);
    queries += 1;
  } finally {
    pool.release(connection);
  }
}

async function ask(connection) {
  let answer;
  await run(connection, 'SELECT 42', ([column]) => {
    answer = column.value;
  });
  if (answer !== 42) throw new Error(`wrong answer: ${answer}`);
}

/** Reads a little, then makes the server wait. */
async function readSlowly(connection) {
  let rows = 0;
  await run(connection, 'SELECT wide', (_, request) => {
    rows += 1;
    if (rows % 200 !== 0) return;
    request.pause();
    setTimeout(() => request.resume(), 50);
  });
  if (rows !== 2_000) throw new Error(`wrong answer: ${rows} rows`);
}

async function caller(work, pause) {
  while (!stopped) {
    await call(work).catch((error) => failures.push(described(error)));
    await sleep(pause * (0.5 + Math.random()));
  }
}

function described(error) {
  const { code, number, message, cause } = error;
  return { at: Date.now(), name: error.name, code, number, message, cause: cause?.message };
}

const weigh = setInterval(() => {
  globalThis.gc();
  memory.push(process.memoryUsage().heapUsed);
}, memoryEveryMs);

const work = [
  ...Array.from({ length: callers }, () => caller(ask, pauseMs)),
  ...Array.from({ length: slowReaders }, () => caller(readSlowly, pauseMs)),
];
process.once('message', async () => {
  stopped = true;
  await Promise.all(work);
  clearInterval(weigh);
  const { size, borrowed, pending, logins, renewals } = pool.stats;
  await pool.close();
  const after = pool.stats;
  const report = {
    ...{ queries, failures, memory, longestWaitMs, waitersLost: asked - settled },
    ...{ size, borrowed, pending, logins, renewals, left: after.size + after.opening },
  };
  // Anything that keeps the process alive from here on is a leak.
  process.send(report, () => process.disconnect());
});
process.send({ ready: true });

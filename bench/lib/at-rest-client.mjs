/** One process of figures/at-rest.mjs: opens its pools, leaves them idle for ten virtual minutes, prints the cost. */
import { createRequire } from 'node:module';
import { DrivenClock } from '../../build/test/support/driven-clock.js';
import { check } from './check.mjs';

const { way, pools, connections } = JSON.parse(process.argv[2]);
const REST_MS = 600_000;

const clock = new DrivenClock(Date.UTC(2026, 0, 1));
const realNow = performance.now.bind(performance);
clock.install({ immediates: false });
const { longToken, stubTedious } = await import('./stub-tedious.mjs');
const open = await { ours, mssql, genericPool }[way]();

// The first pool triggers one-time loading and stays open.
const first = open({ max: 1, min: 1 });
await warm(first, 1);
// A rehearsal: the same pools are opened, used and closed. What V8 compiles meanwhile is 0.8 MB for our pools and 0.3 MB for mssql's, and
// would otherwise count as memory of the pools or connections, although the next ones need none of it.
await rehearse();
await clock.pass(60_000);
const heapBefore = heap();
const timersBefore = clock.pending.size;
const all = Array.from({ length: pools }, () => open({ max: connections, min: connections }));
for (const pool of all) await warm(pool, connections);
await clock.pass(60_000);
const kib = (heap() - heapBefore) / 1024 / (pools * connections);
const timers = clock.pending.size - timersBefore;

const startedAt = realNow();
await clock.pass(REST_MS);
const workMs = realNow() - startedAt;

check(first.open() === 1, 'the first pool lost its connection');
for (const pool of all) check(pool.open() === connections, `${pool.open()} connections open, not ${connections}`);
process.stdout.write(JSON.stringify({ kib, timers, workMs }), () => process.exit());

/** Uses every connection once. */
async function warm(pool, count) {
  const acquired = Promise.all(Array.from({ length: count }, () => pool.acquire()));
  await clock.settle();
  for (const connection of await acquired) pool.release(connection);
  await clock.settle();
}

async function rehearse() {
  const rehearsed = Array.from({ length: pools }, () => open({ max: connections, min: connections }));
  for (const pool of rehearsed) await warm(pool, connections);
  await clock.pass(60_000);
  const closed = Promise.all(rehearsed.map((pool) => pool.close()));
  await clock.pass(60_000);
  await closed;
}

function heap() {
  globalThis.gc();
  globalThis.gc();
  return process.memoryUsage().heapUsed;
}

async function ours() {
  const { createTokenPool } = await import('mssql-token-pool');
  return (limits) => {
    const config = { server: 'localhost', authentication: longToken, pool: limits, tedious: stubTedious };
    const pool = createTokenPool(config);
    return {
      acquire: () => pool.acquire(),
      release: (connection) => pool.release(connection),
      open: () => pool.stats.size,
      close: () => pool.close(),
    };
  };
}

/** generic-pool alone: a pool built on it cannot use less. */
async function genericPool() {
  const [{ genericPool: library }, { stubFactory }] = await Promise.all([
    import('./peers.mjs'),
    import('./stub-tedious.mjs'),
  ]);
  return (limits) => {
    const pool = library.createPool(stubFactory, { ...limits, acquireTimeoutMillis: 30_000 });
    return {
      acquire: () => pool.acquire(),
      release: (connection) => pool.release(connection),
      open: () => pool.size,
      close: async () => {
        await pool.drain();
        await pool.clear();
      },
    };
  };
}

/** Stock mssql, with the stub in place of tedious. */
async function mssql() {
  const require = createRequire(import.meta.url);
  const tedious = createRequire(require.resolve('mssql')).resolve('tedious');
  require(tedious);
  const cached = /** @type {NodeModule} */ (require.cache[tedious]);
  cached.exports = { ...cached.exports, ...stubTedious };
  const stock = require('mssql');
  const authentication = { type: 'token-credential', options: { credential: longToken } };
  return (limits) => {
    const pool = new stock.ConnectionPool({
      server: 'localhost',
      authentication,
      pool: limits,
      validateConnection: 'socket',
    });
    const connected = pool.connect();
    return {
      acquire: async () => (await connected).acquire(pool),
      release: (connection) => pool.release(connection),
      open: () => pool.size,
      close: async () => {
        const { interval } = pool.pool;
        await pool.close();
        // tarn stops it with the function of 'timers', which does not know the timers of the driven clock.
        clearInterval(interval);
      },
    };
  };
}

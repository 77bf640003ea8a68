/**
 * One client of figures/rollover.mjs under steady load while its tokens expire; prints the effect on its callers. A query
 * starts every few milliseconds, even if earlier ones have not finished.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createTokenPool } from 'mssql-token-pool';
import { check } from './check.mjs';
import { mssql, tedious } from './peers.mjs';
import { quantile } from './rounds.mjs';

const { way, size, queriesPerSecond, holdMs, seconds, lifeSeconds, refreshInSeconds } = JSON.parse(process.argv[2]);
/**
 * All contestants keep their connections open. Otherwise they close those that have been idle for 30 s, and a caller that then finds
 * none has one opened and waits for it: that is growth, not a rollover. (An earlier version of our pool counted a renewal as use.)
 */
const limits = { max: size, min: size };
/** Warm-up without measurement, ms. */
const WARM_UP_MS = 3_000;
/**
 * A shorter wait is none: a connection was ready, and it took this long until the caller ran. The quotient of two such waits says
 * how much of the processor a login leaves to other code for a moment, and not that a caller waited.
 */
const NOTICEABLE_MS = 0.2;
const pause = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms));

const child = fork(
  new URL('./rollover-site.mjs', import.meta.url),
  [String(lifeSeconds), String(refreshInSeconds), 'query'],
  { execArgv: [], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] },
);
const [{ config, token }] = await once(child, 'message');
const client = await { ours, mssqlValidated, mssqlStatic, mssqlRebuilt, knexChecked }[way]();

// All connections are open, on one token, before the measurement starts.
const warm = await Promise.all(Array.from({ length: size }, () => client.acquire()));
for (const connection of warm) client.release(connection);

/** Waits for a connection, ms: while another connection is being opened, and otherwise. */
const opening = [];
const steady = [];
let failed = 0;
const startedAt = performance.now();
const measuredFrom = Date.now() + WARM_UP_MS;
const underWay = new Set();
for (let n = 0; performance.now() - startedAt < WARM_UP_MS + seconds * 1_000; n += 1) {
  const wait = startedAt + (n * 1_000) / queriesPerSecond - performance.now();
  if (wait > 1) await pause(wait);
  const one = call(n)
    .catch((error) => {
      if (error?.name === 'WrongAnswer') throw error;
      failed += 1;
    })
    .finally(() => underWay.delete(one));
  underWay.add(one);
}
await Promise.all(underWay);
child.send('logins');
const [site] = await once(child, 'message');
await Promise.race([client.close(), pause(5_000)]);

const all = [...steady, ...opening];
const times = site.logins.map(({ time }) => time).filter((time) => time >= measuredFrom);
const report = {
  failed,
  refused: site.logins.filter(({ refused }) => refused).length,
  rollovers: site.tokens - 1,
  logins: times.length,
  loginsInASecond: mostInASecond(times),
  p99: quantile(all, 0.99),
  longest: all.reduce((most, wait) => Math.max(most, wait), 0),
  // If no connection was opened, callers had nothing to wait for.
  ratio: opening.length === 0 ? 1 : noticeable(quantile(opening, 0.99)) / noticeable(quantile(steady, 0.99)),
};
process.stdout.write(JSON.stringify(report), () => process.exit());

/** @param {number} ms */
function noticeable(ms) {
  return Math.max(NOTICEABLE_MS, ms);
}

/** @param {number} n */
async function call(n) {
  const before = client.opening();
  // Afterwards: to ask takes longer than a checkout.
  const calledAt = performance.now();
  const connection = await client.acquire();
  const waited = performance.now() - calledAt;
  const waits = before + client.opening() > 0 ? opening : steady;
  if (calledAt >= startedAt + WARM_UP_MS) waits.push(waited);
  try {
    const answer = await select(connection, n);
    check(answer === n, `SELECT ${n} gave ${answer}`);
    await pause(holdMs);
  } finally {
    client.release(connection);
  }
}

function select(connection, n) {
  return new Promise((resolve, reject) => {
    let value;
    const request = new tedious.Request(`SELECT ${n} AS n`, (error) => (error ? reject(error) : resolve(value)));
    request.on('row', (columns) => {
      value = (Array.isArray(columns) ? columns[0] : columns.n).value;
    });
    connection.execSqlBatch(request);
  });
}

/** @param {number[]} times in order */
function mostInASecond(times) {
  let first = 0;
  return times.reduce((most, time, i) => {
    while (times[first] <= time - 1_000) first += 1;
    return Math.max(most, i - first + 1);
  }, 0);
}

/** The credential of each client: the same token until the issuer's refresh time. */
function provider() {
  let held;
  return {
    async getToken() {
      if (held !== undefined && Date.now() < held.refreshAfterTimestamp) return held;
      const answer = await fetch(token.url, { method: 'POST', body: new URLSearchParams(token.body) });
      const { access_token, expires_in, refresh_in } = await answer.json();
      const now = Date.now();
      held = {
        token: access_token,
        expiresOnTimestamp: now + expires_in * 1_000,
        // Our pool refreshes up to a tenth earlier, so that a fleet does not refresh in step.
        refreshAfterTimestamp: now + refresh_in * 900,
      };
      return held;
    },
  };
}

async function ours() {
  const pool = createTokenPool({ ...config, tedious, authentication: provider(), pool: limits });
  return {
    acquire: () => pool.acquire(),
    release: (connection) => pool.release(connection),
    opening: () => pool.stats.opening,
    close: () => pool.close(),
  };
}

async function mssqlValidated() {
  const authentication = { type: 'token-credential', options: { credential: provider() } };
  const pool = new mssql.ConnectionPool({ ...config, authentication, validateConnection: true, pool: limits });
  pool.on('error', () => {});
  await pool.connect();
  return {
    acquire: () => pool.pool.acquire().promise,
    release: (connection) => pool.pool.release(connection),
    opening: () => pool.pool.numPendingCreates(),
    close: () => pool.close(),
  };
}

/** An mssql pool on one token, as in its README. */
async function poolOn(held) {
  const authentication = { type: 'azure-active-directory-access-token', options: { token: held.token } };
  const pool = new mssql.ConnectionPool({
    ...config,
    authentication,
    validateConnection: 'socket',
    pool: limits,
  });
  pool.on('error', () => {});
  return pool.connect();
}

async function mssqlStatic() {
  const pool = await poolOn(await provider().getToken());
  return {
    acquire: () => pool.pool.acquire().promise,
    release: (connection) => pool.pool.release(connection),
    opening: () => pool.pool.numPendingCreates(),
    close: () => pool.close(),
  };
}

/** Rebuilt by hand every three quarters of a lifetime, as well as possible: one rebuild at a time, and the old pool closes last. */
async function mssqlRebuilt() {
  const credential = provider();
  const poolOf = new Map();
  let pool = await poolOn(await credential.getToken());
  const timer = setInterval(async () => {
    const old = pool;
    pool = await poolOn(await credential.getToken());
    await old.close();
  }, lifeSeconds * 750);
  return {
    acquire: async () => {
      const from = pool;
      const connection = await from.pool.acquire().promise;
      poolOf.set(connection, from);
      return connection;
    },
    release: (connection) => {
      poolOf.get(connection).pool.release(connection);
      poolOf.delete(connection);
    },
    opening: () => pool.pool.numPendingCreates(),
    close: () => {
      clearInterval(timer);
      return pool.close();
    },
  };
}

async function knexChecked() {
  const credential = provider();
  const { default: knex } = await import('knex');
  const quiet = () => {};
  const db = knex({
    client: 'mssql',
    log: { warn: quiet, error: quiet, debug: quiet, deprecate: quiet },
    acquireConnectionTimeout: 10_000,
    connection: async () => {
      const held = await credential.getToken();
      const { server, port, options } = config;
      const expirationChecker = () => Date.now() > held.expiresOnTimestamp - lifeSeconds * 250;
      const type = 'azure-active-directory-access-token';
      return { server, port, options, type, token: held.token, expirationChecker };
    },
    pool: limits,
  });
  return {
    acquire: () => db.client.acquireConnection(),
    release: (connection) => db.client.releaseConnection(connection),
    opening: () => db.client.pool.numPendingCreates(),
    close: () => db.destroy(),
  };
}

/**
 * Where the time of a query goes: `SELECT 1` through our pool over TLS, 32 callers on 10 connections, under V8's sampling
 * profiler. Prints the share of each component, and writes a flame graph
 * (docs/images/query-flame-graph.svg) and the profile itself (reports/queries.cpuprofile, for Chrome's DevTools or
 * speedscope). `--quick` is a smoke run that writes nothing.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { createTokenPool } from 'mssql-token-pool';
import { check } from './lib/check.mjs';
import { flameGraph } from './lib/flame-graph.mjs';
import { tedious } from './lib/peers.mjs';
import { BARE, ownerOf } from './lib/profile-owners.mjs';
import { startSite } from './lib/site.mjs';

const CALLERS = 32;
const CONNECTIONS = 10;
const QUICK = process.argv.includes('--quick');
/** Enough for the code to be compiled before the measurement. */
const WARM_UP = QUICK ? 500 : 10_000;
const QUERIES = QUICK ? 1_000 : 20_000;

const site = await startSite();
const credential = { getToken: async () => ({ token: site.token, expiresOnTimestamp: Date.now() + 8e7 }) };
const pool = createTokenPool({
  ...site.config,
  authentication: credential,
  pool: { max: CONNECTIONS },
  tedious,
});
await query(WARM_UP);

const session = new Session();
session.connect();
await session.post('Profiler.enable');
await session.post('Profiler.setSamplingInterval', { interval: 200 });
await session.post('Profiler.start');
await query(QUERIES);
const { profile } = await session.post('Profiler.stop');
session.disconnect();
await pool.close();
site.close();

if (!QUICK) {
  mkdirSync('reports', { recursive: true });
  writeFileSync('reports/queries.cpuprofile', JSON.stringify(profile));
  writeFileSync(new URL('../docs/images/query-flame-graph.svg', import.meta.url), flameGraph(profile));
}
for (const [owner, share] of sharesOf(profile)) console.log(`${`${(share * 100).toFixed(1)} %`.padStart(7)}  ${owner}`);

/** @param {number} queries */
async function query(queries) {
  let next = 0;
  await Promise.all(
    Array.from({ length: CALLERS }, async () => {
      for (let n = next++; n < queries; n = next++) {
        const answer = await pool.use((connection) => select(connection, n));
        check(answer === n, `SELECT ${n} gave ${answer}`);
      }
    }),
  );
}

/** @param {any} connection @param {number} n @returns {Promise<unknown>} */
function select(connection, n) {
  return new Promise((resolve, reject) => {
    let value;
    const request = new tedious.Request(`SELECT ${n} AS n`, (error) => (error ? reject(error) : resolve(value)));
    request.on('row', (columns) => {
      value = columns[0].value;
    });
    connection.execSql(request);
  });
}

/** Self time of each owner's code, as a share of the non-idle time, largest first. @param {any} profile */
function sharesOf({ nodes, samples, timeDeltas }) {
  const frames = new Map(nodes.map((node) => [node.id, node.callFrame]));
  /** @type {Map<string, number>} */
  const times = new Map();
  samples.forEach((id, i) => {
    const owner = ownerOf(frames.get(id));
    times.set(owner, (times.get(owner) ?? 0) + timeDeltas[i]);
  });
  times.delete(BARE.idle);
  const all = [...times.values()].reduce((sum, time) => sum + time, 0);
  return [...times].map(([owner, time]) => /** @type {const} */ ([owner, time / all])).sort((a, b) => b[1] - a[1]);
}

/**
 * What callers notice of a rollover: `npm run build && node bench/rollover.mjs [--seconds 90]`. A pool of 50 at 500 queries
 * a second, each login made to cost 100 ms, tokens of 12 s: p99 and longest wait for a connection while connections are being
 * opened, against the rest of the same run.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createTokenPool } from 'mssql-token-pool';

const require = createRequire(import.meta.url);
const SIZE = 50;
const QUERIES_PER_SECOND = 500;
const HOLD_MS = 40;
const TOKEN_LIFE_S = 12;

/** @typedef {{ client: string, rollovers: number, queries: number, failed: number, logins: number, refused: number, steadyP99: number, steadyMax: number, openingP99: number, openingMax: number, ratioP99: number, mostLoginsPerSecond: number }} RolloverFigures */

/** @param {{ seconds?: number, clients?: string[] }} [options] @returns {Promise<RolloverFigures[]>} */
export async function measureRollover({ seconds = 90, clients = Object.keys(CLIENTS) } = {}) {
  const figures = [];
  for (const name of clients) figures.push(await measure(name, seconds));
  return figures;
}

async function measure(name, seconds) {
  const child = fork(fileURLToPath(new URL('./lib/rollover-site.mjs', import.meta.url)), [String(TOKEN_LIFE_S)], {
    execArgv: [],
  });
  const [site] = await once(child, 'message');
  const client = await CLIENTS[name](site);
  const warm = await Promise.all(Array.from({ length: SIZE }, () => client.acquire()));
  for (const connection of warm) client.release(connection);
  const { Request } = require('tedious');
  const steady = [];
  const opening = [];
  let failed = 0;
  const startedAt = performance.now();
  const pending = new Set();
  for (let n = 0; performance.now() - startedAt < seconds * 1_000; n += 1) {
    const due = startedAt + (n * 1_000) / QUERIES_PER_SECOND;
    const wait = due - performance.now();
    if (wait > 1) await new Promise((resolve) => setTimeout(resolve, wait));
    const one = call().catch(() => {
      failed += 1;
    });
    pending.add(one);
    void one.then(() => pending.delete(one));
  }
  await Promise.all(pending);
  child.send('logins');
  const [{ logins, tokens }] = await once(child, 'message');
  await client.close();
  child.kill();
  const perSecond = new Map();
  for (const { time } of logins)
    perSecond.set(Math.floor(time / 1_000), (perSecond.get(Math.floor(time / 1_000)) ?? 0) + 1);
  // The filling of the pool is not a rollover.
  const counts = [...perSecond]
    .sort(([a], [b]) => a - b)
    .slice(3)
    .map(([, count]) => count);
  const figures = {
    client: name,
    rollovers: tokens - 1,
    queries: steady.length + opening.length,
    failed,
    logins: logins.length,
    refused: logins.filter(({ accepted }) => !accepted).length,
    steadyP99: percentile(steady, 0.99),
    steadyMax: Math.max(0, ...steady.slice(-200_000)),
    openingP99: percentile(opening, 0.99),
    openingMax: Math.max(0, ...opening.slice(-200_000)),
    ratioP99: percentile(opening, 0.99) / percentile(steady, 0.99),
    mostLoginsPerSecond: Math.max(0, ...counts),
  };
  return figures;

  async function call() {
    const calledAt = performance.now();
    const openingBefore = client.opening();
    const connection = await client.acquire();
    const waited = performance.now() - calledAt;
    (openingBefore > 0 || client.opening() > 0 ? opening : steady).push(waited);
    try {
      await new Promise((resolve, reject) =>
        connection.execSqlBatch(new Request('SELECT 1', (error) => (error ? reject(error) : resolve()))),
      );
      await new Promise((resolve) => setTimeout(resolve, HOLD_MS));
    } finally {
      client.release(connection);
    }
  }
}

const CLIENTS = {
  'mssql-token-pool': async ({ config, token }) => {
    const pool = createTokenPool({ ...config, authentication: provider(token), pool: { max: SIZE } });
    return {
      acquire: () => pool.acquire(),
      release: (connection) => pool.release(connection),
      opening: () => pool.stats.opening,
      close: () => pool.close(),
    };
  },
  'mssql, token-credential, validateConnection': async ({ config, token }) => {
    const sql = require('mssql');
    const pool = new sql.ConnectionPool({
      ...config,
      authentication: { type: 'token-credential', options: { credential: provider(token) } },
      validateConnection: true,
      pool: { max: SIZE },
    });
    await pool.connect();
    return {
      acquire: () => pool.pool.acquire().promise,
      release: (connection) => pool.pool.release(connection),
      opening: () => pool.pool.numPendingCreates(),
      close: () => pool.close(),
    };
  },
  'knex, expirationChecker': async ({ config, token }) => {
    const credential = provider(token);
    const { knex } = await import('knex');
    const db = knex({
      client: 'mssql',
      connection: async () => {
        const { token: text, expiresOnTimestamp } = await credential.getToken();
        const { server, port, options } = config;
        return {
          server,
          port,
          options,
          type: 'azure-active-directory-access-token',
          token: text,
          expirationChecker: () => Date.now() > expiresOnTimestamp - (TOKEN_LIFE_S * 1_000) / 10,
        };
      },
      pool: { min: 0, max: SIZE },
    });
    return {
      acquire: () => db.client.acquireConnection(),
      release: (connection) => db.client.releaseConnection(connection),
      opening: () => db.client.pool.numPendingCreates(),
      close: () => db.destroy(),
    };
  },
};

/** A credential with the usual cache: the same token until a tenth of its life is left. */
function provider({ url, body }) {
  let cached;
  return {
    async getToken() {
      if (cached !== undefined && Date.now() < cached.renewAt) return cached;
      const answer = await fetch(url, { method: 'POST', body: new URLSearchParams(body) });
      const { access_token: token, expires_in: seconds } = await answer.json();
      const now = Date.now();
      // Half-way, as the pool asks for it; a client that does not ask gets no new one before the end is near.
      cached = { token, expiresOnTimestamp: now + seconds * 1_000, renewAt: now + seconds * 400 };
      return cached;
    },
  };
}

function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values, positionals } = parseArgs({
    options: { seconds: { type: 'string', default: '90' } },
    allowPositionals: true,
  });
  const clients = positionals.length > 0 ? positionals : undefined;
  for (const figures of await measureRollover({ seconds: Number(values.seconds), clients })) console.log(figures);
  process.exit();
}

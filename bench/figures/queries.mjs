/**
 * `SELECT 1` over TLS against the SQL emulator in a separate process, on warm pools of 10. Our pool is measured in three
 * settings, in place of the pool it replaces: behind mssql, behind Kysely, and standalone.
 */
import { Kysely, sql as kyselySql, MssqlDialect } from 'kysely';
import { createTokenPool } from 'mssql-token-pool';
import { dialectConfig } from 'mssql-token-pool/kysely';
import ours from 'mssql-token-pool/mssql';
import { check } from '../lib/check.mjs';
import { figureProgram } from '../lib/figure-program.mjs';
import { mssql, tarn, tedious } from '../lib/peers.mjs';
import { figure, interleave, OURS } from '../lib/rounds.mjs';
import { startSite } from '../lib/site.mjs';

const MAX = 10;

/**
 * @typedef {object} Client
 * @property {(n: number) => Promise<unknown>} select selects the number and resolves with the answer
 * @property {() => unknown} close
 */

const BEHIND_MSSQL = `${OURS} behind mssql`;
const BEHIND_KYSELY = `${OURS} behind Kysely`;
const ALONE = `${OURS} alone`;
const MSSQL_DEFAULT = 'mssql, default';
const MSSQL_SOCKET = "mssql, validateConnection 'socket'";
const KYSELY_TARN = 'Kysely + tarn';
const BARE = 'tedious, no pool';

/** @param {import('../lib/site.mjs').Site} site @returns {Record<string, () => Promise<Client>>} */
function clients({ config, token }) {
  const credential = { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 8e7 }) };
  const login = { type: 'token-credential', options: { credential } };
  // A new object each time, because mssql writes its defaults into the config.
  const withLogin = () => ({ ...config, authentication: login, pool: { max: MAX } });
  const tediousConfig = {
    server: config.server,
    authentication: login,
    options: { ...config.options, port: config.port },
  };

  return {
    [ALONE]: async () => {
      const pool = createTokenPool({ ...withLogin(), tedious });
      return {
        select: (n) => pool.use((connection) => selectWithTedious(connection, n)),
        close: () => pool.close(),
      };
    },
    [BARE]: async () => {
      const free = await Promise.all(Array.from({ length: MAX }, () => connect(tediousConfig)));
      const all = [...free];
      /** @type {((connection: import('tedious').Connection) => void)[]} */
      const waiting = [];
      return {
        async select(n) {
          const connection = free.pop() ?? (await new Promise((resolve) => waiting.push(resolve)));
          try {
            return await selectWithTedious(connection, n);
          } finally {
            const next = waiting.shift();
            if (next === undefined) free.push(connection);
            else next(connection);
          }
        },
        close: () => {
          for (const connection of all) connection.close();
        },
      };
    },
    [BEHIND_MSSQL]: () => mssqlClient(ours, withLogin()),
    [MSSQL_DEFAULT]: () => mssqlClient(mssql, withLogin()),
    [MSSQL_SOCKET]: () => mssqlClient(mssql, { ...withLogin(), validateConnection: 'socket' }),
    [BEHIND_KYSELY]: async () => kyselyClient(dialectConfig({ ...withLogin(), tedious })),
    [KYSELY_TARN]: async () =>
      kyselyClient({
        tarn: { ...tarn, options: { min: 0, max: MAX, propagateCreateError: true } },
        tedious: { ...tedious, connectionFactory: () => new tedious.Connection(tediousConfig) },
      }),
  };
}

/** @param {typeof mssql} sql @param {object} config @returns {Promise<Client>} */
async function mssqlClient(sql, config) {
  const pool = await new sql.ConnectionPool(config).connect();
  return {
    select: async (n) => (await pool.request().query(statement(n))).recordset[0].n,
    close: () => pool.close(),
  };
}

/** @param {any} config @returns {Client} */
function kyselyClient(config) {
  const db = new Kysely({ dialect: new MssqlDialect(config) });
  return {
    select: async (n) => (await kyselySql.raw(statement(n)).execute(db)).rows[0].n,
    close: () => db.destroy(),
  };
}

/** @param {number} n */
function statement(n) {
  return `SELECT ${n} AS n`;
}

/** @param {any} connection @param {number} n */
function selectWithTedious(connection, n) {
  return new Promise((resolve, reject) => {
    let value;
    const request = new tedious.Request(statement(n), (error) => (error ? reject(error) : resolve(value)));
    request.on('row', (columns) => {
      value = columns[0].value;
    });
    connection.execSql(request);
  });
}

/** @param {object} config @returns {Promise<import('tedious').Connection>} */
function connect(config) {
  return new Promise((resolve, reject) => {
    const connection = new tedious.Connection(config);
    connection.connect((error) => (error ? reject(error) : resolve(connection)));
  });
}

/** @param {{ quick: boolean }} options */
async function measure({ quick }) {
  const site = await startSite();
  const figures = [];
  try {
    const open = {};
    for (const [name, start] of Object.entries(clients(site))) open[name] = await start();
    for (const callers of [1, 32]) {
      const queries = (quick ? 64 : 800) / (callers === 1 ? 4 : 1);
      const results = await interleave(
        Object.fromEntries(
          Object.entries(open).map(([name, client]) => [name, () => perSecond(client, callers, queries)]),
        ),
        // One caller waits for the site's process each time, so a round says more about the scheduler: with 15 of them the ratio of
        // two equal clients varies by 10 %. By CPU time, a query on our connection costs 1 to 3 % more than on a bare one.
        { rounds: quick ? 3 : callers === 1 ? 61 : 15, warmUp: quick ? 1 : 3 },
      );
      figures.push(...rows(callers, results));
    }
    for (const client of Object.values(open)) await client.close();
  } finally {
    site.close();
  }
  return figures;
}

/** @param {number} callers @param {Record<string, number[]>} results */
function rows(callers, results) {
  const title = `SELECT 1, ${callers === 1 ? '1 caller' : `${callers} callers`}, pool of ${MAX}`;
  const unit = 'queries/s';
  const better = /** @type {const} */ ('higher');
  const only = (mine, ...peers) =>
    Object.fromEntries([[OURS, results[mine]], ...peers.map((peer) => [peer, results[peer]])]);
  return [
    figure({
      ...{ name: `${title}: mssql`, unit, better, against: MSSQL_DEFAULT },
      aim: ">= 1.7 x mssql's default, >= 0.97 x mssql with 'socket'",
      results: only(BEHIND_MSSQL, MSSQL_DEFAULT, MSSQL_SOCKET),
      reached: ({ ratios }) => ratios[MSSQL_DEFAULT] >= 1.7 && ratios[MSSQL_SOCKET] >= 0.97,
    }),
    figure({
      ...{ name: `${title}: Kysely`, unit, better, against: KYSELY_TARN },
      aim: '>= 0.97 x Kysely + tarn',
      results: only(BEHIND_KYSELY, KYSELY_TARN),
      reached: ({ ratio }) => ratio >= 0.97,
    }),
    figure({
      ...{ name: `${title}: tedious`, unit, better, against: BARE },
      aim: '>= 0.9 x tedious without a pool, >= 0.97 x the best pool',
      results: only(ALONE, BARE, MSSQL_DEFAULT, MSSQL_SOCKET, KYSELY_TARN),
      reached: ({ ratio, ratios }) =>
        ratio >= 0.9 && [MSSQL_DEFAULT, MSSQL_SOCKET, KYSELY_TARN].every((pool) => ratios[pool] >= 0.97),
    }),
  ];
}

/** @param {Client} client @param {number} callers @param {number} queries */
async function perSecond(client, callers, queries) {
  let next = 0;
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: callers }, async () => {
      for (let n = next++; n < queries; n = next++) {
        const answer = await client.select(n);
        check(answer === n, `SELECT ${n} gave ${answer}`);
      }
    }),
  );
  return queries / ((performance.now() - startedAt) / 1000);
}

await figureProgram(measure);

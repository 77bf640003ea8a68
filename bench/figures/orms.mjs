/**
 * The cost of Sequelize's and Prisma's own pools, which check a connection's token at checkout. The first query after a token
 * renewal waits for a login, whereas our pool has opened the next connection by then. Also the cost of the check itself,
 * compared with the same ORM without it.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { PrismaMssql } from '@prisma/adapter-mssql';
import { createCredential } from 'mssql-token-pool';
import ours from 'mssql-token-pool/mssql';
import { adapterConfig } from 'mssql-token-pool/prisma';
import { sequelizeOptions } from 'mssql-token-pool/sequelize';
import { Sequelize } from 'sequelize';
import { check } from '../lib/check.mjs';
import { figureProgram } from '../lib/figure-program.mjs';
import { figure, interleave, OURS } from '../lib/rounds.mjs';
import { startSite } from '../lib/site.mjs';

const TOKEN_LIFE_S = 3;
/** As in lib/rollover-site.mjs. */
const LOGIN_MS = 100;
const MAX = 4;
const OUR_POOL = `${OURS} behind mssql`;
const SEQUELIZE = 'Sequelize, its own pool';
const PRISMA = 'Prisma, its own pool';

/** @typedef {{ select: (n: number) => Promise<unknown>, close: () => unknown }} Client */

/** @param {object} config @returns {Promise<Client>} */
async function mssqlClient(config) {
  const pool = await new ours.ConnectionPool(config).connect();
  return {
    select: async (n) => (await pool.request().query(`SELECT ${n} AS n`)).recordset[0].n,
    close: () => pool.close(),
  };
}

/** @param {object} options @returns {Client} */
function sequelizeClient(options) {
  const sequelize = new Sequelize({ ...options, logging: false, databaseVersion: '16.0.1000' });
  return {
    select: async (n) => (await sequelize.query(`SELECT ${n} AS n`))[0][0].n,
    close: () => sequelize.close(),
  };
}

/** The adapter without the generated client, because the pool is in the adapter. @param {any} config @returns {Promise<Client>} */
async function prismaClient(config) {
  const adapter = await new PrismaMssql(config).connect();
  return {
    select: async (n) => (await adapter.queryRaw({ sql: `SELECT ${n} AS n`, args: [], argTypes: [] })).rows[0][0],
    close: () => adapter.dispose(),
  };
}

/** @param {{ quick: boolean }} options */
async function measure({ quick }) {
  return [await firstQuery(quick ? 2 : 7), ...(await theLook(quick))];
}

/** @param {number} rounds */
async function firstQuery(rounds) {
  const child = fork(new URL('../lib/rollover-site.mjs', import.meta.url), [String(TOKEN_LIFE_S)], { execArgv: [] });
  const [{ config, token }] = await once(child, 'message');
  const credential = createCredential(async () => {
    const answer = await fetch(token.url, { method: 'POST', body: new URLSearchParams(token.body) });
    const { access_token, expires_in } = await answer.json();
    return { token: access_token, expiresOnTimestamp: Date.now() + expires_in * 1_000 };
  });
  // A new object each time, because mssql writes its defaults into the config.
  const login = () => ({ ...config, authentication: credential, pool: { max: MAX } });
  const clients = {
    [OUR_POOL]: await mssqlClient(login()),
    [SEQUELIZE]: sequelizeClient(sequelizeOptions(login())),
    [PRISMA]: await prismaClient(adapterConfig(login())),
  };
  let rested = Promise.resolve();
  const timed = (name) => async () => {
    await rested;
    const startedAt = performance.now();
    check((await clients[name].select(7)) === 7, `${name}: a wrong answer`);
    const took = performance.now() - startedAt;
    // Between two queries, every client is idle for the lifetime of a token.
    rested = sleep(TOKEN_LIFE_S * 1_000);
    return took;
  };
  const results = await interleave(Object.fromEntries(Object.keys(clients).map((name) => [name, timed(name)])), {
    rounds,
  });
  for (const client of Object.values(clients)) await client.close();
  child.kill();
  return figure({
    name: `first query after a token renewal, logins of ${LOGIN_MS} ms`,
    unit: 'ms',
    against: SEQUELIZE,
    aim: '<= 0.5 x an ORM with its own pool, which waits for a login',
    results: { [OURS]: results[OUR_POOL], [SEQUELIZE]: results[SEQUELIZE], [PRISMA]: results[PRISMA] },
    reached: ({ ratios }) => Object.values(ratios).every((ratio) => ratio <= 0.5),
  });
}

/** @param {boolean} quick */
async function theLook(quick) {
  const site = await startSite();
  const { config, token } = site;
  const pool = { max: MAX };
  const credential = { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 8e7 }) };
  const fixed = { type: 'azure-active-directory-access-token', options: { token } };
  const { server, port, options } = config;
  const stockSequelize = {
    ...{ dialect: 'mssql', host: server, port, database: 'master', pool },
    dialectOptions: { options: { ...options, trustServerCertificate: false }, authentication: fixed },
  };
  const pairs = {
    Sequelize: {
      [OURS]: sequelizeClient(sequelizeOptions({ ...config, database: 'master', authentication: credential, pool })),
      'Sequelize, one fixed token': sequelizeClient(stockSequelize),
    },
    Prisma: {
      [OURS]: await prismaClient(adapterConfig({ ...config, authentication: credential, pool })),
      'Prisma, one fixed token': await prismaClient({ ...config, authentication: fixed, pool }),
    },
  };
  const figures = [];
  for (const [name, clients] of Object.entries(pairs)) {
    const results = await interleave(
      Object.fromEntries(
        Object.entries(clients).map(([who, client]) => [who, () => perSecond(client, quick ? 20 : 100)]),
      ),
      { rounds: quick ? 3 : 15, warmUp: quick ? 1 : 3 },
    );
    figures.push(
      figure({
        name: `SELECT 1 through ${name}, checking the token`,
        unit: 'queries/s',
        better: 'higher',
        aim: '>= 0.95 x without',
        results,
        reached: ({ ratio }) => ratio >= 0.95,
      }),
    );
    for (const client of Object.values(clients)) await client.close();
  }
  site.close();
  return figures;
}

/** @param {Client} client @param {number} queries */
async function perSecond(client, queries) {
  const startedAt = performance.now();
  for (let n = 1; n <= queries; n += 1) check((await client.select(n)) === n, `SELECT ${n} gave something else`);
  return queries / ((performance.now() - startedAt) / 1_000);
}

await figureProgram(measure);

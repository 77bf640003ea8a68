/**
 * Checking out a warm connection and returning it, without a query, on connections without sockets: what a pool itself costs.
 * One caller finds a free connection each time; 32 callers share a pool of 10, so that most of them wait in its queue.
 */
import { createTokenPool } from 'mssql-token-pool';
import { check } from '../lib/check.mjs';
import { figureProgram } from '../lib/figure-program.mjs';
import { genericPool, mssql, sequelizePool, tarn } from '../lib/peers.mjs';
import { figure, interleave, OURS } from '../lib/rounds.mjs';
import { longToken, stubFactory, stubTedious } from '../lib/stub-tedious.mjs';

const MAX = 10;

/**
 * @typedef {import('../lib/stub-tedious.mjs').StubConnection} StubConnection
 *
 * @typedef {object} Pool
 * @property {() => Promise<StubConnection>} acquire
 * @property {(connection: StubConnection) => unknown} release
 * @property {() => unknown} close
 */

/** @type {Record<string, () => Pool>} */
const POOLS = {
  [OURS]() {
    const pool = createTokenPool({
      server: 'localhost',
      authentication: longToken,
      pool: { max: MAX },
      tedious: stubTedious,
    });
    return {
      acquire: () => /** @type {Promise<any>} */ (pool.acquire()),
      release: (connection) => pool.release(/** @type {any} */ (connection)),
      close: () => pool.close(),
    };
  },
  'generic-pool, testOnBorrow'() {
    const { create, destroy, isGood } = stubFactory;
    const validate = async (/** @type {StubConnection} */ connection) => isGood(connection);
    const options = { max: MAX, testOnBorrow: true, acquireTimeoutMillis: 30_000 };
    const pool = genericPool.createPool({ create, destroy, validate }, options);
    return {
      acquire: () => pool.acquire(),
      release: (connection) => pool.release(connection),
      close: async () => {
        await pool.drain();
        await pool.clear();
      },
    };
  },
  "mssql's tarn, validation 'socket'"() {
    // mssql's own check and settings (lib/base/connection-pool.js), asked about stub connections.
    const parent = new mssql.ConnectionPool({ server: 'localhost', validateConnection: 'socket' });
    const pool = new tarn.Pool({
      create: stubFactory.create,
      validate: parent._poolValidate.bind(parent),
      destroy: stubFactory.destroy,
      ...{ max: MAX, min: 0, idleTimeoutMillis: 30_000, propagateCreateError: true },
    });
    return {
      acquire: () => pool.acquire().promise,
      release: (connection) => pool.release(connection),
      close: () => pool.destroy(),
    };
  },
  'sequelize-pool'() {
    const { create, destroy, isGood: validate } = stubFactory;
    const settings = { idleTimeoutMillis: 30_000, acquireTimeoutMillis: 30_000, reapIntervalMillis: 1000 };
    const pool = new sequelizePool.Pool({ name: 'stub', create, destroy, validate, max: MAX, min: 0, ...settings });
    return {
      acquire: () => pool.acquire(),
      release: (connection) => pool.release(connection),
      close: async () => {
        await pool.drain();
        await pool.destroyAllNow();
      },
    };
  },
};

/** @param {{ quick: boolean }} options */
async function measure({ quick }) {
  const figures = [];
  for (const { callers, checkouts } of [
    { callers: 1, checkouts: quick ? 2_000 : 20_000 },
    { callers: 32, checkouts: quick ? 2_000 : 20_000 },
  ]) {
    const pools = Object.fromEntries(Object.entries(POOLS).map(([name, open]) => [name, open()]));
    for (const pool of Object.values(pools)) await fill(pool);
    const results = await interleave(
      Object.fromEntries(
        Object.entries(pools).map(([name, pool]) => [name, () => microseconds(pool, callers, checkouts)]),
      ),
      { rounds: quick ? 3 : 15, warmUp: quick ? 1 : 3 },
    );
    for (const pool of Object.values(pools)) await pool.close();
    figures.push(
      figure({
        name: `warm checkout + return, ${callers === 1 ? '1 caller' : `${callers} callers, pool of ${MAX}`}`,
        unit: 'µs',
        aim: "<= 1.25 x generic-pool; <= 1 x mssql's tarn",
        against: 'generic-pool, testOnBorrow',
        results,
        reached: ({ ratios }) =>
          ratios['generic-pool, testOnBorrow'] <= 1.25 && ratios["mssql's tarn, validation 'socket'"] <= 1,
      }),
    );
  }
  return figures;
}

/** @param {Pool} pool */
async function fill(pool) {
  const all = await Promise.all(Array.from({ length: MAX }, () => pool.acquire()));
  for (const connection of all) await pool.release(connection);
}

/** @param {Pool} pool @param {number} callers @param {number} checkouts */
async function microseconds(pool, callers, checkouts) {
  const each = Math.ceil(checkouts / callers);
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: callers }, () => call(pool, each)));
  return ((performance.now() - startedAt) * 1000) / (each * callers);
}

/** @param {Pool} pool @param {number} times */
async function call(pool, times) {
  for (let i = 0; i < times; i += 1) {
    const connection = await pool.acquire();
    check(stubFactory.isGood(connection), 'a connection that is not logged in was handed out');
    check(!connection.isBorrowed, 'a connection was handed out twice');
    connection.isBorrowed = true;
    // As a query would, it lets the others run.
    await null;
    connection.isBorrowed = false;
    pool.release(connection);
  }
}

await figureProgram(measure);

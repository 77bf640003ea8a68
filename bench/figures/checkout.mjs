/**
 * The cost of the pool itself: checking out a warm connection and returning it, without a query, on connections without
 * sockets. One caller always finds an idle connection; 32 callers share a pool of 10, so most of them wait in its queue.
 */
import { check } from '../lib/check.mjs';
import { figureProgram } from '../lib/figure-program.mjs';
import { figure, interleave } from '../lib/rounds.mjs';
import { stubFactory } from '../lib/stub-tedious.mjs';
import { fill, GENERIC_POOL, SEQUELIZE_POOL, WARM_POOLS } from '../lib/warm-pools.mjs';

/** @typedef {import('../lib/warm-pools.mjs').Pool} Pool */

const MAX = 10;

/** @param {{ quick: boolean }} options */
async function measure({ quick }) {
  const checkouts = quick ? 2_000 : 20_000;
  const figures = [];
  for (const callers of [1, 32]) {
    /** @type {Record<string, Pool>} */
    const pools = {};
    for (const [name, open] of Object.entries(WARM_POOLS)) {
      pools[name] = await open(MAX);
      await fill(pools[name], MAX);
    }
    const contestants = Object.entries(pools).map(([name, pool]) => [
      name,
      () => microseconds(pool, callers, checkouts),
    ]);
    const results = await interleave(Object.fromEntries(contestants), {
      // A quick round takes 2 ms: the median of three would be that of the machine's other work.
      rounds: quick ? 11 : 31,
      warmUp: 5,
    });
    for (const pool of Object.values(pools)) await pool.close();
    figures.push(
      figure({
        name: `warm checkout + return, ${callers === 1 ? '1 caller' : `${callers} callers, pool of ${MAX}`}`,
        unit: 'µs',
        aim: '<= 0.6 x sequelize-pool; <= 0.35 x generic-pool',
        against: SEQUELIZE_POOL,
        results,
        reached: ({ ratios }) => ratios[SEQUELIZE_POOL] <= 0.6 && ratios[GENERIC_POOL] <= 0.35,
      }),
    );
  }
  return figures;
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
    // Yields to the other callers, as a query would.
    await null;
    connection.isBorrowed = false;
    pool.release(connection);
  }
}

await figureProgram(measure);

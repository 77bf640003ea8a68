/** One process of figures/connection-cycle.mjs: one library whose callers check out and return without pause; prints percentiles, µs. */
import { check } from './check.mjs';
import { quantile } from './rounds.mjs';
import { stubFactory } from './stub-tedious.mjs';
import { fill, WARM_POOLS } from './warm-pools.mjs';

const { way, callers, max, cycles } = JSON.parse(process.argv[2]);
const pool = await WARM_POOLS[way](max);
await fill(pool, max);
await run(cycles);
globalThis.gc();
const samples = (await run(cycles)).sort();
await pool.close();
const [p50, p99, p999] = [0.5, 0.99, 0.999].map((at) => quantile(samples, at) * 1000);
process.stdout.write(JSON.stringify({ p50, p99, p999 }), () => process.exit());

/** @param {number} total */
async function run(total) {
  const each = Math.floor(total / callers);
  const taken = new Float64Array(each * callers);
  let done = 0;
  await Promise.all(Array.from({ length: callers }, cycle));
  return taken;

  async function cycle() {
    for (let i = 0; i < each; i += 1) {
      const startedAt = performance.now();
      const connection = await pool.acquire();
      check(stubFactory.isGood(connection), 'a connection that is not logged in was handed out');
      pool.release(connection);
      taken[done] = performance.now() - startedAt;
      done += 1;
    }
  }
}

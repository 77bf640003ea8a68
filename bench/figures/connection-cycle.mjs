/**
 * ConnectionCycle from HikariCP's benchmark: 32 callers check out and return a connection without pause, on as many
 * connections (unconstrained) and on half as many (2:1 oversubscribed). Each library runs in its own process. The figure is
 * the duration of one cycle, including the wait for a connection.
 */
import { runFresh } from '../lib/child.mjs';
import { figureProgram } from '../lib/figure-program.mjs';
import { figure, interleaveMany } from '../lib/rounds.mjs';
import { WARM_POOLS } from '../lib/warm-pools.mjs';

const CALLERS = 32;
const SHAPES = { unconstrained: CALLERS, '2:1 oversubscribed': CALLERS / 2 };
const PERCENTILES = { p50: 'p50', p99: 'p99', p999: 'p99.9' };

/** @param {{ quick: boolean }} options */
async function measure({ quick }) {
  const figures = [];
  for (const [shape, max] of Object.entries(SHAPES)) {
    const about = { callers: CALLERS, max, cycles: quick ? 10_000 : 100_000 };
    const run = (/** @type {string} */ way) => () =>
      runFresh('connection-cycle-client.mjs', { way, ...about }, ['--expose-gc']);
    const contestants = Object.fromEntries(Object.keys(WARM_POOLS).map((way) => [way, run(way)]));
    const results = await interleaveMany(contestants, { rounds: quick ? 1 : 7, warmUp: 0 });
    for (const [key, label] of Object.entries(PERCENTILES)) {
      figures.push(
        figure({
          name: `connection cycle, ${shape}: ${label}`,
          unit: 'µs',
          aim: '<= the best other pool',
          results: results[key],
          reached: ({ ratio }) => ratio <= 1,
        }),
      );
    }
  }
  return figures;
}

await figureProgram(measure);

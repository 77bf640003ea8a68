/**
 * The cost of idle pools: 1,000 pools with one connection each, and one pool of 5,000, on connections without sockets.
 * Compared with mssql, and for memory also with generic-pool alone, on which our pool is built. Time is virtual, so ten idle
 * minutes take only as long as the work done in them. A timer of that clock takes 266 bytes, one of Node.js 156 (measured on Node 20);
 * mssql and this library have one for each pool, so both rows are 0.1 KiB too high.
 */
import { runFresh } from '../lib/child.mjs';
import { figureProgram } from '../lib/figure-program.mjs';
import { figure, interleaveMany, median, OURS } from '../lib/rounds.mjs';

const MSSQL = 'mssql + tarn';
const GENERIC_POOL = 'generic-pool alone';
/** The cost of Node.js and the clock by themselves, ms. */
const NOTHING_MS = 2;
/** How much more memory than mssql's a pool at rest may take: its tokens, and the successors of its connections, are extra. */
const POOL_SHARE = 1.2;

/** @param {{ quick: boolean }} options */
async function measure({ quick }) {
  const rounds = quick ? 1 : 5;
  const many = await collect({ pools: quick ? 200 : 1_000, connections: 1 }, rounds);
  const big = await collect({ pools: 1, connections: quick ? 1_000 : 5_000 }, rounds);
  const small = await collect({ pools: 1, connections: 50 }, rounds);
  const title = `${quick ? 200 : '1,000'} idle pools`;
  const bigTitle = `one pool of ${quick ? '1,000' : '5,000'}`;
  const notMore = ({ ratios }) => ratios[MSSQL] <= 1;
  const atRest = 'work in 10 min at rest';
  const flat = median(big.workMs[OURS]) <= NOTHING_MS + 2 * median(small.workMs[OURS]);
  return [
    figure({
      name: `${title}: memory each`,
      unit: 'KiB',
      aim: `<= ${POOL_SHARE} x mssql's`,
      against: MSSQL,
      results: many.kib,
      reached: ({ ratios }) => ratios[MSSQL] <= POOL_SHARE,
    }),
    figure({
      ...{
        name: `${title}: timers`,
        unit: 'timers',
        aim: 'one for each pool or fewer',
        results: withoutGenericPool(many.timers),
      },
      reached: ({ ours }) => ours <= (quick ? 200 : 1_000),
    }),
    figure({
      name: `${title}: ${atRest}`,
      unit: 'ms',
      aim: "<= mssql's",
      against: MSSQL,
      results: withoutGenericPool(many.workMs),
      reached: notMore,
    }),
    figure({
      ...{
        name: `${bigTitle}: memory of a connection`,
        unit: 'KiB',
        aim: "<= mssql's",
        against: MSSQL,
        results: big.kib,
      },
      reached: notMore,
    }),
    figure({
      ...{
        name: `${bigTitle}: timers`,
        unit: 'timers',
        aim: '1',
        results: withoutGenericPool(big.timers),
        reached: ({ ours }) => ours <= 1,
      },
    }),
    figure({
      ...{
        name: `${bigTitle}: ${atRest}`,
        unit: 'ms',
        aim: 'that of a pool of 50',
        results: withoutGenericPool(big.workMs),
      },
      reached: () => flat,
    }),
  ];
}

/** generic-pool alone does no background work. @param {Record<string, number[]>} results */
function withoutGenericPool({ [GENERIC_POOL]: _, ...others }) {
  return others;
}

/** @param {{ pools: number, connections: number }} shape @param {number} rounds */
function collect(shape, rounds) {
  const run = (/** @type {string} */ way) => () => runFresh('at-rest-client.mjs', { way, ...shape }, ['--expose-gc']);
  return interleaveMany(
    { [OURS]: run('ours'), [MSSQL]: run('mssql'), [GENERIC_POOL]: run('genericPool') },
    { rounds, warmUp: 0 },
  );
}

await figureProgram(measure);

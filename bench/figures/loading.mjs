/**
 * The time and memory that this package adds to a process that uses mssql anyway, measured in fresh processes; and whether
 * MSAL, the largest part, is not loaded until a token is requested.
 */
import { check } from '../lib/check.mjs';
import { runFresh } from '../lib/child.mjs';
import { figureProgram } from '../lib/figure-program.mjs';
import { figure, interleaveMany, median, OURS } from '../lib/rounds.mjs';

const MSSQL = 'mssql itself';
const AFTER = 'ours after mssql';
/** The limit on the time added to mssql's own. */
const MOST_MS = 15;

/** @param {{ quick: boolean }} options */
async function measure({ quick }) {
  const client = (/** @type {string} */ what) => () => runFresh('loading-client.mjs', { what });
  const contestants = { [OURS]: client('ours'), [MSSQL]: client('stock'), [AFTER]: client('after') };
  const { milliseconds } = await interleaveMany(contestants, { rounds: quick ? 3 : 31 });
  const { [AFTER]: after, ...instead } = milliseconds;
  const more = median(instead[OURS].map((own, round) => own - instead[MSSQL][round]));
  const memory = [];
  for (let i = 0; i < (quick ? 1 : 5); i += 1)
    memory.push(await runFresh('loading-client.mjs', { what: 'memory' }, ['--expose-gc']));
  const msal = await runFresh('loading-client.mjs', { what: 'msal' });
  check(msal.after, 'MSAL was not seen although a token was asked for');
  return [
    figure({
      ...{ name: "import 'mssql-token-pool/mssql' instead of 'mssql'", unit: 'ms', aim: `<= ${MOST_MS} ms more` },
      ...{ results: instead, reached: () => more <= MOST_MS },
    }),
    figure({
      ...{ name: "import 'mssql-token-pool/mssql' after 'mssql'", unit: 'ms', aim: `<= ${MOST_MS} ms` },
      ...{ results: { [OURS]: after, [MSSQL]: instead[MSSQL] }, reached: ({ ours }) => ours <= MOST_MS },
    }),
    figure({
      ...{
        name: "import 'mssql-token-pool/mssql': memory added",
        unit: 'MiB',
        aim: 'MSAL not loaded until a token is needed',
      },
      results: { [OURS]: memory.map(({ added }) => added), [MSSQL]: memory.map(({ base }) => base) },
      reached: () => !msal.before,
    }),
  ];
}

await figureProgram(measure);

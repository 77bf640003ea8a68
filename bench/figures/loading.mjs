/**
 * What loading this package adds to a process that uses mssql anyway, in time and in memory, each in a fresh process; and
 * whether MSAL, the largest part, stays out until somebody wants a token.
 */
import { check } from '../lib/check.mjs';
import { runFresh } from '../lib/child.mjs';
import { figureProgram } from '../lib/figure-program.mjs';
import { figure, OURS } from '../lib/rounds.mjs';

const MSSQL = 'mssql itself';

/** @typedef {{ milliseconds: number, mib: number }} Reading */

/** @param {{ quick: boolean }} options */
async function measure({ quick }) {
  /** @type {{ added: Reading, base: Reading }[]} */
  const readings = [];
  for (let i = 0; i < (quick ? 3 : 11); i += 1)
    readings.push(await runFresh('loading-client.mjs', {}, ['--expose-gc']));
  const all = (/** @type {keyof Reading} */ what) => ({
    [OURS]: readings.map(({ added }) => added[what]),
    [MSSQL]: readings.map(({ base }) => base[what]),
  });
  const msal = await runFresh('loading-client.mjs', { msal: true });
  check(msal.after, 'MSAL was not seen although a token was asked for');
  return [
    figure({
      ...{ name: 'loading mssql-token-pool/mssql on top of mssql', unit: 'ms', aim: '<= 15 ms' },
      ...{ results: all('milliseconds'), reached: ({ ours }) => ours <= 15 },
    }),
    figure({
      ...{ name: 'memory it adds', unit: 'MiB', aim: 'MSAL not loaded until a token is needed', results: all('mib') },
      reached: () => !msal.before,
    }),
  ];
}

await figureProgram(measure);

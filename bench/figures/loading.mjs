/**
 * What loading this package adds to a process that uses mssql anyway, in time and in memory, each in a fresh process; and
 * whether MSAL, the largest part, stays out until somebody wants a token.
 */
import { check } from '../lib/check.mjs';
import { runFresh } from '../lib/child.mjs';
import { figureProgram } from '../lib/figure-program.mjs';
import { figure, interleave, OURS } from '../lib/rounds.mjs';

const MSSQL = 'mssql itself';

/** @param {{ quick: boolean }} options */
async function measure({ quick }) {
  /** @type {Record<string, Record<string, number[]>>} */
  const results = { milliseconds: {}, mib: {} };
  const load = async () => {
    const { added, base } = await runFresh('loading-client.mjs', {}, ['--expose-gc']);
    for (const key of Object.keys(results)) {
      (results[key][OURS] ??= []).push(added[key]);
      (results[key][MSSQL] ??= []).push(base[key]);
    }
    return 0;
  };
  await interleave({ load }, { rounds: quick ? 3 : 15, warmUp: 1 });
  const msal = await runFresh('loading-client.mjs', { msal: true });
  check(msal.after, 'MSAL was not seen although a token was asked for');
  return [
    figure({
      ...{ name: 'loading mssql-token-pool/mssql on top of mssql', unit: 'ms', aim: '<= 15 ms' },
      ...{ results: results.milliseconds, reached: ({ ours }) => ours <= 15 },
    }),
    figure({
      ...{ name: 'memory it adds', unit: 'MiB', aim: 'MSAL not loaded until a token is needed', results: results.mib },
      reached: () => !msal.before,
    }),
  ];
}

await figureProgram(measure);

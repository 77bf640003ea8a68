/**
 * 1,000 processes start together and run for a day on one-hour tokens. Each looks up its token every second, as processes
 * under load do. The token caches are real and run in virtual time, one per process; the identity provider answers after 100
 * to 300 ms. "Without jitter" means that tokens are refreshed five minutes before expiry, as in MSAL.
 */
import { runFresh } from '../lib/child.mjs';
import { figureProgram } from '../lib/figure-program.mjs';
import { figure, interleaveMany, OURS } from '../lib/rounds.mjs';

const NO_JITTER = 'no jitter';
const NOT_SHARED = `${OURS}, nothing shared`;
const ALONE = `${OURS}, one process alone`;

/** @param {{ quick: boolean }} options */
async function measure({ quick }) {
  const processes = quick ? 100 : 1_000;
  const hours = quick ? 4 : 24;
  const run = (/** @type {string} */ way, size = processes) => {
    return () => runFresh('fleet-client.mjs', { way, processes: size, hours });
  };
  const rounds = { rounds: quick ? 1 : 2, warmUp: 0 };
  const { peak, total } = await interleaveMany({ [OURS]: run('ours'), [NO_JITTER]: run('noJitter') }, rounds);
  const shared = await interleaveMany({ [OURS]: run('shared'), [ALONE]: run('ours', 1) }, rounds);
  const title = `${processes.toLocaleString('en')} processes, ${hours} h`;
  return [
    figure({
      ...{ name: `${title}: peak after the start`, unit: 'token requests/s', aim: '10 x lower than without jitter' },
      ...{ results: peak, reached: ({ ratio }) => ratio <= 0.1 },
    }),
    figure({
      ...{ name: `${title}: token requests`, unit: 'requests', aim: 'at most a quarter more than without jitter' },
      ...{ results: total, reached: ({ ratio }) => ratio <= 1.25 },
    }),
    figure({
      ...{ name: `${title}, shared store: token requests`, unit: 'requests', aim: 'as many as one process alone' },
      ...{
        results: { ...shared.total, [NOT_SHARED]: total[OURS] },
        against: ALONE,
        reached: ({ ratio }) => ratio <= 1.1,
      },
    }),
  ];
}

await figureProgram(measure);

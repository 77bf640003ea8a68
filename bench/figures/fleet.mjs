/**
 * 1,000 processes that start together and run for a day on tokens of one hour, each asking for its token every second, as
 * processes under load do. Real token caches in virtual time, one for each process; the identity provider answers after
 * 100 to 300 ms. Without jitter means: refreshed five minutes before the end, as MSAL does it.
 */
import { runFresh } from '../lib/child.mjs';
import { figureProgram } from '../lib/figure-program.mjs';
import { figure, interleave, OURS } from '../lib/rounds.mjs';

const NO_JITTER = 'no jitter';
const CONTESTANTS = { [OURS]: 'ours', [NO_JITTER]: 'noJitter' };

/** @param {{ quick: boolean }} options */
async function measure({ quick }) {
  const processes = quick ? 200 : 1_000;
  const hours = quick ? 4 : 24;
  /** @type {Record<string, Record<string, number[]>>} */
  const results = { peak: {}, perHour: {} };
  const contestants = Object.entries(CONTESTANTS).map(([name, way]) => [
    name,
    async () => {
      const measured = await runFresh('fleet-client.mjs', { way, processes, hours });
      for (const key of Object.keys(results)) (results[key][name] ??= []).push(measured[key]);
      return 0;
    },
  ]);
  await interleave(Object.fromEntries(contestants), { rounds: quick ? 1 : 3, warmUp: 0 });
  const title = `${processes.toLocaleString('en')} processes, ${hours} h`;
  return [
    figure({
      ...{ name: `${title}: peak after the start`, unit: 'token requests/s', aim: '10 x lower than without jitter' },
      ...{ results: results.peak, against: NO_JITTER, reached: ({ ratio }) => ratio <= 0.1 },
    }),
    figure({
      ...{ name: `${title}: per process and hour`, unit: 'token requests', aim: 'the same, within a quarter' },
      ...{ results: results.perHour, against: NO_JITTER, reached: ({ ratio }) => ratio <= 1.25 },
    }),
  ];
}

await figureProgram(measure);

/**
 * A cold process: 100 concurrent callers each want one row from a pool of 50 that has neither a token nor a connection. Each
 * client is a separate process; the time is measured from its first line of code, including loading the libraries, to the
 * last row.
 */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { check } from '../lib/check.mjs';
import { figureProgram } from '../lib/figure-program.mjs';
import { figure, interleaveMany, OURS } from '../lib/rounds.mjs';
import { startSite } from '../lib/site.mjs';

const CLIENTS = {
  [OURS]: 'ours',
  'mssql, service-principal-secret': 'secret',
  'mssql, token-credential with @azure/identity': 'identity',
  'mssql, token-credential with msal-node': 'msal',
  'Kysely + tarn, token-credential with @azure/identity': 'kysely',
};

/** @param {{ quick: boolean }} options */
async function measure({ quick }) {
  const callers = quick ? 20 : 100;
  const max = quick ? 10 : 50;
  const site = await startSite();
  try {
    const contestants = Object.entries(CLIENTS).map(([name, way]) => [
      name,
      async () => {
        const app = await site.addApp();
        const client = { ...app, appName: `${way} ${app.clientId}` };
        const milliseconds = await runClient({ way, site, client, callers, max });
        const counts = await site.counts(client);
        check(counts.refused === 0, `${name}: ${counts.refused} logins refused`);
        return { tokenRequests: counts.tokenRequests, logins: counts.logins, milliseconds };
      },
    ]);
    const { tokenRequests, logins, milliseconds } = await interleaveMany(Object.fromEntries(contestants), {
      rounds: quick ? 1 : 5,
      warmUp: 0,
    });
    const title = `cold start, ${callers} callers, pool of ${max}`;
    return [
      figure({
        ...{ name: `${title}: token requests`, unit: 'requests', aim: '1', results: tokenRequests },
        reached: ({ ours }) => ours === 1,
      }),
      figure({
        ...{ name: `${title}: logins`, unit: 'logins', aim: `${max}: no extra login`, results: logins },
        reached: ({ ours }) => ours <= max,
      }),
      figure({
        ...{ name: `${title}: all served`, unit: 'ms', aim: 'fastest', results: milliseconds },
        reached: ({ ratios }) => Object.values(ratios).every((ratio) => ratio < 1),
      }),
    ];
  } finally {
    site.close();
  }
}

/**
 * @param {{ way: string, site: import('../lib/site.mjs').Site, client: object, callers: number, max: number }} job
 * @returns {Promise<number>} ms
 */
async function runClient({ site: { config, entra }, ...job }) {
  const program = fileURLToPath(new URL('../lib/cold-start-client.mjs', import.meta.url));
  const about = JSON.stringify({ ...job, config, entra });
  const child = spawn(process.execPath, ['--no-warnings', program, about], { stdio: ['ignore', 'pipe', 'inherit'] });
  const printed = await text(child.stdout);
  check(/^\d+(\.\d+)?$/.test(printed), `${job.way}: ${printed || 'the client failed'}`);
  return Number(printed);
}

await figureProgram(measure);

import { writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import stock from 'mssql';
import { sql as ours } from '../mssql/drop-in.js';
import { recordTimeline, type Timeline, timelineOfLogins, timelineReport } from '../telemetry/timeline.js';
import { type EntraEmulator, type SqlEmulator, startEntraEmulator, startSqlEmulator } from '../testing/index.js';
import { type DemoOptions, LIFETIME_SECONDS } from './demo-options.js';
import { progressLine } from './demo-progress.js';
import { Workload } from './demo-workload.js';

const CALLERS = 8;
/** How often all connections are cut, ms; otherwise a pool of open connections would never log in again. */
const CUT_EVERY_MS = 3_000;
/** By then the first token has expired, and new logins are needed. */
const ENOUGH_SECONDS = 2 * LIFETIME_SECONDS;

interface Side {
  name: string;
  server: SqlEmulator;
  workload: Workload;
  tokenRequests: () => number;
  close: () => Promise<unknown>;
}

/**
 * The same work done by stock mssql, configured as its README says, and by this library, while tokens expire every few seconds
 * and the network cuts idle connections now and then.
 *
 * @returns 0 if stock mssql failed and this library did not
 */
export async function demo({ seconds, file }: DemoOptions): Promise<number> {
  const print = (line: string): void => void process.stdout.write(`${line}\n`);

  print(
    `Tokens live ${LIFETIME_SECONDS} s here instead of an hour. ${CALLERS} callers query two servers for ${seconds} s;`,
  );
  print('every few seconds the network cuts the idle connections, as a failover or a load balancer does.\n');

  // Recording starts before our pool is used. Stock mssql publishes no events, so the records of its server are used.
  const recorder = recordTimeline(undefined, { title: 'mssql-token-pool' });
  // This library first: if a login is impossible on this machine, its error says why.
  const own = await startOurs();
  const theirs = await startStock().catch(async (error: unknown) => {
    await own.close();
    throw error;
  });
  const sides = [theirs, own] as const;
  try {
    await compare(sides, seconds);
    print(`\n\n${table(sides)}\n`);
    const firstFailure = sides[0].workload.firstFailure;
    if (firstFailure !== undefined) print(`First error of stock mssql: ${firstFailure}`);
    const verdict = verdictOn(...sides);
    print(verdict.text);
    if (file !== undefined) {
      await writeReport(file, report(sides[0], sides[1], recorder.stop()));
      print(`Timelines: ${file}`);
    }
    return verdict.ok ? 0 : 1;
  } finally {
    // Whatever went wrong, connections that are still open would keep the program running.
    await Promise.all(sides.map((side) => side.close()));
  }
}

/** Runs both workloads side by side, and prints their progress. */
async function compare(sides: readonly Side[], seconds: number): Promise<void> {
  const { stdout } = process;
  const startedAt = Date.now();
  const elapsed = (): number => (Date.now() - startedAt) / 1000;
  process.stdout.write('Queries so far:\n');
  const work = sides.map(({ workload }) => workload.run(CALLERS));
  const cutting = cutNowAndThen(sides, () => elapsed() < seconds);

  while (elapsed() < seconds) {
    await sleep(stdout.isTTY ? 250 : 3_000);
    const line = progressLine(
      elapsed(),
      sides.map(({ name, workload: { queries, failed } }) => ({ name, queries, failed })),
      stdout.columns,
    );
    stdout.write(stdout.isTTY ? `\r${line}` : `${line}\n`);
  }
  for (const { workload } of sides) workload.stop();
  await Promise.all([...work, cutting]);
}

/** The folder was writable before the run; since then the disk may have filled up. */
async function writeReport(file: string, html: string): Promise<void> {
  try {
    await writeFile(file, html);
  } catch (error) {
    throw new Error(`--report ${file}: the report could not be written: ${(error as Error).message}`, { cause: error });
  }
}

/** As mssql's README describes: get a token and put it into the config. */
async function startStock(): Promise<Side> {
  const { entra, server } = await emulators();
  const token = await entra.credential().getToken('https://database.windows.net/.default');
  const pool = new stock.ConnectionPool({
    ...server.config(),
    authentication: { type: 'azure-active-directory-access-token', options: { token: token.token } },
  } as stock.config);
  return connected(side('stock mssql', pool, entra, server), pool);
}

async function startOurs(): Promise<Side> {
  const { entra, server } = await emulators();
  const pool = new ours.ConnectionPool({ ...server.config(), authentication: entra.credential() });
  return connected(side('mssql-token-pool', pool as stock.ConnectionPool, entra, server), pool);
}

async function connected(opened: Side, pool: Pick<stock.ConnectionPool, 'on' | 'connect'>): Promise<Side> {
  pool.on('error', () => undefined);
  try {
    await pool.connect();
    return opened;
  } catch (error) {
    await opened.close();
    throw error;
  }
}

async function emulators(): Promise<{ entra: EntraEmulator; server: SqlEmulator }> {
  const entra = await startEntraEmulator({ tokenLifetimeSeconds: LIFETIME_SECONDS });
  return { entra, server: await startSqlEmulator({ entra, enforceExpiry: 'login' }) };
}

function side(name: string, pool: stock.ConnectionPool, entra: EntraEmulator, server: SqlEmulator): Side {
  return {
    name,
    server,
    workload: new Workload(pool),
    tokenRequests: () => entra.requests.length,
    close: async () => {
      await pool.close();
      await server.close();
      await entra.close();
    },
  };
}

/** Cuts only idle connections: no pool could save a query whose connection is cut. */
async function cutNowAndThen(sides: readonly Side[], more: () => boolean): Promise<void> {
  while (more()) {
    await sleep(CUT_EVERY_MS);
    await Promise.all(
      sides.map(({ server, workload }) =>
        workload.whileNothingRuns(async () => {
          server.dropConnections();
          // Long enough for the clients to notice.
          await sleep(50);
        }),
      ),
    );
  }
}

function report(theirs: Side, own: Side, recorded: Timeline): string {
  const { from, to } = recorded;
  const failures = own.workload.failures.map(({ at, message }) => ({ at, kind: 'failure' as const, message }));
  const title = `The same load on both. Tokens live ${LIFETIME_SECONDS} s instead of an hour, and idle connections are cut every ${CUT_EVERY_MS / 1000} s.`;
  return timelineReport(
    [
      timelineOfLogins(theirs.server.logins, {
        title: 'mssql, configured as its README describes',
        from,
        to,
        failures: theirs.workload.failures,
        worstWaitMs: theirs.workload.worstWaitMs,
      }),
      { ...recorded, worstWaitMs: own.workload.worstWaitMs, events: [...recorded.events, ...failures] },
    ],
    { title },
  );
}

function table(sides: readonly Side[]): string {
  const rows: [label: string, value: (side: Side) => number | string][] = [
    ['queries', ({ workload }) => workload.queries],
    ['failed queries', ({ workload }) => workload.failed],
    ['logins', ({ server }) => server.logins.length],
    ['failed logins', ({ server }) => refusedLogins(server)],
    ['token requests', ({ tokenRequests }) => tokenRequests()],
    ['worst wait', ({ workload }) => `${workload.worstWaitMs.toFixed(0)} ms`],
  ];
  const lines = rows.map(([label, value]) => [label, ...sides.map((each) => String(value(each)))]);
  const all = [['', ...sides.map(({ name }) => name)], ...lines];
  const widths = [0, 1, 2].map((column) => Math.max(...all.map((line) => line[column]?.length ?? 0)));
  const format = (line: string[]): string =>
    line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('   ');
  return [format(all[0] as string[]), widths.map((width) => '-'.repeat(width)).join('   '), ...lines.map(format)].join(
    '\n',
  );
}

/** Logins refused by the server; a login that the network cut is not a refusal. */
function refusedLogins(server: SqlEmulator): number {
  return server.logins.filter(({ error }) => error !== undefined && error !== 'dropped').length;
}

function verdictOn(theirs: Side, own: Side): { ok: boolean; text: string } {
  if (theirs.workload.failed === 0) {
    const text = `Stock mssql did not fail, so there is nothing to compare. Run it for ${ENOUGH_SECONDS} s or longer: its token has to expire first.`;
    return { ok: false, text };
  }
  if (own.workload.failed > 0 || refusedLogins(own.server) > 0) {
    return { ok: false, text: `mssql-token-pool failed: ${own.workload.firstFailure ?? 'a login was refused'}` };
  }
  return { ok: true, text: 'mssql-token-pool: no failed query, no refused login.' };
}

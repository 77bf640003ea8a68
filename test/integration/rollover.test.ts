import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type EntraEmulator, type SqlEmulator, startEntraEmulator, startSqlEmulator } from '../../src/testing/index.js';
import { marginsFor } from '../../src/tokens/held-token.js';
import { type Config, type StockPool, stockMssql, type Way, ways } from '../mssql/three-ways.js';

const LIFETIME_MS = 1500;
const LIFETIMES = 20;
const CALLERS = 50;
/** Every so often nobody wants anything for a while, so that idle connections are closed and new ones log in. */
const WAVE_MS = 2000;
const LULL_MS = 600;
const pool = { max: 10, idleTimeoutMillis: 300, reapIntervalMillis: 100 };

interface Outcome {
  done: number;
  failed: Error[];
  /** Of its logins. */
  appName: string;
  clientId: string;
}

let entra: EntraEmulator;
let server: SqlEmulator;
let ours: Outcome[];
let stock: Outcome;
let worstLagMs: number;

describe('20 token lifetimes of queries, streams and transactions, 50 callers on a pool of 10', () => {
  beforeAll(
    async () => {
      const life = LIFETIME_MS / 1000;
      entra = await startEntraEmulator({ tokenLifetimeSeconds: life, refreshInSeconds: life * 0.7 });
      server = await startSqlEmulator({ entra });
      const lag = monitorEventLoopDelay({ resolution: 5 });
      lag.enable();
      const until = Date.now() + LIFETIMES * LIFETIME_MS;
      [stock, ...ours] = await Promise.all([runStock(until), ...ways.map((way) => runWay(way, until))]);
      lag.disable();
      worstLagMs = lag.max / 1e6;
    },
    60_000 + LIFETIMES * LIFETIME_MS,
  );
  afterAll(async () => {
    await server?.close();
    await entra?.close();
  });

  describe.each(ways.map(({ name }, index) => ({ name, index })))('$name', ({ index }) => {
    const outcome = () => ours[index] as Outcome;
    const logins = () => server.logins.filter(({ appName }) => appName === outcome().appName);

    it('0 failed queries', () => {
      expect(outcome().failed).toEqual([]);
      expect(outcome().done).toBeGreaterThan(50 * LIFETIMES);
    });

    it('0 logins refused', () => {
      expect(logins().length).toBeGreaterThan(LIFETIMES);
      expect(logins().filter(({ accepted }) => !accepted)).toEqual([]);
    });

    it('at most 2 token requests for each lifetime', () => {
      const requests = entra.requests.filter(({ clientId }) => clientId === outcome().clientId);
      expect(requests.length).toBeGreaterThanOrEqual(LIFETIMES / 2);
      expect(requests.length).toBeLessThanOrEqual(2 * LIFETIMES);
    });

    it('no login with a token inside the login margin', () => {
      const { loginMarginMs } = marginsFor(LIFETIME_MS);
      // Client and server share one event loop here: a token sent in time arrives later by what the loop is late.
      const late = logins().filter(({ time, tokenExpiry = 0 }) => time > tokenExpiry - loginMarginMs + worstLagMs);
      expect(late).toEqual([]);
    });
  });

  it('the same load on stock mssql fails', () => {
    expect(stock.failed.length).toBeGreaterThan(0);
    const refused = server.logins.filter(({ appName, accepted }) => appName === stock.appName && !accepted);
    expect(refused.length).toBeGreaterThan(0);
    expect(refused[0]?.error).toMatchObject({ number: 18456 });
  });

  it('no connection is left', () => expect.poll(() => server.connections.open).toBe(0));
});

function runWay(way: Way, until: number): Promise<Outcome> {
  const app = entra.addApp();
  const credential = entra.credential(app);
  return run(way, until, { authentication: { type: 'token-credential', options: { credential } } }, app.clientId);
}

/** As the README of mssql has it: a token in the config. */
async function runStock(until: number): Promise<Outcome> {
  const app = entra.addApp();
  const token = entra.issueToken({ principal: app });
  const authentication = { type: 'azure-active-directory-access-token', options: { token } };
  return run(stockMssql, until, { authentication }, app.clientId);
}

async function run(way: Way, until: number, login: Pick<Config, 'authentication'>, clientId: string): Promise<Outcome> {
  const outcome: Outcome = { done: 0, failed: [], appName: way.name, clientId };
  const config = server.config({ ...login, pool, options: { appName: way.name } });
  const opened = await way.open(config);
  opened.on('error', () => {});
  await Promise.all(
    Array.from({ length: CALLERS }, async (_, caller) => {
      for (let round = caller; Date.now() < until; round += 1) {
        const job = caller === 0 ? longTransaction(opened) : work(way, opened, round);
        await job.then(
          () => {
            outcome.done += 1;
          },
          (error) => outcome.failed.push(error),
        );
        const phase = Date.now() % WAVE_MS;
        await sleep(phase > WAVE_MS - LULL_MS ? WAVE_MS - phase : 50 + 200 * Math.random());
      }
    }),
  );
  await opened.close();
  return outcome;
}

function work(way: Way, opened: StockPool, round: number): Promise<void> {
  if (round % 8 === 7) return transaction(opened);
  if (round % 8 === 3) return stream(opened);
  return query(way, opened, round);
}

async function query({ sql }: Way, opened: StockPool, round: number): Promise<void> {
  const { recordset } = await opened.request().input('n', sql.Int, round).query('SELECT @n AS n');
  expect(recordset).toEqual([{ n: round }]);
}

async function stream(opened: StockPool): Promise<void> {
  const request = opened.request();
  const rows = request.toReadableStream();
  request.query('SELECT value AS n FROM GENERATE_SERIES(1, 50)');
  let last = 0;
  for await (const row of rows) last = (row as { n: number }).n;
  expect(last).toBe(50);
}

async function transaction(opened: StockPool): Promise<void> {
  const begun = await opened.transaction().begin();
  try {
    const spid = async () => (await begun.request().query('SELECT @@SPID AS spid, @@TRANCOUNT AS depth')).recordset[0];
    expect(await spid()).toEqual(await spid());
  } finally {
    await begun.commit();
  }
}

/** Holds one connection for longer than its token lives. */
async function longTransaction(opened: StockPool): Promise<void> {
  const begun = await opened.transaction().begin();
  await sleep(LIFETIME_MS * 1.2);
  expect((await begun.request().query('SELECT @@TRANCOUNT AS depth')).recordset).toEqual([{ depth: 1 }]);
  await begun.commit();
}

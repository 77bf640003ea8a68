import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import type { EntraEmulatorOptions } from '../entra/start.js';
import type { ServerCredential } from '../server/options.js';
import type { SqlEmulatorOptions } from '../sql/sql-emulator.js';
import { expect, firstLine, rejection, repeat, type Site, whoAmI, withConnection } from './site.js';

/** One requirement of a token pool, with the conditions under which it is checked. */
export interface Check {
  id: string;
  /** The requirement, as a sentence about the pool. */
  title: string;
  entra?: EntraEmulatorOptions;
  server?: SqlEmulatorOptions;
  /** Resolves when the requirement holds; rejects with an error that says what happened instead. */
  run(site: Site): Promise<void>;
}

const SHORT_LIFE: EntraEmulatorOptions = { tokenLifetimeSeconds: 2 };
/** Time for two expiries of {@link SHORT_LIFE}, ms. */
const TWO_EXPIRIES_MS = 5_000;
/** Duration of a login in checks that must detect whether a caller waited for one, ms. */
const SLOW_LOGIN_MS = 800;

export const CHECKS: readonly Check[] = [
  {
    id: 'no-expired-login',
    title: 'Never logs in with an expired token',
    entra: SHORT_LIFE,
    async run(site) {
      const pool = await site.pool();
      await repeat(TWO_EXPIRIES_MS / 2, 20, () => whoAmI(pool));
      site.server.dropConnections();
      await repeat(TWO_EXPIRIES_MS / 2, 20, () => whoAmI(pool));
      const { logins } = site.server;
      const expired = logins.filter(({ tokenExpiry, time }) => tokenExpiry !== undefined && tokenExpiry <= time);
      expect(expired.length === 0, `${expired.length} of ${logins.length} logins carried an expired token`);
      expect(logins.length > 1, 'the pool did not log in again after its connections were lost');
    },
  },
  {
    id: 'no-expired-session',
    title: 'Never runs a query on a session whose token has expired',
    entra: SHORT_LIFE,
    server: { enforceExpiry: 'query' },
    async run(site) {
      const pool = await site.pool();
      const { attempts, failures } = await repeat(TWO_EXPIRIES_MS, 20, () => whoAmI(pool));
      expect(failures.length === 0, `${failures.length} of ${attempts} queries failed: ${firstLine(failures[0])}`);
    },
  },
  {
    id: 'warm-hand-over',
    title: 'Replaces a connection before its token expires, so that no caller waits for the login',
    entra: { tokenLifetimeSeconds: 6 },
    server: { enforceExpiry: 'query', loginDelayMs: SLOW_LOGIN_MS },
    async run(site) {
      const pool = await site.pool({ max: 1, acquireTimeoutMillis: 10_000 });
      await whoAmI(pool);
      const loginsBefore = site.server.logins.length;
      let longest = 0;
      const { failures } = await repeat(8_000, 20, async () => {
        const startedAt = performance.now();
        await withConnection(pool, async (connection) => {
          longest = Math.max(longest, performance.now() - startedAt);
          await pool.query(connection, 'SELECT 1 AS one');
        });
      });
      expect(failures.length === 0, `${failures.length} queries failed: ${firstLine(failures[0])}`);
      expect(site.server.logins.length > loginsBefore, 'no connection was replaced in 8 s, with tokens of 6 s');
      expect(longest < SLOW_LOGIN_MS * 0.75, `a caller waited ${Math.round(longest)} ms for a login`);
    },
  },
  {
    id: 'single-flight',
    title: 'Makes one token request for a burst of cold callers',
    async run(site) {
      const pool = await site.pool({ max: 10 });
      await Promise.all(Array.from({ length: 20 }, () => whoAmI(pool)));
      const requests = site.entra.requests.length;
      expect(requests === 1, `${requests} token requests for 20 callers`);
    },
  },
  {
    id: 'serves-while-provider-fails',
    title: 'Keeps logging in with a valid token while the identity provider is down',
    async run(site) {
      const pool = await site.pool();
      await whoAmI(pool);
      site.entra.fail({ status: 503 });
      site.server.dropConnections();
      const { attempts, failures } = await repeat(1_000, 50, () => whoAmI(pool));
      // The first query may get the connection that was just lost.
      expect(failures.length <= 2, `${failures.length} of ${attempts} queries failed: ${firstLine(failures[0])}`);
    },
  },
  {
    id: 'backs-off',
    title: 'Leaves a throttling identity provider alone for as long as Retry-After says',
    async run(site) {
      site.entra.fail({ status: 429, retryAfter: 30 });
      const pool = await site.pool({ acquireTimeoutMillis: 500 });
      await repeat(2_000, 50, () => whoAmI(pool));
      const requests = site.entra.requests.length;
      expect(requests >= 1, 'the pool never asked for a token');
      expect(requests <= 2, `${requests} token requests within 2 s, with Retry-After: 30`);
    },
  },
  {
    id: 'replaces-refused-token',
    title: 'Gets a new token when the server refuses the current one as expired',
    async run(site) {
      const pool = await site.pool();
      await whoAmI(pool);
      site.server.dropConnections();
      await sleep(100);
      const requestsBefore = site.entra.requests.length;
      site.server.failLogins({
        number: 18_456,
        state: 233,
        class: 14,
        message: "Login failed for user '<token-identified principal>'. Token is expired.",
        count: 1,
      });
      const { failures } = await repeat(300, 50, () => whoAmI(pool));
      expect(failures.length === 0, `a caller saw the refusal: ${firstLine(failures[0])}`);
      expect(site.entra.requests.length > requestsBefore, 'the pool logged in again with the refused token');
    },
  },
  {
    id: 'no-retry-of-configuration-errors',
    title: 'Reports a configuration error at once, with its number, and does not retry it',
    async run(site) {
      site.server.failLogins({ number: 4_060, state: 1, class: 11, message: 'Cannot open database "missing".' });
      const pool = await site.pool();
      const error = await rejection(whoAmI(pool), 'a login that the server refuses succeeded');
      expect(
        chainOf(error).some(({ number }) => number === 4_060),
        `4060 is missing: ${firstLine(error)}`,
      );
      const logins = site.server.logins.length;
      expect(logins <= 2, `${logins} logins for one caller`);
    },
  },
  {
    id: 'no-secret-in-errors',
    title: 'Keeps the token out of errors, even when the server repeats it',
    entra: { sameToken: true },
    async run(site) {
      const credential = site.entra.credential();
      const { token } = await credential.getToken('https://database.windows.net/.default');
      const message = `Login failed for token ${token}.`;
      site.server.failLogins({ number: 18_456, state: 1, class: 14, message });
      const pool = await site.pool({ credential });
      const error = await rejection(whoAmI(pool), 'a login that the server refuses succeeded');
      const printed = [inspect(error, { depth: 12, showHidden: true }), error.stack, JSON.stringify(chainOf(error))];
      expect(!printed.some((text) => text?.includes(token)), 'the error contains the token');
    },
  },
  {
    id: 'identity-isolation',
    title: 'Never gives a connection of one identity to another',
    async run(site) {
      const ids = Array.from({ length: 3 }, () => site.entra.addApp());
      // Objects of one class share their getToken function, as those of most SDKs do.
      class AppCredential implements ServerCredential {
        readonly #inner: ServerCredential;
        constructor(inner: ServerCredential) {
          this.#inner = inner;
        }
        getToken(scopes: string | string[]): ReturnType<ServerCredential['getToken']> {
          return this.#inner.getToken(scopes);
        }
      }
      const pools = await Promise.all(
        ids.map(async (app) => {
          const pool = await site.pool({ credential: new AppCredential(site.entra.credential(app)) });
          return { app, pool };
        }),
      );
      const rounds = Array.from({ length: 5 }, () => pools).flat();
      await Promise.all(
        rounds.map(async ({ app, pool }) => {
          const login = String(await whoAmI(pool));
          expect(login.startsWith(app.clientId), `a pool of ${app.clientId} is logged in as ${login}`);
        }),
      );
    },
  },
  {
    id: 'waiters-settle',
    title: 'Rejects every waiting caller in time when the server does not answer, and recovers afterwards',
    async run(site) {
      const pool = await site.pool({ acquireTimeoutMillis: 1_000 });
      site.server.pause();
      const startedAt = performance.now();
      const outcomes = await Promise.race([
        Promise.allSettled(Array.from({ length: 4 }, () => whoAmI(pool))),
        sleep(8_000, undefined, { ref: false }),
      ]);
      site.server.resume();
      expect(outcomes !== undefined, 'callers still wait after 8 s, with a limit of 1 s');
      expect(
        outcomes.every(({ status }) => status === 'rejected'),
        `a caller got a connection from a server that does not answer, after ${Math.round(performance.now() - startedAt)} ms`,
      );
      const { failures, attempts } = await repeat(4_000, 100, () => whoAmI(pool));
      expect(failures.length < attempts, 'no caller is served after the server has recovered');
    },
  },
  {
    id: 'bounded',
    title: 'Opens at most max + 1 connections and leaves none behind after close',
    entra: SHORT_LIFE,
    async run(site) {
      const pool = await site.pool({ max: 3 });
      const callers = Array.from({ length: 9 }, () =>
        repeat(TWO_EXPIRIES_MS / 2, 5, () =>
          withConnection(pool, async (connection) => {
            await pool.query(connection, 'SELECT 1 AS one');
            await sleep(5);
          }),
        ),
      );
      await Promise.all(callers);
      const { most } = site.server.connections;
      expect(most <= 4, `${most} connections at once, with max: 3`);
      await pool.close();
      const deadline = performance.now() + 2_000;
      while (site.server.connections.open > 0 && performance.now() < deadline) await sleep(20);
      const { open } = site.server.connections;
      expect(open === 0, `${open} connections are open after close`);
    },
  },
  {
    id: 'keeps-borrowed',
    title: 'Never closes a borrowed connection because its token expires',
    entra: SHORT_LIFE,
    async run(site) {
      const pool = await site.pool();
      await withConnection(pool, async (connection) => {
        const before = await pool.query(connection, 'SELECT @@SPID AS spid');
        await repeat(3_000, 50, () => whoAmI(pool));
        const after = await pool.query(connection, 'SELECT @@SPID AS spid').catch((error: Error) => firstLine(error));
        expect(after === before, `the borrowed connection was lost: ${String(after)}`);
      });
    },
  },
];

/** An error and its causes, outermost first. */
function chainOf(error: unknown): { message: string; number?: unknown }[] {
  const chain: { message: string; number?: unknown }[] = [];
  const pending: unknown[] = [error];
  while (pending.length > 0 && chain.length < 32) {
    const next = pending.shift();
    if (typeof next !== 'object' || next === null) continue;
    const { message, number, cause, originalError, errors } = next as Record<string, unknown>;
    chain.push({ message: String(message), number });
    pending.push(cause, originalError, ...(Array.isArray(errors) ? errors : []));
  }
  return chain;
}

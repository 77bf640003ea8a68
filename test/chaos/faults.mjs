import { setTimeout as sleep } from 'node:timers/promises';

/**
 * @typedef {object} Fault
 * @property {string} title
 * @property {Record<string, unknown>} [client] overrides for the client
 * @property {(site: any, window: (run: () => Promise<void>) => Promise<void>) => Promise<void>} strike one blow; failures
 *   are allowed only inside `window`
 * @property {number} pauseMs between two blows
 * @property {RegExp} explains which failures the fault itself explains
 */

/** A connection that ends, one that cannot be opened, an answer that does not come, and what waits behind these. */
const SERVER_GONE =
  /Connection lost|ECONNRESET|ECONNREFUSED|socket hang up|Failed to connect|closed before|Timeout: Request failed|No connection became free|Connection closed|ESOCKET|EPIPE/i;
const NOTHING = /^\b$/;

/** @type {Record<string, Fault>} */
export const FAULTS = {
  'kill-server': {
    title: 'SQL server killed (SIGKILL) and started again',
    pauseMs: 8_000,
    explains: SERVER_GONE,
    strike: (site, window) =>
      window(async () => {
        site.server.kill('SIGKILL');
        await sleep(1_500);
        await site.startServer();
      }),
  },
  'stop-server': {
    title: 'SQL server stopped (SIGSTOP) for 5 s',
    pauseMs: 10_000,
    explains: SERVER_GONE,
    strike: (site, window) =>
      window(async () => {
        site.server.kill('SIGSTOP');
        await sleep(5_000);
        site.server.kill('SIGCONT');
      }),
  },
  'cut-network': {
    title: 'network cut for 5 s, connections lost',
    pauseMs: 10_000,
    explains: SERVER_GONE,
    strike: (site, window) =>
      window(async () => {
        site.relay.cut();
        await sleep(5_000);
        site.relay.restore();
      }),
  },
  'kill-identity-provider': {
    title: 'identity provider killed for three token lifetimes',
    pauseMs: 15_000,
    // Open sessions stay in use, because SQL Server does not end a session when its token expires (P2).
    explains: NOTHING,
    client: { pool: { max: 20, min: 20 } },
    async strike(site) {
      site.identityProvider.kill('SIGKILL');
      await sleep(3 * site.tokenLifetimeMs);
      await site.startIdentityProvider();
    },
  },
  crowd: {
    title: '1,000 callers on 20 connections',
    pauseMs: 1_000,
    explains: NOTHING,
    client: { callers: 1_000, pauseMs: 50 },
    strike: async () => {},
  },
  'slow-readers': {
    title: '10 slow readers of 8 MB beside 50 quick callers',
    pauseMs: 1_000,
    explains: NOTHING,
    client: { slowReaders: 10, callers: 50 },
    strike: async () => {},
  },
};

/** One fresh process of figures/loading.mjs. */
import { Session } from 'node:inspector';
import { setTimeout as sleep } from 'node:timers/promises';
import { check } from './check.mjs';

const { what } = JSON.parse(process.argv[2]);
process.stdout.write(JSON.stringify(await { stock, ours, after, memory, msal }[what]()));

/** mssql by itself. */
async function stock() {
  return { milliseconds: await milliseconds(() => import('mssql')) };
}

/** Ours instead of mssql; it loads mssql. */
async function ours() {
  return { milliseconds: await milliseconds(() => import('mssql-token-pool/mssql')) };
}

/** Ours in a process that has already loaded mssql. */
async function after() {
  await import('mssql');
  // Work that mssql defers to later turns counts as its own.
  await sleep(100);
  return { milliseconds: await milliseconds(() => import('mssql-token-pool/mssql')) };
}

async function memory() {
  const before = resident();
  const { default: mssql } = await import('mssql');
  const between = resident();
  const { default: sql } = await import('mssql-token-pool/mssql');
  const pool = new sql.ConnectionPool({ server: 'localhost' });
  check(pool instanceof mssql.ConnectionPool, 'this is not the mssql module');
  return { base: between - before, added: resident() - between };
}

/** Whether MSAL is loaded before and after a token is requested. */
async function msal() {
  const isLoaded = msalWatch();
  const { createCredential, createTokenPool } = await import('mssql-token-pool');
  const login = { tenantId: 'tenant', clientId: 'client', clientSecret: 'secret', authority: 'http://127.0.0.1:9' };
  const credential = createCredential(login);
  const pool = createTokenPool({ server: 'localhost', authentication: credential });
  const before = isLoaded();
  // Nothing listens there; it only matters that the token was requested.
  await credential.getToken('https://database.windows.net/.default').catch(() => {});
  const later = isLoaded();
  await pool.close();
  return { before, after: later };
}

/** @param {() => Promise<unknown>} load */
async function milliseconds(load) {
  const startedAt = performance.now();
  await load();
  return performance.now() - startedAt;
}

/** MiB, after garbage collection. */
function resident() {
  globalThis.gc?.();
  return process.memoryUsage().rss / 1024 / 1024;
}

/** Whether any script of MSAL has been loaded, according to the debugger's list of scripts. */
function msalWatch() {
  return () => {
    const session = new Session();
    session.connect();
    let seen = false;
    session.on('Debugger.scriptParsed', ({ params: { url } }) => {
      seen ||= url.includes('@azure/msal-');
    });
    session.post('Debugger.enable');
    session.disconnect();
    return seen;
  };
}

/** One fresh process of figures/loading.mjs. */
import { Session } from 'node:inspector';
import { check } from './check.mjs';

if (JSON.parse(process.argv[2]).msal === true) {
  const msal = msalWatch();
  const { createCredential, createTokenPool } = await import('mssql-token-pool');
  const login = { tenantId: 'tenant', clientId: 'client', clientSecret: 'secret', authority: 'http://127.0.0.1:9' };
  const credential = createCredential(login);
  const pool = createTokenPool({ server: 'localhost', authentication: credential });
  const before = msal();
  // Nobody answers there; what counts is that somebody asked.
  await credential.getToken('https://database.windows.net/.default').catch(() => {});
  const after = msal();
  await pool.close();
  process.stdout.write(JSON.stringify({ before, after }));
} else {
  const start = reading();
  const { default: stock } = await import('mssql');
  const base = since(start);
  const middle = reading();
  const { default: sql } = await import('mssql-token-pool/mssql');
  const added = since(middle);
  check(
    new sql.ConnectionPool({ server: 'localhost' }) instanceof stock.ConnectionPool,
    'this is not the mssql module',
  );
  process.stdout.write(JSON.stringify({ base, added }));
}

function reading() {
  globalThis.gc?.();
  return { at: performance.now(), rss: process.memoryUsage().rss };
}

function since({ at, rss }) {
  const milliseconds = performance.now() - at;
  globalThis.gc?.();
  return { milliseconds, mib: (process.memoryUsage().rss - rss) / 1024 / 1024 };
}

/** Tells whether any script of MSAL has been loaded, by asking the debugger for all scripts. */
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

import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTokenPool } from '../../src/index.js';
import { type EntraEmulator, type SqlEmulator, startEntraEmulator, startSqlEmulator } from '../../src/testing/index.js';
import { ways } from '../mssql/three-ways.js';
import { named } from '../support/named.js';

const CHECKOUTS = 200;
const MAX = 50;

let entra: EntraEmulator;
let server: SqlEmulator;
const directory = mkdtempSync(join(tmpdir(), 'cold-start-'));

beforeAll(async () => {
  entra = await startEntraEmulator({ https: true });
  server = await startSqlEmulator({ entra });
});
afterAll(async () => {
  await server?.close();
  await entra?.close();
  rmSync(directory, { recursive: true, force: true });
});

const requestsOf = (clientId: string) => entra.requests.filter((request) => request.clientId === clientId).length;
const loginsOf = (appName: string) =>
  server.logins.filter((login) => login.appName === appName && login.accepted).length;

describe(`${CHECKOUTS} checkouts at once from a cold start, on a pool of ${MAX}`, () => {
  test('make one token request', async () => {
    const app = entra.addApp();
    await using pool = createTokenPool({
      ...server.config({ pool: { max: MAX }, options: { appName: 'token pool' } }),
      authentication: entra.credential(app),
    });
    await Promise.all(Array.from({ length: CHECKOUTS }, async () => pool.release(await pool.acquire())));
    expect(requestsOf(app.clientId)).toBe(1);
    expect(loginsOf('token pool')).toBeLessThanOrEqual(MAX + 1);
  });

  test.each(named(ways))('make one token request through %s', async (_, way) => {
    const app = entra.addApp();
    const authentication = { type: 'token-credential', options: { credential: entra.credential(app) } };
    const config = server.config({ authentication, pool: { max: MAX }, options: { appName: way.name } });
    const pool = await way.open(config);
    // Long enough for every connection of the pool to be needed.
    await Promise.all(Array.from({ length: CHECKOUTS }, () => pool.query("WAITFOR DELAY '00:00:00.050'; SELECT 1")));
    await pool.close();
    expect(loginsOf(way.name)).toBeGreaterThan(1);
    expect(requestsOf(app.clientId)).toBe(1);
  });

  test('make one token request per login with stock mssql and -service-principal-secret', async () => {
    const app = entra.addApp();
    const options = { clientId: app.clientId, clientSecret: app.clientSecret, tenantId: entra.tenantId };
    const authentication = { type: 'azure-active-directory-service-principal-secret', options };
    const config = server.config({ authentication, pool: { max: 10 }, options: { appName: 'stock' } });
    await runStock(config, 40);
    expect(loginsOf('stock')).toBeGreaterThan(10);
    expect(requestsOf(app.clientId)).toBe(loginsOf('stock'));
  });
});

/** In a process of its own, where Microsoft's login server is our emulator: @azure/identity takes no other over https. */
async function runStock(config: object, queries: number): Promise<void> {
  const ca = join(directory, 'ca.pem');
  writeFileSync(ca, entra.ca ?? '');
  const code = `
    const https = require('node:https');
    const { request } = https;
    const { hostname, port } = new URL(${JSON.stringify(entra.url)});
    https.request = (options, ...rest) => request({ ...options, hostname, host: hostname, port, servername: hostname }, ...rest);
    const sql = require('mssql');
    (async () => {
      const pool = await new sql.ConnectionPool(${JSON.stringify(config)}).connect();
      await Promise.all(Array.from({ length: ${queries} }, () => pool.query("WAITFOR DELAY '00:00:00.050'; SELECT 1")));
      await pool.close();
    })();`;
  await promisify(execFile)(process.execPath, ['--no-warnings', '-e', code], {
    cwd: resolve(import.meta.dirname, '../..'),
    env: { ...process.env, NODE_EXTRA_CA_CERTS: ca },
  });
}

import { describe, expect, test } from 'vitest';
import { startEntraEmulator, startSqlEmulator, verifyAccessToken } from '../../../src/testing/index.js';
import { closing, execute, mssqlPool, tediousConnect } from '../sql-clients.js';

describe('a login', () => {
  test('succeeds with a SQL login', async () => {
    const server = closing(await startSqlEmulator());
    const pool = await mssqlPool(server.config());
    const { recordset } = await pool.query`SELECT SUSER_SNAME() AS name, DB_NAME() AS db`;
    expect(recordset).toEqual([{ name: 'sa', db: 'master' }]);
    expect(server.logins[0]).toMatchObject({
      authentication: 'sql',
      principal: 'sa',
      accepted: true,
      encrypted: true,
      strict: false,
      tokenExpiry: undefined,
      error: undefined,
      appName: 'node-mssql',
      clientAddress: '127.0.0.1',
    });
  });

  test('succeeds with a token requested by the server', async () => {
    const entra = closing(await startEntraEmulator());
    const server = closing(await startSqlEmulator({ entra }));
    const pool = await mssqlPool(server.config({ database: 'orders' }));
    const { recordset } = await pool.query`SELECT SUSER_SNAME() AS name, DB_NAME() AS db`;
    expect(recordset).toEqual([{ name: entra.clientId, db: 'orders' }]);
    expect(server.logins[0]).toMatchObject({ authentication: 'adal', principal: entra.clientId, accepted: true });
    const { time, tokenExpiry } = server.logins[0] as (typeof server.logins)[number];
    expect(tokenExpiry).toBeGreaterThan(time + 3_590_000);
  });

  test('succeeds with a token in LOGIN7', async () => {
    const entra = closing(await startEntraEmulator());
    const server = closing(await startSqlEmulator({ entra }));
    const token = entra.issueToken();
    const authentication = { type: 'azure-active-directory-access-token' as const, options: { token } };
    const pool = await mssqlPool(server.config({ authentication }));
    expect((await pool.query`SELECT 1 AS one`).recordset).toEqual([{ one: 1 }]);
    expect(server.logins[0]).toMatchObject({ authentication: 'security-token', accepted: true, encrypted: true });
  });

  test('succeeds in TDS 8, encrypted from the first byte', async () => {
    const entra = closing(await startEntraEmulator());
    const server = closing(await startSqlEmulator({ entra, encrypt: 'strict' }));
    const pool = await mssqlPool(server.config());
    expect((await pool.query`SELECT 1 AS one`).recordset).toEqual([{ one: 1 }]);
    expect(server.logins[0]).toMatchObject({ strict: true, encrypted: true });
    expect(server.receivedInClear).toHaveLength(0);
  });

  test('trusts any issuer whose keys are configured', async () => {
    const entra = closing(await startEntraEmulator());
    const server = closing(await startSqlEmulator({ entra: { jwks: entra.jwks, issuers: [entra.issuer] } }));
    const options = { token: entra.issueToken() };
    const authentication = { type: 'azure-active-directory-access-token', options };
    const { connection } = await tediousConnect(server.config({ authentication }));
    expect(await execute(connection, 'SELECT SUSER_SNAME()')).toEqual([[entra.clientId]]);
  });

  test('accepts a custom token check', async () => {
    const entra = closing(await startEntraEmulator());
    const seen: string[] = [];
    const verify = (token: string, options: { now: number }) => {
      seen.push(token);
      return verifyAccessToken(token, { ...options, jwks: entra.jwks, issuers: [entra.issuer] });
    };
    const server = closing(await startSqlEmulator({ entra: { verify } }));
    const token = entra.issueToken();
    const authentication = { type: 'azure-active-directory-access-token', options: { token } };
    await tediousConnect(server.config({ authentication }));
    expect(seen).toEqual([token]);
  });

  test('continues at the server to which it is redirected', async () => {
    const entra = closing(await startEntraEmulator());
    const target = closing(await startSqlEmulator({ entra, serverName: 'replica' }));
    const front = closing(await startSqlEmulator({ entra, redirectTo: { server: 'localhost', port: target.port } }));
    const { connection } = await tediousConnect(
      front.config({ options: { trustServerCertificate: true, cryptoCredentialsDetails: {} } }),
    );
    expect(await execute(connection, 'SELECT @@SERVERNAME')).toEqual([['replica']]);
    expect([front.logins.length, target.logins.length]).toEqual([1, 1]);
  });

  test('counts the open connections and their maximum', async () => {
    const server = closing(await startSqlEmulator());
    const clients = await Promise.all([1, 2, 3].map(() => tediousConnect(server.config())));
    expect(server.connections).toEqual({ open: 3, most: 3 });
    for (const { connection } of clients.slice(1)) connection.close();
    await expect.poll(() => server.connections).toEqual({ open: 1, most: 3 });
  });
});

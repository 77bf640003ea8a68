import sql from 'mssql';
import { afterEach, describe, expect, test } from 'vitest';
import { startEntraEmulator, startSqlEmulator } from '../../../src/testing/index.js';

const open: AsyncDisposable[] = [];

afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each[Symbol.asyncDispose]();
});

function closing<T extends AsyncDisposable>(resource: T): T {
  open.push(resource);
  return resource;
}

async function connect(config: object): Promise<sql.ConnectionPool> {
  const pool = await new sql.ConnectionPool(config as sql.config).connect();
  open.push({ [Symbol.asyncDispose]: () => pool.close() });
  return pool;
}

describe('a login', () => {
  test('with a SQL login', async () => {
    const server = closing(await startSqlEmulator());
    const pool = await connect(server.config());
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
    });
  });

  test('with a token that the client gets when the server asks for one', async () => {
    const entra = closing(await startEntraEmulator());
    const server = closing(await startSqlEmulator({ entra }));
    const pool = await connect(server.config({ database: 'orders' }));
    const { recordset } = await pool.query`SELECT SUSER_SNAME() AS name, DB_NAME() AS db`;
    expect(recordset).toEqual([{ name: entra.clientId, db: 'orders' }]);
    expect(server.logins[0]).toMatchObject({ authentication: 'adal', principal: entra.clientId, accepted: true });
    const { time, tokenExpiry } = server.logins[0] as (typeof server.logins)[number];
    expect(tokenExpiry).toBeGreaterThan(time + 3_590_000);
  });

  test('with a token in LOGIN7', async () => {
    const entra = closing(await startEntraEmulator());
    const server = closing(await startSqlEmulator({ entra }));
    const authentication = { type: 'azure-active-directory-access-token', options: { token: entra.issueToken() } };
    const pool = await connect(server.config({ authentication }));
    expect((await pool.query`SELECT 1 AS one`).recordset).toEqual([{ one: 1 }]);
    expect(server.logins[0]).toMatchObject({ authentication: 'security-token', accepted: true, encrypted: true });
  });

  test('in TDS 8, encrypted from the first byte', async () => {
    const entra = closing(await startEntraEmulator());
    const server = closing(await startSqlEmulator({ entra, encrypt: 'strict' }));
    const pool = await connect(server.config());
    expect((await pool.query`SELECT 1 AS one`).recordset).toEqual([{ one: 1 }]);
    expect(server.logins[0]).toMatchObject({ strict: true, encrypted: true });
    expect(server.receivedInClear).toHaveLength(0);
  });
});

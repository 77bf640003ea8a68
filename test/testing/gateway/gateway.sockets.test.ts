import { once } from 'node:events';
import { Request } from 'tedious';
import { describe, expect, test } from 'vitest';
import {
  makeCertificate,
  type SqlEmulator,
  type SqlEmulatorOptions,
  type SqlGateway,
  startEntraEmulator,
  startSqlEmulator,
  type TdsServerOptions,
  type UpstreamConfig,
} from '../../../src/testing/index.js';
import { closing, execute, mssqlPool, refusedLogin, rejection, reset, tediousConnect } from '../sql-clients.js';

const USERS = { app: 'App-password-1', reports: 'Reports-password-1' };

/** A gateway in front of a server that supports only SQL logins. */
async function gatewayTo(
  behind: SqlEmulator,
  options: TdsServerOptions = {},
  upstream: Partial<UpstreamConfig> = {},
): Promise<{ gateway: SqlGateway; entra: Awaited<ReturnType<typeof startEntraEmulator>> }> {
  const entra = closing(await startEntraEmulator());
  const gateway = closing(
    await startSqlEmulator({
      entra,
      upstream: {
        server: 'localhost',
        port: behind.port,
        user: 'app',
        password: USERS.app,
        options: { cryptoCredentialsDetails: { ca: behind.ca } },
        ...upstream,
      },
      ...options,
    }),
  );
  return { gateway, entra };
}

async function serverBehind(options: SqlEmulatorOptions = {}): Promise<SqlEmulator> {
  return closing(await startSqlEmulator({ users: USERS, serverName: 'behind', ...options }));
}

describe('a gateway', () => {
  test('accepts a token and logs in upstream with a SQL login over TLS', async () => {
    const behind = await serverBehind();
    const { gateway, entra } = await gatewayTo(behind);
    const pool = await mssqlPool(gateway.config({ database: 'orders' }));
    const { recordset } = await pool.query`SELECT SUSER_SNAME() AS name, DB_NAME() AS db, @@SERVERNAME AS server`;
    expect(recordset).toEqual([{ name: 'app', db: 'orders', server: 'behind' }]);
    expect(gateway.logins[0]).toMatchObject({ principal: entra.clientId, accepted: true, encrypted: true });
    expect(behind.logins[0]).toMatchObject({ principal: 'app', encrypted: true, appName: 'node-mssql' });
  });

  test('also accepts a token in LOGIN7, and TDS 8 on both sides', async () => {
    const behind = await serverBehind({ encrypt: 'strict' });
    const { gateway, entra } = await gatewayTo(
      behind,
      { encrypt: 'strict' },
      { options: { encrypt: 'strict', cryptoCredentialsDetails: { ca: behind.ca } } },
    );
    const authentication = { type: 'azure-active-directory-access-token', options: { token: entra.issueToken() } };
    const { connection } = await tediousConnect(gateway.config({ authentication }));
    expect(await execute(connection, 'SELECT 1')).toEqual([[1]]);
    expect([gateway.logins[0]?.strict, behind.logins[0]?.strict]).toEqual([true, true]);
  });

  test('maps principals to their own logins', async () => {
    const behind = await serverBehind();
    const entra = closing(await startEntraEmulator());
    const reporter = entra.addApp();
    const { gateway } = await gatewayTo(
      behind,
      { entra },
      { logins: { [reporter.clientId]: { user: 'reports', password: USERS.reports } } },
    );
    const names = [];
    for (const principal of [entra.clientId, reporter.clientId]) {
      const options = { token: entra.issueToken({ principal }) };
      const authentication = { type: 'azure-active-directory-access-token', options };
      const { connection } = await tediousConnect(gateway.config({ authentication }));
      names.push(...(await execute(connection, 'SELECT SUSER_SNAME()')));
    }
    expect(names).toEqual([['app'], ['reports']]);
  });

  test('passes SQL logins on unchanged', async () => {
    const behind = await serverBehind();
    const { gateway } = await gatewayTo(behind);
    const { connection } = await tediousConnect(gateway.config({ user: 'reports', password: USERS.reports }));
    expect(await execute(connection, 'SELECT SUSER_SNAME()')).toEqual([['reports']]);
    const { errors } = await refusedLogin(gateway.config({ user: 'reports', password: 'wrong' }));
    expect(errors).toMatchObject([{ number: 18456, message: "Login failed for user 'reports'." }]);
  });

  test('refuses an expired token without contacting the upstream server', async () => {
    const behind = await serverBehind();
    const { gateway, entra } = await gatewayTo(behind);
    const options = { token: entra.issueToken({ expiresInSeconds: -1 }) };
    const { errors } = await refusedLogin(
      gateway.config({ authentication: { type: 'azure-active-directory-access-token', options } }),
    );
    expect(errors).toMatchObject([{ number: 18456, state: 233 }]);
    expect(behind.connections.most).toBe(0);
  });

  test("passes on the upstream server's answer to a login", async () => {
    const behind = await serverBehind({ databases: ['master'] });
    const { gateway } = await gatewayTo(behind);
    const { errors } = await refusedLogin(gateway.config({ database: 'nowhere' }));
    expect(errors.map(({ number }) => number)).toEqual([4060, 18456]);
  });

  test('answers 40613 while the upstream server is down, and recovers when it is up', async () => {
    const certificate = makeCertificate({ commonName: 'localhost' });
    const behind = await startSqlEmulator({ users: USERS, certificate });
    const { gateway } = await gatewayTo(behind);
    const { port } = behind;
    const { connection } = await tediousConnect(gateway.config());
    const ended = once(connection, 'end');
    await behind.close();
    await ended;
    const { errors } = await refusedLogin(gateway.config());
    expect(errors).toMatchObject([{ number: 40613 }]);
    expect(gateway.upstreamErrors[0]?.message).toContain('ECONNREFUSED');
    await serverBehind({ certificate, port });
    await tediousConnect(gateway.config());
  });

  test.each(['off', 'not-supported'] as const)(
    'never sends its password to a server whose encryption is %s',
    async (encrypt) => {
      const behind = await serverBehind({ encrypt });
      const { gateway } = await gatewayTo(behind);
      await refusedLogin(gateway.config());
      expect(gateway.upstreamErrors[0]?.message).toBe('the server does not encrypt; the password was not sent');
      expect(behind.logins).toEqual([]);
      expect(behind.receivedInClear.includes(Buffer.from('app', 'utf16le'))).toBe(false);
    },
  );

  test('trusts only the certificates in its options', async () => {
    const behind = await serverBehind();
    const { gateway } = await gatewayTo(behind, {}, { options: {} });
    await refusedLogin(gateway.config());
    expect(gateway.upstreamErrors[0]?.message).toMatch(/self-signed|unable to verify/);
    expect(behind.logins).toEqual([]);
  });

  test('rejects onQuery', async () => {
    const upstream = { server: 'localhost' };
    await expect(startSqlEmulator({ upstream, onQuery: () => [] } as never)).rejects.toThrow('onQuery is never called');
  });
});

describe('a gateway forwards', () => {
  test('transactions, cancelled requests, resets and errors', async () => {
    const behind = await serverBehind();
    const { gateway } = await gatewayTo(behind);
    const pool = await mssqlPool(gateway.config());
    const transaction = pool.transaction();
    await transaction.begin();
    expect((await transaction.request().query('SELECT @@TRANCOUNT AS n')).recordset).toEqual([{ n: 1 }]);
    await transaction.rollback();
    const { connection } = await tediousConnect(gateway.config());
    const waiting = execute(connection, "WAITFOR DELAY '00:01:00'");
    setTimeout(() => connection.cancel(), 20);
    expect(await rejection(waiting)).toMatchObject({ code: 'ECANCEL' });
    await execute(connection, 'USE elsewhere', { batch: true });
    await reset(connection);
    expect(await execute(connection, 'SELECT DB_NAME()')).toEqual([['master']]);
    expect(await rejection(execute(connection, "THROW 50001, 'x', 2"))).toMatchObject({ number: 50001, state: 2 });
  });

  test('100,000 rows, and values of several packets in both directions', async () => {
    const behind = await serverBehind();
    const { gateway } = await gatewayTo(behind);
    const { connection } = await tediousConnect(gateway.config());
    const rows = await execute(connection, 'SELECT value FROM GENERATE_SERIES(1, 100000)');
    expect([rows.length, rows.at(-1)]).toEqual([100_000, [100_000]]);
    const pool = await mssqlPool(gateway.config());
    const text = 'Zürich '.repeat(100_000);
    const { recordset } = await pool.request().input('t', text).query('SELECT @t AS t');
    expect(recordset[0].t === text).toBe(true);
  });

  test('no faster than the client reads', async () => {
    let produced = 0;
    const endless = function* () {
      for (; produced < 500_000; produced += 1) yield ['x'.repeat(1000)];
    };
    const columns = [{ name: 'filler', type: 'varchar(1000)' }];
    const behind = await serverBehind({ onQuery: () => ({ columns, rows: endless() }) });
    const { gateway } = await gatewayTo(behind);
    const { connection } = await tediousConnect(gateway.config());
    const request = new Request('SELECT * FROM filler', () => {});
    const paused = new Promise<void>((resolve) => {
      request.once('row', () => {
        request.pause();
        resolve();
      });
    });
    connection.execSql(request);
    await paused;
    let before = -1;
    await expect
      .poll(
        () => {
          const still = produced === before;
          before = produced;
          return still;
        },
        { interval: 100 },
      )
      .toBe(true);
    expect(produced).toBeLessThan(50_000);
  });

  test('the end of either side', async () => {
    const behind = await serverBehind();
    const { gateway } = await gatewayTo(behind);
    const first = await tediousConnect(gateway.config());
    first.connection.close();
    await expect.poll(() => behind.connections.open).toBe(0);
    const second = await tediousConnect(gateway.config());
    const ended = once(second.connection, 'end');
    behind.dropConnections();
    await ended;
    await expect.poll(() => gateway.connections.open).toBe(0);
  });
});

describe('a gateway enforces expiry within a session', () => {
  async function withClock(enforceExpiry: 'reset' | 'query') {
    let ahead = 0;
    const behind = await serverBehind();
    const { gateway } = await gatewayTo(behind, { enforceExpiry, now: () => Date.now() + ahead });
    const client = await tediousConnect(gateway.config());
    expect(await execute(client.connection, 'SELECT 1')).toEqual([[1]]);
    ahead = 3_601_000;
    return { ...client, behind };
  }

  test('at a reset: 18456, and both connections end', async () => {
    const { connection, errors, behind } = await withClock('reset');
    expect(await execute(connection, 'SELECT 1')).toEqual([[1]]);
    await rejection(reset(connection));
    expect(errors.at(-1)).toMatchObject({ number: 18456, state: 233 });
    await expect.poll(() => behind.connections.open).toBe(0);
  });

  test('at a query: 37396, and the query does not reach the upstream server', async () => {
    const { connection, behind } = await withClock('query');
    expect(await rejection(execute(connection, 'BEGIN TRAN'))).toMatchObject({ number: 37396 });
    expect(await rejection(execute(connection, 'SELECT 1'))).toMatchObject({ number: 37396 });
    expect(behind.connections.open).toBe(1);
  });
});

describe('a gateway supports every fault of the emulator', () => {
  test('failing logins, dropped connections, killed sessions, pauses', async () => {
    const behind = await serverBehind();
    const { gateway } = await gatewayTo(behind);
    gateway.failLogins({ number: 40501, count: 1 });
    expect((await refusedLogin(gateway.config())).errors).toMatchObject([{ number: 40501 }]);
    gateway.failLogins({ drop: 'after-fedauth', count: 1 });
    await refusedLogin(gateway.config());
    expect(behind.connections.most).toBe(0);

    const { connection } = await tediousConnect(gateway.config());
    gateway.pause();
    let answered = false;
    const query = execute(connection, 'SELECT 1').then((rows) => {
      answered = true;
      return rows;
    });
    const { connection: direct } = await tediousConnect(behind.config({ user: 'app', password: USERS.app }));
    await execute(direct, "WAITFOR DELAY '00:00:00.050'");
    expect(answered).toBe(false);
    gateway.resume();
    expect(await query).toEqual([[1]]);

    const ended = once(connection, 'end');
    expect(gateway.kill(gateway.logins.at(-1)?.spid ?? 0)).toBe(true);
    await ended;
    const { connection: last } = await tediousConnect(gateway.config());
    const cut = once(last, 'end');
    expect(gateway.dropConnections()).toBe(1);
    await cut;
  });
});

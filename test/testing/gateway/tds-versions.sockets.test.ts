import { describe, expect, test } from 'vitest';
import { type SqlEmulator, type SqlGateway, startSqlEmulator, startSqlGateway } from '../../../src/testing/index.js';
import { FEATURES_KEPT_BACK, type Login7, readLogin7, writeLogin7 } from '../../../src/testing/tds/login7.js';
import { closing } from '../sql-clients.js';
import { freeTds, hasFreeTds } from './other-clients.js';

const USERS = { app: 'App-password-1' };

async function site(): Promise<{ behind: SqlEmulator; gateway: SqlGateway }> {
  const behind = closing(await startSqlEmulator({ users: USERS }));
  const options = { cryptoCredentialsDetails: { ca: behind.ca } };
  const gateway = closing(
    await startSqlGateway({ upstream: { server: 'localhost', port: behind.port, options }, encrypt: 'required' }),
  );
  return { behind, gateway };
}

const target = (server: { port: number; ca: string }) => ({
  port: server.port,
  ca: server.ca,
  user: 'app',
  password: USERS.app,
});

describe.skipIf(!hasFreeTds)('a client with another TDS version', () => {
  test.each(['7.1', '7.2', '7.3', '7.4'])('TDS %s works through the gateway', async (version) => {
    const { behind, gateway } = await site();
    const output = await freeTds(target(gateway), 'SELECT 41 + 1 AS answer, @@SPID AS spid', version);
    expect(output).toMatch(/answer\s+spid\s+42/);
    expect(behind.logins).toMatchObject([{ accepted: true, principal: 'app' }]);
  });

  const sql = [
    "SELECT value AS n, CAST(1.5 AS decimal(9, 2)) AS d, CAST(1 AS bit) AS b, CAST('2024-02-29T10:20:30' AS datetime) AS at FROM GENERATE_SERIES(1, 2)",
    'go',
    "SELECT CAST(N'né' AS nvarchar(max)) AS long, CAST(NULL AS varchar(max)) AS none, CAST(0x0102 AS varbinary(max)) AS bytes, CAST('2024-02-29' AS date) AS day",
    'go',
    'BEGIN TRAN',
    'SELECT @@TRANCOUNT AS depth',
    'COMMIT',
    'go',
    "RAISERROR('no luck', 16, 7)",
  ].join('\n');

  test.each(
    ['7.1', '7.2', '7.3', '7.4'].flatMap((version) =>
      (['emulator', 'gateway'] as const).map((which) => [version, which] as const),
    ),
  )('TDS %s reads rows, long values, dates and errors of the %s', async (version, which) => {
    const { behind, gateway } = await site();
    const output = await freeTds(target(which === 'emulator' ? behind : gateway), sql, version);
    expect(output).toMatch(/1\t1\.50\t1\tFeb 29 2024 10:20AM\n2\t1\.50\t1\t/);
    expect(output).toMatch(/né\tNULL\t0102\t(2024-02-29|Feb 29 2024)/);
    expect(output).toMatch(/depth\n1\n/);
    expect(output).toMatch(/Msg 50000 \(severity 16, state 7\)[\s\S]*no luck/);
    expect(behind.protocolErrors).toEqual([]);
    expect(gateway.protocolErrors).toEqual([]);
  });

  test.each(['emulator', 'gateway'] as const)(
    'TDS 7.0, which has no PRELOGIN, is refused by the %s for the reason that it records',
    async (which) => {
      const { behind, gateway } = await site();
      const server = which === 'emulator' ? behind : gateway;
      await freeTds(target(server), 'SELECT 1', '7.0');
      expect(server.protocolErrors).toMatchObject([
        { message: expect.stringContaining('TDS 7.1 is the oldest version') },
      ]);
      expect(server.logins).toEqual([]);
    },
  );
});

describe('the login that the gateway sends upstream', () => {
  const features = new Map([
    [0x01, Buffer.from([1, 2, 3])],
    [0x02, Buffer.from([0x02, 0x01])],
    [0x04, Buffer.from([1])],
    [0x09, Buffer.from([1])],
    [0x0a, Buffer.from([1])],
    [0x0b, Buffer.from([1])],
    [0x0d, Buffer.from([1])],
    [0x0e, Buffer.from([2])],
    [0x0f, Buffer.alloc(0)],
  ]);
  const login: Login7 = {
    tdsVersion: 0x74000004,
    packetSize: 8192,
    hostName: 'laptop',
    appName: 'shop',
    serverName: 'sql.test',
    library: 'Core .Net SqlClient',
    language: '',
    database: 'orders',
    readOnlyIntent: true,
    utf8: true,
    fedAuthEcho: false,
    proof: { kind: 'adal' },
    client: { programVersion: 7, processId: 4711, flags: [0xe0, 0x83, 0x20, 0x10], timeZone: -60, lcid: 0x0409 },
    features,
  };

  test("has the client's names, process id, read-only intent and features", () => {
    const sent = readLogin7(writeLogin7(login, 'app', 'secret'));
    expect(sent).toMatchObject({
      ...{ hostName: 'laptop', appName: 'shop', library: 'Core .Net SqlClient', database: 'orders', packetSize: 8192 },
      ...{ readOnlyIntent: true, utf8: true, proof: { kind: 'sql', userName: 'app', password: 'secret' } },
      client: { programVersion: 7, processId: 4711, timeZone: -60, lcid: 0x0409 },
    });
    const passedOn = [...features].filter(([id]) => !FEATURES_KEPT_BACK.has(id));
    expect([...sent.features]).toEqual(passedOn);
    expect([...FEATURES_KEPT_BACK]).toEqual([0x02, 0x0b, 0x0f]);
  });

  test('has neither integrated security nor a password change', () => {
    const sent = readLogin7(writeLogin7(login, 'app', 'secret'));
    expect((sent.client.flags[1] as number) & 0x80).toBe(0);
    expect((sent.client.flags[3] as number) & 0x01).toBe(0);
  });

  test.each([0x71000001, 0x72090002, 0x730b0003])('has no extensions below TDS 7.4 (%i)', (tdsVersion) => {
    const sent = readLogin7(writeLogin7({ ...login, tdsVersion }, 'app', 'secret'));
    expect(sent).toMatchObject({ tdsVersion, proof: { kind: 'sql', userName: 'app', password: 'secret' } });
    expect(sent.features.size).toBe(0);
  });
});

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
  test.each(['7.2', '7.3', '7.4'])('TDS %s works through the gateway', async (version) => {
    const { behind, gateway } = await site();
    const output = await freeTds(target(gateway), 'SELECT 41 + 1 AS answer, @@SPID AS spid', version);
    expect(output).toMatch(/answer\s+spid\s+42/);
    expect(behind.logins).toMatchObject([{ accepted: true, principal: 'app' }]);
  });

  test.each([
    ['emulator', async () => (await site()).behind],
    ['gateway, from the server behind it', async () => (await site()).gateway],
  ])('TDS 7.1 gets an error that says what to do, from the %s', async (_, start) => {
    const server = await start();
    const output = await freeTds(target(server), 'SELECT 1', '7.1');
    expect(output).toContain('The SQL emulator speaks TDS 7.2 and later; the client requested 7.1.');
    expect(server.protocolErrors).toEqual([]);
  });
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

import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { startSqlEmulator } from '../../../src/testing/index.js';
import { readLoginResponse } from '../../../src/testing/tds/login-response.js';
import { type Login7, readLogin7, writeLogin7 } from '../../../src/testing/tds/login7.js';
import { MessageStream } from '../../../src/testing/tds/message-stream.js';
import { frameMessage, PacketType } from '../../../src/testing/tds/packet.js';
import { Encryption, writePreLoginRequest } from '../../../src/testing/tds/prelogin.js';
import { tcpServer } from '../../support/tcp-server.js';
import { closing } from '../sql-clients.js';

const LOGIN: Login7 = {
  tdsVersion: 0x74000004,
  packetSize: 8192,
  hostName: 'laptop',
  appName: 'shop',
  serverName: 'sql.test',
  library: 'Core .Net SqlClient',
  language: 'Deutsch',
  database: 'orders',
  readOnlyIntent: false,
  utf8: true,
  fedAuthEcho: false,
  proof: { kind: 'sql', userName: 'app', password: 'secret' },
  client: { programVersion: 7, processId: 4711, flags: [0xe0, 0x03, 0x00, 0x10], timeZone: -60, lcid: 0x0409 },
  // Session recovery, column encryption, data classification, UTF-8, JSON, vector (MS-TDS 2.2.6.4).
  features: new Map([0x01, 0x04, 0x09, 0x0a, 0x0d, 0x0e].map((id) => [id, Buffer.from([1])])),
};

/** Extensions that would make the client bypass a gateway: DNS caching and enhanced routing. */
const BYPASSING = Buffer.from([0x0b, 1, 0, 0, 0, 1, 0x0f, 0, 0, 0, 0]);

/** LOGIN7 with these extensions added at its end. */
function withFeatures(login: Buffer, added: Buffer): Buffer {
  const whole = Buffer.concat([login.subarray(0, -1), added, login.subarray(-1)]);
  whole.writeUInt32LE(whole.length, 0);
  return whole;
}

/** LOGIN7 of a client that authenticates with Windows. */
function withSspi(login: Buffer): Buffer {
  const whole = Buffer.from(login);
  whole.writeUInt8(whole.readUInt8(25) | 0x80, 25); // fIntSecurity
  whole.writeUInt16LE(94, 78); // ibSSPI
  whole.writeUInt16LE(8, 80); // cbSSPI
  return whole;
}

/** Sends PRELOGIN and LOGIN7; resolves with the server's answer to the login. */
async function logIn(port: number, login: Buffer): Promise<Buffer> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const messages = new MessageStream(socket, 65_536, () => {});
  messages.start();
  messages.write(frameMessage(PacketType.PreLogin, writePreLoginRequest(Encryption.NotSupported), 4096));
  await messages.readOf(PacketType.TabularResult);
  messages.write(frameMessage(PacketType.Login7, login, 4096));
  const { body } = await messages.readOf(PacketType.TabularResult);
  socket.destroy();
  return body;
}

const PRELOGIN_ANSWER = Buffer.from('000010000601001600010200170001ff1000000000000200', 'hex');
const ACKNOWLEDGED = Buffer.from([0xae, 0x04, 1, 0, 0, 0, 1, 0x0d, 1, 0, 0, 0, 1, 0xff]);
const LOGIN_ACCEPTED = Buffer.concat([
  Buffer.from('ad0e000174000004024100420010000000', 'hex'),
  ACKNOWLEDGED,
  Buffer.from('fd000000000000000000000000', 'hex'),
]);

test("the client's names and feature extensions reach the server, and its acknowledgement reaches the client", async () => {
  const received: Login7[] = [];
  const behind = closing(
    await tcpServer(async (socket) => {
      const messages = new MessageStream(socket, 65_536, () => {});
      messages.start();
      await messages.readOf(PacketType.PreLogin);
      messages.write(frameMessage(PacketType.TabularResult, PRELOGIN_ANSWER, 4096));
      received.push(readLogin7((await messages.readOf(PacketType.Login7)).body));
      messages.write(frameMessage(PacketType.TabularResult, LOGIN_ACCEPTED, 4096));
    }),
  );
  const upstream = { server: 'localhost', port: behind.port, options: { encrypt: false } };
  const gateway = closing(await startSqlEmulator({ upstream, encrypt: 'not-supported' }));
  const answer = await logIn(gateway.port, withFeatures(writeLogin7(LOGIN, 'app', 'secret'), BYPASSING));

  expect(received).toMatchObject([
    {
      ...{ hostName: 'laptop', appName: 'shop', library: 'Core .Net SqlClient', language: 'Deutsch' },
      ...{ database: 'orders', proof: { kind: 'sql', userName: 'app', password: 'secret' } },
    },
  ]);
  expect([...(received[0] as Login7).features]).toEqual([...LOGIN.features]);
  expect(answer.includes(ACKNOWLEDGED)).toBe(true);
});

test.each(['emulator', 'gateway'] as const)(
  'the %s refuses integrated security with 18452, which names it',
  async (which) => {
    const behind = closing(await startSqlEmulator({ encrypt: 'not-supported' }));
    const upstream = {
      server: 'localhost',
      port: behind.port,
      user: 'app',
      password: 'x',
      options: { encrypt: false },
    };
    const gateway = closing(await startSqlEmulator({ upstream, encrypt: 'not-supported' }));
    const server = which === 'emulator' ? behind : gateway;
    const { accepted, error } = readLoginResponse(
      await logIn(server.port, withSspi(writeLogin7(LOGIN, '', ''))),
      false,
    );
    expect(accepted).toBe(false);
    expect(error).toMatchObject({ number: 18_452, message: expect.stringContaining('Integrated authentication') });
    expect(server.logins).toMatchObject([{ authentication: 'integrated', accepted: false }]);
    if (which === 'gateway') expect(behind.logins).toEqual([]);
  },
);

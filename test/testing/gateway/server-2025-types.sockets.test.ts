import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { startSqlGateway } from '../../../src/testing/index.js';
import { type Login7, readLogin7, writeLogin7 } from '../../../src/testing/tds/login7.js';
import { MessageStream } from '../../../src/testing/tds/message-stream.js';
import { frameMessage, PacketSplitter, PacketStatus, PacketType } from '../../../src/testing/tds/packet.js';
import { Encryption, writePreLoginRequest } from '../../../src/testing/tds/prelogin.js';
import { tcpServer } from '../../support/tcp-server.js';
import { closing } from '../sql-clients.js';

/**
 * No driver for Node.js speaks the types and features of SQL Server 2025, column encryption or session recovery, so both ends are
 * scripts that send the bytes of MS-TDS: what arrives must be what was sent.
 */
const bytes = (...parts: (string | Buffer)[]): Buffer =>
  Buffer.concat(
    parts.map((part) => (typeof part === 'string' ? Buffer.from(part.replaceAll(/\s/g, ''), 'hex') : part)),
  );

const int32 = (value: number): Buffer => {
  const buffer = Buffer.alloc(4);
  buffer.writeInt32LE(value);
  return buffer;
};

/** PLP (2.2.5.2.3): total length, chunks, terminator. */
const plp = (value: Buffer): Buffer => bytes(int32(value.length), '00000000', int32(value.length), value, '00000000');

const JSON_VALUE = Buffer.from(JSON.stringify({ name: 'né', tags: ['a', 'b'], deep: { n: 1.5e300 } }));
/** A vector of three float32 (2.2.5.5.8): magic, version, dimensions, element type, reserved, elements. */
const VECTOR_VALUE = bytes('a9 01 0300 00 000000', '0000803f 00000040 00004040');

const FEATURES = new Map([
  [0x01, bytes(int32(0))], // session recovery
  [0x04, bytes('03')], // column encryption, with enclaves
  [0x09, bytes('02')], // data classification
  [0x0a, bytes('01')], // UTF-8
  [0x0d, bytes('01')], // JSON
  [0x0e, bytes('01')], // vector
]);
const ACKNOWLEDGEMENT = bytes(
  'ae',
  ...['01 05000000 0180020300'],
  ...['04 06000000', '03 04 56425300', '09 02000000 0201', '0a 01000000 01', '0d 01000000 01', '0e 01000000 01', 'ff'],
);
/** SESSIONSTATE (2.2.7.21): sequence number, recoverable, one state. */
const SESSION_STATE = bytes('e4 0a000000', '01000000 01', '09 03 aabbcc');
const LOGIN_ACK = 'ad 0e00 01 74000004 02 4100 4200 11000000';
const DONE = 'fd 0000 0000 0000000000000000';

const ANSWER = bytes(
  // COLMETADATA of an encrypted column, a JSON and a vector column, with the table of column encryption keys (2.2.7.4).
  ...['81 0300', '0100', '01000000 02000000 03000000 0102030405060708 01', '0400 deadbeef', '01 6b 0100 7000 01 6100'],
  ...['00000000 0908 a5 4000 0000 00000000 26 04 02 01 01', '01 6500'],
  ...['00000000 0900 f4', '01 6a00', '00000000 0900 f5 1400 00', '01 7600'],
  // DATACLASSIFICATION (2.2.7.5): one label, one type, sensitivity by column.
  ...['a3 0100 01 5000 01 3100 0100 01 7400 01 3200 00000000 0300', '0100 0000 0000 00000000', '0000 0000'],
  // ROW
  ...['d1', '1000', Buffer.alloc(16, 0x5a), plp(JSON_VALUE), '1400', VECTOR_VALUE],
  // NBCROW with NULL in each column
  ...['d2 07'],
  ...[SESSION_STATE, 'fd 1000 c100 0200000000000000'],
);

/** RPC of sp_executesql with a JSON and a vector parameter, an encrypted one, and ALL_HEADERS. */
const REQUEST = bytes(
  ...['16000000 12000000 0200 0000000000000000 01000000', 'ffff 0a00 0000'],
  ...['00 00 f4', plp(JSON_VALUE)],
  ...['00 00 f5 1400 00', '1400', VECTOR_VALUE],
  ...['00 08 a5 4000 1000', Buffer.alloc(16, 0x5a), '26 04 02 01 01 0908070605040302 01'],
);

const PRELOGIN_ANSWER = bytes('0000100006010016000102001700 01ff 100000000000 02 00');

const LOGIN: Login7 = {
  tdsVersion: 0x74000004,
  packetSize: 8192,
  ...{ hostName: 'laptop', appName: 'shop', serverName: 'sql.test', library: 'x', language: '', database: 'orders' },
  ...{ readOnlyIntent: false, utf8: true, fedAuthEcho: false },
  proof: { kind: 'sql', userName: 'app', password: 'secret' },
  client: { programVersion: 7, processId: 4711, flags: [0xe0, 0x03, 0x00, 0x10], timeZone: -60, lcid: 0x0409 },
  features: FEATURES,
};

/** Reads up to the end of a message; resolves with its raw packets. */
async function rawMessage(socket: NodeJS.ReadableStream): Promise<Buffer> {
  const packets: Buffer[] = [];
  return await new Promise((resolve) => {
    const splitter = new PacketSplitter((packet) => {
      packets.push(packet.bytes);
      if ((packet.status & PacketStatus.EndOfMessage) !== 0) resolve(Buffer.concat(packets));
    });
    socket.on('data', (chunk: Buffer) => splitter.push(chunk)).resume();
  });
}

/** Writes in chunks of this size, each in its own turn of the event loop. */
async function writeInChunks(socket: Socket, whole: Buffer, size: number): Promise<void> {
  for (let at = 0; at < whole.length; at += size) {
    socket.write(whole.subarray(at, at + size));
    await nextTurn();
  }
}

/** One login and one request through a gateway, and what arrived at each end. */
async function exchange(sent: { request: Buffer; answer: Buffer; chunk: number; loginAnswer?: Buffer }) {
  const { request, answer, chunk, loginAnswer = bytes(LOGIN_ACK, ACKNOWLEDGEMENT, DONE) } = sent;
  const atServer: { login?: Login7; request?: Buffer } = {};
  const behind = closing(
    await tcpServer(async (socket) => {
      socket.setNoDelay(true);
      const messages = new MessageStream(socket, 65_536, () => {});
      messages.start();
      await messages.readOf(PacketType.PreLogin);
      messages.write(frameMessage(PacketType.TabularResult, PRELOGIN_ANSWER, 4096));
      atServer.login = readLogin7((await messages.readOf(PacketType.Login7)).body);
      messages.write(frameMessage(PacketType.TabularResult, loginAnswer, 4096));
      messages.detach();
      atServer.request = await rawMessage(socket);
      await writeInChunks(socket, answer, chunk);
    }),
  );
  const upstream = { server: 'localhost', port: behind.port, options: { encrypt: false } };
  const gateway = closing(await startSqlGateway({ upstream, encrypt: 'not-supported' }));
  const socket = connect({ port: gateway.port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  const messages = new MessageStream(socket, 65_536, () => {});
  messages.start();
  messages.write(frameMessage(PacketType.PreLogin, writePreLoginRequest(Encryption.NotSupported), 4096));
  await messages.readOf(PacketType.TabularResult);
  messages.write(frameMessage(PacketType.Login7, writeLogin7(LOGIN, 'app', 'secret'), 4096));
  const login = (await messages.readOf(PacketType.TabularResult)).body;
  expect(gateway.upstreamErrors).toEqual([]);
  messages.detach();
  const answered = rawMessage(socket);
  await writeInChunks(socket, request, chunk);
  const atClient = { login, answer: await answered };
  socket.destroy();
  return { atServer, atClient };
}

test('the features of SQL Server 2025, column encryption, recovery and classification are requested and acknowledged unchanged', async () => {
  const request = frameMessage(PacketType.Rpc, REQUEST, 4096);
  const answer = frameMessage(PacketType.TabularResult, ANSWER, 4096, 0, 51);
  const { atServer, atClient } = await exchange({ request, answer, chunk: answer.length });
  expect([...(atServer.login as Login7).features]).toEqual([...FEATURES]);
  expect(atClient.login).toEqual(bytes(LOGIN_ACK, ACKNOWLEDGEMENT, DONE));
});

test('an answer to a login may hold the state of a session that was recovered', async () => {
  const request = frameMessage(PacketType.Rpc, REQUEST, 4096);
  const answer = frameMessage(PacketType.TabularResult, ANSWER, 4096);
  const loginAnswer = bytes(LOGIN_ACK, ACKNOWLEDGEMENT, SESSION_STATE, DONE);
  const { atClient } = await exchange({ request, answer, chunk: 512, loginAnswer });
  expect(atClient.login).toEqual(loginAnswer);
});

// A packet of 9 bytes has one byte of the message, so that every boundary occurs.
test.each(
  [9, 10, 11, 13, 32, 512, 4096].flatMap((packet) => [1, 3, 8, 100_000].map((chunk) => [packet, chunk] as const)),
)(
  'JSON, vector and encrypted values pass untouched in both directions: packets of %i bytes, sent %i at a time',
  async (packetSize, chunk) => {
    const request = frameMessage(PacketType.Rpc, REQUEST, packetSize);
    const answer = frameMessage(PacketType.TabularResult, ANSWER, packetSize, 0, 51);
    const { atServer, atClient } = await exchange({ request, answer, chunk });
    expect(atServer.request?.equals(request)).toBe(true);
    expect(atClient.answer.equals(answer)).toBe(true);
  },
);

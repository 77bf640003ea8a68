import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type SqlGateway, startSqlEmulator } from '../../../src/testing/index.js';
import { tcpServer } from '../../support/tcp-server.js';
import { closing, execute, refusedLogin, tediousConnect } from '../sql-clients.js';

const LOGIN = { user: 'app', password: 'App-password-1' };

/** A server behind a gateway whose connections the test controls. */
async function behind(serve: (socket: Socket) => void): Promise<number> {
  return closing(await tcpServer(serve)).port;
}

async function gatewayTo(port: number, options: object = { encrypt: false }): Promise<SqlGateway> {
  const upstream = { server: 'localhost', port, ...LOGIN, options, connectionTimeout: 300 };
  return closing(await startSqlEmulator({ upstream }));
}

function packet(body: Buffer, type = 4): Buffer {
  const length = body.length + 8;
  return Buffer.concat([Buffer.from([type, 1, length >> 8, length & 0xff, 0, 0, 1, 0]), body]);
}

const PRELOGIN_ANSWER = packet(Buffer.from('000010000601001600010200170001ff10000000000002' + '00', 'hex'));

describe('an upstream server that', () => {
  test.each<[string, (socket: Socket) => void, RegExp]>([
    ['hangs up', (socket) => socket.destroy(), /closed|ECONNRESET/],
    ['never answers', () => {}, /no answer within 300 ms/],
    ['is not a SQL Server', (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'), /./],
    ['answers PRELOGIN with nonsense', (socket) => socket.write(packet(Buffer.from([0, 255, 255, 0, 6]))), /./],
    [
      'answers the login with nonsense',
      (socket) => {
        socket.once('data', () => {
          socket.write(PRELOGIN_ANSWER);
          socket.once('data', () => socket.write(packet(Buffer.from([0x99, 1, 2, 3]))));
        });
      },
      /token 0x99/,
    ],
  ])('%s: the client gets 40613, the test the cause', async (_, serve, cause) => {
    const gateway = await gatewayTo(await behind(serve));
    const { errors } = await refusedLogin(gateway.config(LOGIN));
    expect(errors).toMatchObject([{ number: 40613, class: 17 }]);
    expect(gateway.upstreamErrors[0]?.message).toMatch(cause);
    expect(gateway.logins[0]).toMatchObject({ accepted: false, error: { number: 40613 } });
    await expect.poll(() => gateway.connections.open).toBe(0);
  });

  test('sends random bytes as its login answer', async () => {
    let answer = Buffer.alloc(0);
    const port = await behind((socket) => {
      socket.once('data', () => {
        socket.write(PRELOGIN_ANSWER);
        socket.once('data', () => socket.end(packet(answer)));
      });
    });
    const gateway = await gatewayTo(port);
    const token = fc.tuple(fc.constantFrom(0xaa, 0xab, 0xad, 0xae, 0xe3, 0xfd, 0x55), fc.uint8Array({ maxLength: 40 }));
    await fc.assert(
      fc.asyncProperty(fc.array(token, { maxLength: 4 }), async (tokens) => {
        answer = Buffer.concat(tokens.map(([id, body]) => Buffer.from([id, ...body])));
        await refusedLogin(gateway.config({ ...LOGIN, options: { encrypt: false } })).catch(() => {});
      }),
      { numRuns: 40 },
    );
    await expect.poll(() => gateway.connections.open).toBe(0);
    const working = closing(await startSqlEmulator({ users: { [LOGIN.user]: LOGIN.password } }));
    const other = await gatewayTo(working.port, { trustServerCertificate: true });
    const { connection } = await tediousConnect(other.config(LOGIN));
    expect(await execute(connection, 'SELECT 1')).toEqual([[1]]);
  });
});

test('an upstream server that does not read makes the client wait', async () => {
  const accepted = Buffer.from('ad0e00017400000402610062001000000000', 'hex');
  const loginAck = Buffer.concat([accepted.subarray(0, 17), Buffer.from('fd000000000000000000000000', 'hex')]);
  loginAck.writeUInt16LE(14, 1);
  const port = await behind((socket) => {
    socket.once('data', () => {
      socket.write(PRELOGIN_ANSWER);
      socket.once('data', () => {
        socket.write(packet(loginAck));
        socket.pause();
      });
    });
  });
  const gateway = await gatewayTo(port);
  const client = await rawLogin(gateway);
  const MEGABYTE = packet(Buffer.alloc(32_000), 1);
  let sent = 0;
  for (; sent < 200; sent += 1) {
    for (let i = 0; i < 32; i += 1) client.write(MEGABYTE);
    if (!client.writableNeedDrain) continue;
    const went = await Promise.race([once(client, 'drain').then(() => true), after(500).then(() => false)]);
    if (!went) break;
  }
  expect(sent).toBeLessThan(50);
  client.destroy();
});

function after(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A socket after a successful SQL login. */
async function rawLogin(gateway: SqlGateway): Promise<Socket> {
  const socket = connect(gateway.port, '127.0.0.1');
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.write(packet(Buffer.from('000010000601001600010200170001ff1000000000000200', 'hex'), 0x12));
  await once(socket, 'data');
  const login = Buffer.alloc(94);
  login.writeUInt32LE(94, 0);
  login.writeUInt32LE(0x74000004, 4);
  login.writeUInt32LE(4096, 8);
  socket.write(packet(login, 0x10));
  await once(socket, 'data');
  return socket;
}

test('a logged-in client that violates TDS gets an error, and its upstream session ends', async () => {
  const working = closing(await startSqlEmulator({ users: { [LOGIN.user]: LOGIN.password } }));
  const gateway = await gatewayTo(working.port, { trustServerCertificate: true });
  const { connection, errors } = await tediousConnect(gateway.config({ ...LOGIN, options: { encrypt: false } }));
  const ended = once(connection, 'end');
  (connection as unknown as { socket: Socket }).socket.write(Buffer.from([1, 1, 0, 3, 0, 0, 0, 0]));
  await ended;
  expect(gateway.protocolErrors[0]?.message).toBe('a packet of 3 bytes is shorter than its own header');
  await expect.poll(() => working.connections.open).toBe(0);
  expect(errors.every(({ number }) => number === 4002)).toBe(true);
});

test('1,000 half-open connections open no upstream connection', async () => {
  const working = closing(await startSqlEmulator({ users: { [LOGIN.user]: LOGIN.password } }));
  const gateway = await gatewayTo(working.port, { trustServerCertificate: true });
  const half = await Promise.all(
    Array.from({ length: 1000 }, async () => {
      const socket = connect(gateway.port, '127.0.0.1');
      socket.on('error', () => {});
      await once(socket, 'connect');
      socket.write(Buffer.from([0x12, 1, 0]));
      return socket;
    }),
  );
  const { connection } = await tediousConnect(gateway.config({ ...LOGIN, options: { connectTimeout: 30_000 } }));
  expect(await execute(connection, 'SELECT 1')).toEqual([[1]]);
  expect(working.connections.most).toBe(1);
  for (const socket of half) socket.destroy();
  connection.close();
  await expect.poll(() => gateway.connections.open).toBe(0);
});

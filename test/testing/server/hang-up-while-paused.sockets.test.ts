import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Request } from 'tedious';
import { describe, expect, test } from 'vitest';
import { startSqlEmulator, startSqlGateway, type TdsServer } from '../../../src/testing/index.js';
import { closing, tediousConnect } from '../sql-clients.js';

/** PRELOGIN of a client that wants encryption. */
const PRELOGIN = Buffer.from('1201001a00000100' + '00000b0006' + '0100110001' + 'ff' + '100000000000' + '01', 'hex');

async function rawClient(server: TdsServer): Promise<Socket> {
  const socket = connect(server.port, '127.0.0.1');
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

/** The server counts this many connections, without being resumed. */
async function untilOpen(server: TdsServer, count: number): Promise<void> {
  await expect.poll(() => server.connections.open, { interval: 5, timeout: 10_000 }).toBe(count);
}

describe('a client that leaves while the server is paused is not counted as open', () => {
  test.each<[string, Buffer, (socket: Socket) => unknown]>([
    ['after connecting', Buffer.alloc(0), (socket) => socket.destroy()],
    ['after half of its PRELOGIN', PRELOGIN.subarray(0, 12), (socket) => socket.destroy()],
    ['after its PRELOGIN', PRELOGIN, (socket) => socket.destroy()],
    ['after its PRELOGIN, with FIN', PRELOGIN, (socket) => socket.end()],
    ['after its PRELOGIN, with RST', PRELOGIN, (socket) => socket.resetAndDestroy()],
  ])('%s', async (_, sent, leave) => {
    const server = closing(await startSqlEmulator());
    server.pause();
    const socket = await rawClient(server);
    await untilOpen(server, 1);
    socket.write(sent);
    await new Promise(setImmediate);
    leave(socket);
    await untilOpen(server, 0);
    socket.destroy();
  });

  test.each<[string, boolean]>([
    ['emulator', false],
    ['gateway', true],
  ])('with a request in flight: %s', async (_, gateway) => {
    const emulator = closing(await startSqlEmulator());
    const { port, sqlLogin } = emulator;
    const options = { trustServerCertificate: true };
    const server = gateway
      ? closing(await startSqlGateway({ upstream: { server: 'localhost', port, options } }))
      : emulator;
    const { connection } = await tediousConnect({ ...server.config(), ...sqlLogin } as never);
    server.pause();
    connection.execSqlBatch(new Request('SELECT 1', () => {}));
    await new Promise(setImmediate);
    connection.close();
    await untilOpen(server, 0);
    await untilOpen(emulator, 0);
    expect(server.protocolErrors).toEqual([]);
    expect(emulator.queries.filter(({ sql }) => sql === 'SELECT 1')).toEqual([]);
  });
});

test('a client that has left during a pause is not waited for afterwards', async () => {
  const server = closing(await startSqlEmulator({ loginTimeoutMs: 600_000 }));
  const [first, second] = [await rawClient(server), await rawClient(server)];
  first.write(PRELOGIN);
  // Answered: the first client leaves in its TLS handshake.
  await once(first, 'data');
  server.pause();
  second.write(PRELOGIN);
  first.end(Buffer.from([0x12, 1, 0, 12, 0, 0, 1, 0, 0x16, 3, 1, 2]));
  second.end();
  server.resume();
  await untilOpen(server, 0);
  first.destroy();
  second.destroy();
});

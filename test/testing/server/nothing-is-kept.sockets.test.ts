import { once } from 'node:events';
import { connect } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { startSqlEmulator, type TdsServer } from '../../../src/testing/index.js';
import { closing, tediousConnect } from '../sql-clients.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const BAD = [
  Buffer.from('GET / HTTP/1.1\r\n\r\n'),
  // The beginning of a PRELOGIN that never continues.
  Buffer.from('1201002f', 'hex'),
  // A packet of 32 KB in a message that does not end.
  Buffer.concat([Buffer.from('1200800000000100', 'hex'), Buffer.alloc(32_760)]),
];

async function badClients(server: TdsServer, count: number): Promise<void> {
  for (let i = 0; i < count; i += 50) {
    await Promise.all(
      Array.from({ length: 50 }, async (_, n) => {
        const socket = connect(server.port, '127.0.0.1');
        socket.on('error', () => {});
        await once(socket, 'connect');
        socket.end(BAD[n % BAD.length] as Buffer);
        socket.resume();
        if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
      }),
    );
  }
}

/** Clients that disappear after their login. */
async function lostClients(server: TdsServer, count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    const { connection } = await tediousConnect(server.config());
    connection.on('error', () => {});
    (connection as unknown as { socket: { destroy(): void } }).socket.destroy();
  }
}

async function heapAfter(server: TdsServer, bad: number, lost: number): Promise<number> {
  await badClients(server, bad);
  await lostClients(server, lost);
  await expect.poll(() => server.connections.open).toBe(0);
  // What was closed in this turn is released in the next.
  for (let i = 0; i < 3; i += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    collectGarbage();
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

test('the emulator and the gateway keep no memory of disconnected clients', async () => {
  const server = closing(await startSqlEmulator());
  const { user = '', password = '' } = server.config() as { user?: string; password?: string };
  const upstream = {
    server: 'localhost',
    port: server.port,
    user,
    password,
    options: { trustServerCertificate: true },
  };
  const gateway = closing(await startSqlEmulator({ upstream, users: { [user]: password } }));
  for (const each of [server, gateway]) {
    const before = await heapAfter(each, 200, 10);
    const after = await heapAfter(each, 1_000, 40);
    // A kept connection has buffers of tens of kilobytes; what is logged of each is less than one.
    expect(after - before).toBeLessThan(1_040 * 4_096);
  }
});

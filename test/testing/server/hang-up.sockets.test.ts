import { once } from 'node:events';
import { expect, test } from 'vitest';
import { type SqlEmulatorOptions, startSqlEmulator, startSqlGateway } from '../../../src/testing/index.js';
import { tcpServer } from '../../support/tcp-server.js';
import { closing, tediousConnection } from '../sql-clients.js';

/** A client that gives up 50 ms after sending its login. */
async function impatient(server: { config(): object }, sent: () => number): Promise<void> {
  const { connection } = tediousConnection({
    ...server.config(),
    options: { ...optionsOf(server), connectTimeout: 60_000 },
  } as never);
  const ended = once(connection, 'end');
  connection.connect(() => {});
  await expect.poll(sent, { interval: 5 }).toBeGreaterThan(0);
  connection.close();
  await ended;
}

function optionsOf(server: { config(): object }): object {
  return (server.config() as { options: object }).options;
}

test.each<[string, SqlEmulatorOptions]>([
  ['while its login is delayed', { loginDelayMs: 60_000 }],
  ['while its login is delayed, over TDS 8', { loginDelayMs: 60_000, encrypt: 'strict' }],
])('notices at once a client that hangs up %s', async (_, options) => {
  const server = closing(await startSqlEmulator(options));
  await impatient(server, () => server.logins.length);
  await expect.poll(() => server.connections.open, { interval: 5, timeout: 5000 }).toBe(0);
  expect(server.logins).toMatchObject([{ accepted: false, error: 'dropped', closed: expect.any(Number) }]);
});

test('detects at once that a client hangs up while the server is paused', async () => {
  const server = closing(await startSqlEmulator());
  const { connection } = tediousConnection(server.config() as never);
  // Paused as soon as the login is recorded, which is before it is decided.
  const { logins } = server;
  const record = logins.push.bind(logins);
  logins.push = (...records) => {
    server.pause();
    return record(...records);
  };
  connection.connect(() => {});
  await expect.poll(() => logins.length, { interval: 5 }).toBe(1);
  connection.close();
  await expect.poll(() => server.connections.open, { interval: 5, timeout: 5000 }).toBe(0);
});

test('the gateway disconnects from a silent server when its client leaves, and reports no upstream error', async () => {
  const { port, sockets } = closing(await tcpServer((socket) => void socket.resume()));
  const gateway = closing(
    await startSqlGateway({ upstream: { server: '127.0.0.1', port, user: 'sa', password: 'x' } }),
  );
  await impatient(gateway, () => sockets.size);
  await expect.poll(() => [gateway.connections.open, sockets.size], { interval: 5, timeout: 5000 }).toEqual([0, 0]);
  expect(gateway.upstreamErrors).toEqual([]);
});

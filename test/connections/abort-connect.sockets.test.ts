import { createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTokenPool, type TokenPool } from '../../src/index.js';

/** Accepts connections and says nothing. */
const server = createServer((socket) => {
  open.add(socket);
  socket.on('error', () => {});
  socket.on('close', () => open.delete(socket));
  socket.resume();
});
const open = new Set<Socket>();
let port: number;

beforeAll(
  () =>
    new Promise<void>((resolve) => {
      server.listen(0, () => {
        port = (server.address() as { port: number }).port;
        resolve();
      });
    }),
);
afterAll(() => {
  for (const socket of open) socket.destroy();
  server.close();
});

// A name, because tedious does not have to wait for the address of a server that is given by its address.
const aPool = (): TokenPool =>
  createTokenPool({
    server: 'localhost',
    port,
    user: 'app',
    password: 'Secret-Password-1',
    connectionTimeout: 90_000,
    pool: { max: 2, overlap: 0 },
  });

/** In each phase of the TCP connect, as far as a machine allows. */
const MOMENTS_MS = [0, 0, 1, 1, 2, 3, 5, 8];

test('close() leaves no socket open, in whatever moment of the connect it comes', async () => {
  for (const ms of [...MOMENTS_MS, ...MOMENTS_MS]) {
    const pool = aPool();
    const callers = [pool.acquire(), pool.acquire()].map((caller) => caller.catch(() => undefined));
    await sleep(ms);
    await pool.close();
    await Promise.all(callers);
  }
  await expect.poll(() => open.size).toBe(0);
});

test('evictAll() during logins opens no more sockets than the pool may have connections', async () => {
  const pool = aPool();
  const callers = [pool.acquire(), pool.acquire()].map((caller) => caller.catch(() => undefined));
  for (const ms of MOMENTS_MS) {
    await sleep(ms);
    await pool.evictAll();
  }
  await expect.poll(() => open.size).toBeLessThanOrEqual(2);
  await pool.close();
  await Promise.all(callers);
  await expect.poll(() => open.size).toBe(0);
});

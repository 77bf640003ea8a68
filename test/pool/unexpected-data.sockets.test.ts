import { connect, type Socket } from 'node:net';
import type { Connection } from 'tedious';
import { expect, test } from 'vitest';
import { hasUnread } from '../../src/connections/unread.js';
import { createTokenPool } from '../../src/pool/create-token-pool.js';
import type { TokenPool } from '../../src/pool/token-pool.js';
import { startSqlEmulator } from '../../src/testing/index.js';
import { query } from '../support/query.js';
import { tcpServer } from '../support/tcp-server.js';

interface Wire extends AsyncDisposable {
  readonly pool: TokenPool;
  /** To the client, in the order of their connections. */
  readonly toClient: Socket[];
  /** What becomes of the server's data; each chunk is passed on unless this returns true. */
  intercept: ((chunk: Buffer, client: Socket) => boolean) | undefined;
}

/** A pool and a server without encryption, and what lies between them. */
async function wire(config: object = {}): Promise<Wire> {
  const server = await startSqlEmulator({ encrypt: 'not-supported' });
  const toClient: Socket[] = [];
  const between = await tcpServer((client) => {
    const upstream = connect(server.port, '127.0.0.1');
    upstream.on('error', () => client.destroy());
    upstream.on('close', () => client.destroy());
    upstream.on('data', (chunk) => {
      if (world.intercept?.(chunk, client) !== true) client.write(chunk);
    });
    client.on('data', (chunk) => upstream.write(chunk));
    client.on('close', () => upstream.destroy());
    toClient.push(client);
  });
  const base = server.config();
  const pool = createTokenPool({
    ...base,
    port: between.port,
    options: { ...base.options, encrypt: false },
    pool: { max: 1 },
    ...config,
  });
  const world: Wire = {
    pool,
    toClient,
    intercept: undefined,
    async [Symbol.asyncDispose]() {
      await pool.close({ timeoutMs: 0 });
      await between[Symbol.asyncDispose]();
      await server.close();
    },
  };
  return world;
}

/** The connection has received something that no request has asked for. */
async function received(connection: Connection): Promise<void> {
  await expect.poll(() => hasUnread(connection), { interval: 5 }).toBe(true);
}

const firstOf = (pool: TokenPool): Promise<Connection> => pool.use((connection) => connection);

test.each(['never', 'always'] as const)(
  'an answer that arrives twice does not become the answer of the next borrower (resetSession: %s)',
  async (resetSession) => {
    await using world = await wire({ pool: { max: 1, resetSession } });
    const { pool } = world;
    const connection = await firstOf(pool);
    world.intercept = (chunk, client) => {
      client.write(Buffer.concat([chunk, chunk]));
      world.intercept = undefined;
      return true;
    };
    expect(await pool.use((borrowed) => query(borrowed, "SELECT 'of A'"))).toEqual([['of A']]);
    await received(connection);
    expect(await pool.use((borrowed) => query(borrowed, "SELECT 'of B'"))).toEqual([['of B']]);
    expect(await pool.use((borrowed) => query(borrowed, "SELECT 'of C'"))).toEqual([['of C']]);
    expect(pool.stats.evictions).toEqual({ broken: 1 });
  },
);

/** DONE of a batch without rows, in a packet of its own (MS-TDS 2.2.7.6). */
const DONE = Buffer.from([4, 1, 0, 21, 0, 0, 1, 0, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);

test.each([
  ['a whole answer', DONE],
  ['two answers', Buffer.concat([DONE, DONE])],
  ['a part of an answer', DONE.subarray(0, 15)],
  ['one byte', DONE.subarray(0, 1)],
  ['garbage', Buffer.from('garbage garbage garbage garbage garbage')],
])('a connection that receives %s while it is idle is closed before it is handed out', async (_, data) => {
  await using world = await wire();
  const { pool, toClient } = world;
  const connection = await firstOf(pool);
  toClient[0]?.write(data);
  await received(connection);
  const next = await pool.acquire();
  expect(next).not.toBe(connection);
  expect(await query(next, 'SELECT 1')).toEqual([[1]]);
  pool.release(next);
  expect(pool.stats.evictions).toEqual({ broken: 1 });
});

test('a keepalive does not read such an answer as its own', async () => {
  await using world = await wire({ pool: { max: 1, min: 1, keepaliveMillis: 300 } });
  const { pool, toClient } = world;
  const connection = await firstOf(pool);
  toClient[0]?.write(DONE);
  await received(connection);
  await expect.poll(() => pool.stats.evictions).toEqual({ broken: 1 });
  expect(await pool.use((borrowed) => query(borrowed, "SELECT 'of B'"))).toEqual([['of B']]);
});

test('inside TLS such an answer is noticed too', async () => {
  await using server = await startSqlEmulator();
  await using pool = createTokenPool(server.config({ pool: { max: 1 } }));
  const connection = await firstOf(pool);
  const { messageIo } = connection as unknown as { messageIo: { securePair?: { cleartext: Socket } } };
  messageIo.securePair?.cleartext.emit('data', DONE);
  await received(connection);
  expect(await pool.use((borrowed) => query(borrowed, "SELECT 'of B'"))).toEqual([['of B']]);
  expect(pool.stats.evictions).toEqual({ broken: 1 });
});

test('nothing is left over after answers of many packets, cancelled requests and resets', async () => {
  await using server = await startSqlEmulator();
  await using pool = createTokenPool({ ...server.config(), pool: { max: 1, resetSession: 'always' } });
  for (let i = 0; i < 20; i += 1) {
    await pool.use(async (connection) => {
      await query(connection, `SELECT '${'x'.repeat(20_000)}'`);
      const cancelled = query(connection, "WAITFOR DELAY '00:00:05'").catch(() => {});
      connection.cancel();
      await cancelled;
    });
  }
  expect(pool.stats).toMatchObject({ logins: 1, evictions: {} });
});

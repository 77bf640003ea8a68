import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type SqlEmulator, startSqlEmulator } from '../../../src/testing/index.js';
import { closing, execute, tediousConnect } from '../sql-clients.js';

/** A TDS packet with any header fields. */
function packet(type: number, body: Buffer, { status = 1, length = body.length + 8 } = {}): Buffer {
  return Buffer.concat([Buffer.from([type, status, length >> 8, length & 0xff, 0, 0, 1, 0]), body]);
}

const PRELOGIN = packet(0x12, Buffer.from('000015000601001b000102001c000103001d0000ff0000000000000200', 'hex'));

async function open(server: SqlEmulator): Promise<Socket> {
  const socket = connect(server.port, '127.0.0.1');
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

/** Resolves when a socket is closed, by a reset as well. */
async function closed(socket: Socket): Promise<void> {
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
}

/** Sends bytes and resolves when the server has closed the connection. */
async function sentAway(server: SqlEmulator, ...chunks: Buffer[]): Promise<Buffer> {
  const socket = await open(server);
  const answers: Buffer[] = [];
  socket.on('data', (chunk) => answers.push(chunk));
  for (const chunk of chunks) socket.write(chunk);
  await closed(socket);
  return Buffer.concat(answers);
}

/** Checks that other clients are still served. */
async function stillServes(server: SqlEmulator): Promise<void> {
  const { connection } = await tediousConnect(server.config());
  expect(await execute(connection, 'SELECT 1')).toEqual([[1]]);
  connection.close();
}

describe('malformed input closes only that connection', () => {
  test.each([
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
    ['a packet shorter than its header', packet(0x12, Buffer.alloc(0), { length: 3 })],
    ['an empty PRELOGIN', packet(0x12, Buffer.alloc(0))],
    ['a PRELOGIN without a terminator', packet(0x12, Buffer.from([0, 0, 6, 0, 6, 1, 2, 3, 4, 5, 6]))],
    ['a PRELOGIN that points outside itself', packet(0x12, Buffer.from([0, 0xff, 0xff, 0, 6, 0xff]))],
    ['a LOGIN7 before PRELOGIN', packet(0x10, Buffer.alloc(100))],
    [
      'a message whose packets change type',
      Buffer.concat([packet(0x12, Buffer.alloc(4), { status: 0 }), packet(0x10, Buffer.alloc(4))]),
    ],
    ['a LOGIN7 too short', Buffer.concat([PRELOGIN, packet(0x10, Buffer.from([4, 0, 0, 0]))])],
    ['a LOGIN7 that lies about its length', Buffer.concat([PRELOGIN, packet(0x10, Buffer.alloc(94, 0xff))])],
    ['invalid TLS', Buffer.from([0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5])],
    [
      'a PRELOGIN without end',
      Buffer.concat(Array.from({ length: 20 }, () => packet(0x12, Buffer.alloc(32_000), { status: 0 }))),
    ],
  ])('%s', async (_, bytes) => {
    const server = closing(await startSqlEmulator());
    await sentAway(server, bytes);
    await expect.poll(() => server.connections.open).toBe(0);
    expect(server.protocolErrors).toHaveLength(1);
    expect(server.logins).toEqual([]);
    await stillServes(server);
  });

  test('a connection that never logs in is closed in time, no matter how slowly it sends', async () => {
    const server = closing(await startSqlEmulator({ loginTimeoutMs: 300 }));
    const silent = await open(server);
    const slow = await open(server);
    const timer = setInterval(() => slow.write(Buffer.from([0x12])), 20);
    await Promise.all([closed(silent), closed(slow)]);
    clearInterval(timer);
    await stillServes(server);
  });

  test('1,000 half-open connections do not delay a login', async () => {
    const server = closing(await startSqlEmulator());
    const half = await Promise.all(Array.from({ length: 1000 }, () => open(server)));
    for (const socket of half) socket.write(PRELOGIN.subarray(0, 5));
    await expect.poll(() => server.connections.open).toBe(1000);
    await stillServes(server);
    for (const socket of half) socket.destroy();
    await expect.poll(() => server.connections.open).toBe(0);
  });

  test.each([
    ['inside TDS', Buffer.concat([PRELOGIN, packet(0x12, Buffer.from([0x16, 3, 1, 0, 200, 1, 0, 0]))]), true],
    ['of TDS 8', Buffer.from([0x16, 3, 1, 0, 200, 1, 0, 0]), false],
  ])('a client that leaves in the middle of the TLS handshake %s is gone at once', async (_, bytes, isAnswered) => {
    const server = closing(await startSqlEmulator({ loginTimeoutMs: 2 ** 31 - 1 }));
    for (const leave of ['end', 'destroy'] as const) {
      const socket = await open(server);
      socket.write(bytes);
      if (isAnswered) await once(socket, 'data');
      else await expect.poll(() => server.connections.open).toBe(1);
      socket.resume();
      socket[leave]();
      await expect.poll(() => server.connections.open).toBe(0);
    }
  });

  test('random bytes before a login', async () => {
    const server = closing(await startSqlEmulator());
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 5 }), async (chunks) => {
        const socket = await open(server);
        for (const chunk of chunks) if (!socket.destroyed) socket.write(chunk);
        socket.end();
        await closed(socket);
      }),
      { numRuns: 100 },
    );
    await expect.poll(() => server.connections.open).toBe(0);
    await stillServes(server);
  });

  test('random contents of PRELOGIN and LOGIN7', async () => {
    const server = closing(await startSqlEmulator());
    const message = fc.tuple(
      fc.constantFrom(0x12, 0x10, 0x08, 0x01, 0x03, 0x06, 0x0e),
      fc.uint8Array({ maxLength: 200 }),
      fc.constantFrom(0, 1, 3, 9),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: 4 }), async (messages) => {
        const socket = await open(server);
        socket.resume();
        socket.write(PRELOGIN);
        for (const [type, body, status] of messages) {
          if (!socket.destroyed) socket.write(packet(type, Buffer.from(body), { status }));
        }
        socket.end();
        await closed(socket);
      }),
      { numRuns: 100 },
    );
    await expect.poll(() => server.connections.open).toBe(0);
    await stillServes(server);
  });
});

describe('malformed requests of a logged-in client', () => {
  /** A logged-in connection for sending arbitrary bytes. */
  async function loggedIn(server: SqlEmulator): Promise<Socket> {
    const { user, password } = server.sqlLogin;
    const socket = await open(server);
    socket.write(PRELOGIN);
    await once(socket, 'data');
    socket.write(packet(0x10, login7(user, password)));
    await once(socket, 'data');
    return socket;
  }

  test.each([
    ['an unknown message type', packet(0x55, Buffer.alloc(4))],
    ['a batch with half a character', packet(1, Buffer.from([4, 0, 0, 0, 65]))],
    ['a batch whose headers are longer than it is', packet(1, Buffer.from([255, 255, 0, 0]))],
    ['a call of an unknown procedure number', packet(3, Buffer.from([4, 0, 0, 0, 0xff, 0xff, 99, 0, 0, 0]))],
    ['a parameter of an unknown type', packet(3, Buffer.from([4, 0, 0, 0, 1, 0, 65, 0, 0, 0, 0, 0, 0x99]))],
    ['a parameter that ends early', packet(3, Buffer.from([4, 0, 0, 0, 1, 0, 65, 0, 0, 0, 0, 0, 0x26, 4, 4, 1]))],
    ['a transaction request that does not exist', packet(0x0e, Buffer.from([4, 0, 0, 0, 77, 0]))],
  ])('%s: 4002, and the connection is closed', async (_, bytes) => {
    const server = closing(await startSqlEmulator());
    const socket = await loggedIn(server);
    const answers: Buffer[] = [];
    socket.on('data', (chunk) => answers.push(chunk));
    socket.write(bytes);
    await closed(socket);
    expect(Buffer.concat(answers).includes(Buffer.from('protocol stream is incorrect', 'utf16le'))).toBe(true);
    expect(server.protocolErrors).toHaveLength(1);
    await stillServes(server);
  });

  test('a message above the size limit', async () => {
    const server = closing(await startSqlEmulator({ maxMessageBytes: 100_000 }));
    const socket = await loggedIn(server);
    for (let i = 0; i < 10 && !socket.destroyed; i += 1) socket.write(packet(1, Buffer.alloc(30_000), { status: 0 }));
    await closed(socket);
    expect(server.protocolErrors[0]?.message).toBe('a message is longer than 100000 bytes');
  });

  test.each(['one by one', 'all at once'])(
    'a client that does not wait for answers and sends its requests %s',
    async (how) => {
      const server = closing(await startSqlEmulator());
      const socket = await loggedIn(server);
      socket.resume();
      const text = Buffer.concat([Buffer.from([4, 0, 0, 0]), Buffer.from("WAITFOR DELAY '00:01:00'", 'utf16le')]);
      const requests = Array.from({ length: 20 }, () => packet(1, text));
      // When sent all at once, they are refused before the first one starts to wait.
      for (const bytes of how === 'all at once' ? [Buffer.concat(requests)] : requests) socket.write(bytes);
      await closed(socket);
      expect(server.protocolErrors[0]?.message).toBe('the client does not wait for answers');
    },
  );

  test('random contents of a request', async () => {
    const server = closing(await startSqlEmulator());
    const request = fc.tuple(fc.constantFrom(1, 3, 6, 7, 0x0e), fc.uint8Array({ maxLength: 120 }), fc.boolean());
    await fc.assert(
      fc.asyncProperty(request, async ([type, body, headers]) => {
        const socket = await loggedIn(server);
        socket.resume();
        const all = headers ? Buffer.concat([Buffer.from([4, 0, 0, 0]), body]) : Buffer.from(body);
        socket.end(packet(type, all));
        await closed(socket);
      }),
      { numRuns: 200 },
    );
    await expect.poll(() => server.connections.open).toBe(0);
    await stillServes(server);
  });
});

/** A LOGIN7 with a SQL login ([MS-TDS] 2.2.6.4). */
function login7(user: string, password: string): Buffer {
  const fixed = Buffer.alloc(94);
  fixed.writeUInt32LE(0x74000004, 4);
  fixed.writeUInt32LE(4096, 8);
  const name = Buffer.from(user, 'utf16le');
  const secret = Buffer.from(password, 'utf16le').map((byte) => (((byte << 4) | (byte >> 4)) & 0xff) ^ 0xa5);
  const fields: [number, Buffer][] = [
    [40, name],
    [44, Buffer.from(secret)],
  ];
  let at = fixed.length;
  for (const [offset, data] of fields) {
    fixed.writeUInt16LE(at, offset);
    fixed.writeUInt16LE(data.length / 2, offset + 2);
    at += data.length;
  }
  const whole = Buffer.concat([fixed, name, Buffer.from(secret)]);
  whole.writeUInt32LE(whole.length, 0);
  return whole;
}

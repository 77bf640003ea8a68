import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { makeCertificate } from '../../src/testing/certificate.js';
import { acceptTlsInTds, serverTls } from '../../src/testing/tds/tls.js';
import { type TcpServer, tcpServer } from '../support/tcp-server.js';

/** One client of a {@link scriptedServer}, after PRELOGIN and TLS. */
export interface Client {
  /** Number of the connection, from 0. */
  index: number;
  /** The stream that LOGIN7 comes on: TLS, or the bare socket. */
  stream: Duplex;
  socket: Socket;
  /** The next message of the client, without packet headers. */
  read(): Promise<Buffer>;
  /** Sends a tabular result; `last: false` leaves the message open. */
  send(body: Buffer, options?: { last?: boolean }): void;
}

export interface ScriptedServer extends TcpServer {
  /** Connections so far. */
  readonly accepted: number;
  /** Everything that arrived without TLS, from all clients. */
  clear(): Buffer;
}

/**
 * A server that speaks PRELOGIN and TLS properly and does what `script` says from LOGIN7 on: for answers that the SQL
 * emulator never gives.
 */
export async function scriptedServer(
  script: (client: Client) => Promise<unknown>,
  { encrypts = () => true }: { encrypts?: (index: number) => boolean } = {},
): Promise<ScriptedServer> {
  const tls = serverTls(makeCertificate({ commonName: 'localhost' }));
  const received: Buffer[] = [];
  let accepted = 0;

  async function serve(socket: Socket, index: number): Promise<void> {
    const clear = reader(socket, (chunk) => received.push(chunk));
    await clear.read();
    const secure = encrypts(index);
    socket.write(packet(preLoginResponse(secure)));
    let stream: Duplex = socket;
    let messages = clear;
    if (secure) {
      clear.stop();
      stream = acceptTlsInTds(socket, tls);
      stream.on('error', () => {});
      await once(stream, 'secure');
      messages = reader(stream);
    }
    await messages.read();
    const send: Client['send'] = (body, { last = true } = {}) => void stream.write(packet(body, last));
    await script({ index, stream, socket, read: messages.read, send });
  }

  const server = await tcpServer((socket) => {
    serve(socket, accepted++).catch(() => socket.destroy());
  });
  return {
    ...server,
    get accepted() {
      return accepted;
    },
    clear: () => Buffer.concat(received),
  };
}

function reader(stream: Duplex, onChunk?: (chunk: Buffer) => void): { read(): Promise<Buffer>; stop(): void } {
  let pending = Buffer.alloc(0);
  let body: Buffer[] = [];
  const messages: Buffer[] = [];
  let wake: (() => void) | undefined;
  const onData = (chunk: Buffer): void => {
    onChunk?.(chunk);
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= 8 && pending.length >= pending.readUInt16BE(2)) {
      const length = pending.readUInt16BE(2);
      body.push(pending.subarray(8, length));
      if ((pending.readUInt8(1) & 1) === 1) {
        messages.push(Buffer.concat(body));
        body = [];
        wake?.();
      }
      pending = pending.subarray(length);
    }
  };
  stream.on('data', onData);
  return {
    async read() {
      while (messages.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return messages.shift() as Buffer;
    },
    stop() {
      stream.off('data', onData);
      stream.pause();
    },
  };
}

/** One packet of a tabular result. */
function packet(body: Buffer, last = true): Buffer {
  const head = Buffer.from([0x04, last ? 0x01 : 0x00, 0, 0, 0, 0, 1, 0]);
  head.writeUInt16BE(body.length + 8, 2);
  return Buffer.concat([head, body]);
}

function preLoginResponse(encrypts: boolean): Buffer {
  const options = [
    [0, Buffer.from([16, 0, 0, 0, 0, 0])],
    [1, Buffer.from([encrypts ? 1 : 2])],
    [6, Buffer.from([1])],
  ] as const;
  let offset = options.length * 5 + 1;
  const head: Buffer[] = [];
  for (const [token, data] of options) {
    const entry = Buffer.from([token, 0, 0, 0, 0]);
    entry.writeUInt16BE(offset, 1);
    entry.writeUInt16BE(data.length, 3);
    head.push(entry);
    offset += data.length;
  }
  return Buffer.concat([...head, Buffer.from([0xff]), ...options.map(([, data]) => data)]);
}

const utf16 = (text: string): Buffer => Buffer.from(text, 'utf16le');

/** The tokens of MS-TDS 2.2.7 that a login and a request need. */
export const tokens = {
  loginAck: (): Buffer => sized(0xad, Buffer.from([1, 0x74, 0, 0, 4, 3, ...utf16('SQL'), 16, 0, 0, 0])),
  done: (status = 0): Buffer => Buffer.from([0xfd, status, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
  routing(server: string, port: number): Buffer {
    const value = Buffer.alloc(5);
    value.writeUInt16LE(port, 1);
    value.writeUInt16LE(server.length, 3);
    const target = Buffer.concat([value, utf16(server)]);
    const length = Buffer.alloc(2);
    length.writeUInt16LE(target.length);
    return sized(0xe3, Buffer.concat([Buffer.from([20]), length, target, Buffer.from([0, 0])]));
  },
  fedAuthInfo(): Buffer {
    const sts = utf16('https://login.microsoftonline.com/common');
    const spn = utf16('https://database.windows.net/');
    const head = Buffer.alloc(22);
    head.writeUInt32LE(2, 0);
    head.writeUInt8(1, 4);
    head.writeUInt32LE(sts.length, 5);
    head.writeUInt32LE(22, 9);
    head.writeUInt8(2, 13);
    head.writeUInt32LE(spn.length, 14);
    head.writeUInt32LE(22 + sts.length, 18);
    const data = Buffer.concat([head, sts, spn]);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(data.length);
    return Buffer.concat([Buffer.from([0xee]), length, data]);
  },
  error(number: number, severity: number, message: string): Buffer {
    const head = Buffer.alloc(6);
    head.writeInt32LE(number, 0);
    head.writeUInt8(1, 4);
    head.writeUInt8(severity, 5);
    const length = Buffer.alloc(2);
    length.writeUInt16LE(message.length);
    return sized(0xaa, Buffer.concat([head, length, utf16(message), Buffer.from([0, 0, 0, 0, 0, 0])]));
  },
};

function sized(token: number, data: Buffer): Buffer {
  const head = Buffer.from([token, 0, 0]);
  head.writeUInt16LE(data.length, 1);
  return Buffer.concat([head, data]);
}

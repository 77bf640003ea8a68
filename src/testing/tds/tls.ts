import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { type ConnectionOptions, connect, createSecureContext, type SecureContext, TLSSocket } from 'node:tls';
import { frameMessage, HEADER_LENGTH, PacketSplitter, PacketType } from './packet.js';

/**
 * TLS in TDS 7: the handshake travels inside PRELOGIN packets, everything after it straight on the socket ([MS-TDS]
 * 3.2.5.2). TLS 1.3 sends handshake messages after the handshake is over, which this cannot carry, so 1.2 it is.
 */

/** What a server needs to accept TLS, made once. */
export interface ServerTls {
  /** Inside TDS 7. */
  inTds: SecureContext;
  /** Around TDS 8. */
  strict: SecureContext;
}

export function serverTls(certificate: { cert: string; key: string }): ServerTls {
  const { cert, key } = certificate;
  return {
    inTds: createSecureContext({ cert, key, maxVersion: 'TLSv1.2' }),
    strict: createSecureContext({ cert, key }),
  };
}

/** Secures an accepted socket whose client is about to send its handshake in PRELOGIN packets. */
export function acceptTlsInTds(socket: Socket, { inTds }: ServerTls): TLSSocket {
  return new TLSSocket(new HandshakeFraming(socket), { isServer: true, secureContext: inTds });
}

/** Secures a connected socket the client's way. */
export function connectTlsInTds(socket: Socket, options: ConnectionOptions): TLSSocket {
  const framing = new HandshakeFraming(socket);
  const secured = connect({ ...options, socket: framing, maxVersion: 'TLSv1.2' });
  secured.once('secureConnect', () => framing.unframe());
  return secured;
}

/** Accepts TDS 8 (`encrypt: 'strict'`): TLS comes first, TDS is inside. */
export function acceptStrictTls(socket: Socket, { strict }: ServerTls): TLSSocket {
  return new TLSSocket(socket, { isServer: true, secureContext: strict, ALPNProtocols: ['tds/8.0'] });
}

/** First byte of a TLS record that carries a handshake. */
export const TLS_HANDSHAKE = 0x16;

/**
 * Wraps what is written into PRELOGIN packets and unwraps what is read, until the peer sends a bare TLS record: from then
 * on both ways are bare. A client sends the first bare record, so the client side calls unframe() when its handshake is over.
 */
class HandshakeFraming extends Duplex {
  readonly #socket: Socket;
  readonly #splitter = new PacketSplitter((packet) => this.#deliver(packet.bytes.subarray(HEADER_LENGTH)));
  #readsFramed = true;
  #writesFramed = true;

  constructor(socket: Socket) {
    super({ allowHalfOpen: true });
    this.#socket = socket;
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.on('end', () => this.push(null));
    socket.on('error', (error) => this.destroy(error));
    socket.on('close', () => this.destroy());
    socket.resume();
  }

  unframe(): void {
    this.#writesFramed = false;
    this.#readsFramed = false;
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    const bytes = this.#writesFramed ? frameMessage(PacketType.PreLogin, chunk, 4096) : chunk;
    if (this.#socket.write(bytes)) callback();
    else this.#socket.once('drain', () => callback());
  }

  /** One flight of the handshake is one message: tedious expects exactly one answer to each of its own. */
  override _writev(chunks: { chunk: Buffer }[], callback: (error?: Error | null) => void): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), 'binary', callback);
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#socket.end(() => callback());
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#socket.destroy();
    callback(error);
  }

  #receive(chunk: Buffer): void {
    if (this.#readsFramed && chunk[0] !== PacketType.PreLogin && this.#splitter.idle) this.unframe();
    if (!this.#readsFramed) {
      this.#deliver(chunk);
      return;
    }
    try {
      this.#splitter.push(chunk);
    } catch (error) {
      this.destroy(error as Error);
    }
  }

  #deliver(bytes: Buffer): void {
    if (!this.push(bytes)) this.#socket.pause();
  }
}

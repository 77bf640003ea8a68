import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { type ConnectionOptions, connect, createSecureContext, type SecureContext, TLSSocket } from 'node:tls';
import { frameMessage, HEADER_LENGTH, PacketSplitter, PacketType } from './packet.js';

/**
 * TLS in TDS 7: the handshake is wrapped in PRELOGIN packets, everything after it goes directly over the socket ([MS-TDS]
 * 3.2.5.2). TLS 1.3 sends messages after the handshake that cannot be wrapped, so the version is limited to 1.2.
 */

/** The TLS contexts of a server, created once. */
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

/** Starts TLS on an accepted socket whose client sends the handshake in PRELOGIN packets. */
export function acceptTlsInTds(socket: Socket, { inTds }: ServerTls): TLSSocket {
  return new TLSSocket(new HandshakeFraming(socket), { isServer: true, secureContext: inTds });
}

/** Starts TLS on a connected socket, as the client. */
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

/** First byte of a TLS handshake record. */
export const TLS_HANDSHAKE = 0x16;

/**
 * Wraps written data in PRELOGIN packets and unwraps read data until the peer sends a bare TLS record; from then on both
 * directions are bare. The client sends the first bare record, so it calls unframe() when its handshake is complete.
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

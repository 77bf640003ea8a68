import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { packets, Type } from './tokens.js';

/**
 * The stream under a server's TLS: handshake bytes travel in PRELOGIN packets, until the client sends its first bare TLS
 * record ([MS-TDS] 3.3.5.3). Bytes are fed in by the owner of the socket.
 */
export class TlsInTds extends Duplex {
  readonly #socket: Socket;
  /** Sees the server's first handshake bytes in place of the client, if set. */
  intercept: ((framed: Buffer) => void) | undefined;
  #framed = true;

  constructor(socket: Socket) {
    super();
    this.#socket = socket;
  }

  feed(bytes: Buffer, framed: boolean): void {
    this.#framed = framed;
    this.push(bytes);
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    const bytes = this.#framed ? packets(Type.PreLogin, chunk) : chunk;
    const { intercept } = this;
    this.intercept = undefined;
    if (intercept !== undefined) intercept(bytes);
    else if (this.#socket.writable) this.#socket.write(bytes);
    callback();
  }
}

import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type Message, MessageAssembler, type Packet, PacketSplitter, PacketType, ProtocolError } from './packet.js';

/** The peer has closed the connection. */
export class ConnectionClosedError extends Error {
  override name = 'ConnectionClosedError';
}

/** How long a client may take to close its side after the server has closed its own, ms. */
const LINGER_MS = 1000;

/** A client has one pending request and possibly an attention; a client that sends more without waiting is disconnected. */
const MAX_WAITING_MESSAGES = 8;

/** The messages of one peer, first over the plain socket, then over TLS. */
export class MessageStream {
  readonly #splitter = new PacketSplitter((packet) => this.#onPacket(packet));
  readonly #onClear: (chunk: Buffer) => void;
  #assembler: MessageAssembler;
  #stream: Duplex;
  #secure = false;
  #waiting: Message[] = [];
  #reader: { resolve: (message: Message) => void; reject: (error: Error) => void } | undefined;
  #failure: Error | undefined;
  /** Called instead of queuing when the client cancels its request. */
  onAttention: (() => void) | undefined;
  readonly #goneListeners = new Set<() => void>();

  /** `onClear` sees every byte that arrives unencrypted. */
  constructor(socket: Socket, messageLimit: number, onClear: (chunk: Buffer) => void) {
    this.#onClear = onClear;
    this.#stream = socket;
    this.#assembler = this.#newAssembler(messageLimit);
  }

  get stream(): Duplex {
    return this.#stream;
  }

  get secure(): boolean {
    return this.#secure;
  }

  start(): void {
    this.#attach(this.#stream);
  }

  /** Continues over a secured stream. */
  useSecure(stream: Duplex): void {
    this.#secure = true;
    this.#stream = stream;
    this.#attach(stream);
  }

  /** Stops reading. The bytes of an incomplete message are unshifted for the next reader. */
  detach(): void {
    this.#stream.off('data', this.#onData);
    this.#stream.pause();
    const rest = this.#splitter.takeRest();
    if (rest.length > 0) this.#stream.unshift(rest);
  }

  /** Changes the maximum size of a message. */
  limit(bytes: number): void {
    this.#assembler = this.#newAssembler(bytes);
  }

  /** The next message; rejects if the stream ends first. */
  read(): Promise<Message> {
    const message = this.#waiting.shift();
    if (message !== undefined) return Promise.resolve(message);
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
    });
  }

  /** The next message, which must have this type. */
  async readOf(type: number): Promise<Message> {
    const message = await this.read();
    if (message.type !== type)
      throw new ProtocolError(`received a message of type ${message.type} instead of type ${type}`);
    return message;
  }

  /** Writes whole packets. */
  readonly write = (bytes: Buffer): void => {
    if (!this.#stream.destroyed && this.#stream.writable) this.#stream.write(bytes);
  };

  /** Resolves when the written data has drained; undefined if there is none left. */
  drained(): Promise<void> | undefined {
    if (!this.#stream.writableNeedDrain || this.#stream.destroyed) return undefined;
    return new Promise((resolve) => {
      const done = (): void => {
        this.#stream.off('drain', done);
        this.#stream.off('close', done);
        resolve();
      };
      this.#stream.on('drain', done);
      this.#stream.on('close', done);
    });
  }

  /** True once the peer has closed its side or violated TDS, so that further work for it is pointless. */
  get gone(): boolean {
    return this.#failure !== undefined;
  }

  /** Calls back once the peer is {@link gone}; returns a function that removes the listener. */
  onceGone(listener: () => void): () => void {
    this.#goneListeners.add(listener);
    return () => this.#goneListeners.delete(listener);
  }

  /** Resolves like `work`, but rejects as soon as the peer is {@link gone}. */
  async whilePresent<T>(work: Promise<T> | undefined): Promise<T | undefined> {
    if (work === undefined) return undefined;
    if (this.#failure !== undefined) throw this.#failure;
    let remove = (): void => {};
    const gone = new Promise<never>((_, reject) => {
      remove = this.onceGone(() => reject(this.#failure));
    });
    try {
      return await Promise.race([work, gone]);
    } finally {
      remove();
    }
  }

  /** Ends the stream after flushing it. Resolves when the client has closed it as well, or after a second. */
  async end(): Promise<void> {
    if (this.#stream.destroyed) return;
    const patience = AbortSignal.timeout(LINGER_MS);
    const closed = once(this.#stream, 'close', { signal: patience }).catch(() => {});
    this.#stream.end();
    await closed;
  }

  fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#reader?.reject(error);
    this.#reader = undefined;
    for (const listener of [...this.#goneListeners]) listener();
  }

  #newAssembler(limit: number): MessageAssembler {
    return new MessageAssembler(limit, (message) => this.#onMessage(message));
  }

  #attach(stream: Duplex): void {
    stream.on('data', this.#onData);
    stream.on('error', (error) => this.fail(error));
    stream.on('end', () => this.fail(new ConnectionClosedError('the peer closed the connection')));
    stream.on('close', () => this.fail(new ConnectionClosedError('the connection was closed')));
  }

  readonly #onData = (chunk: Buffer): void => {
    if (!this.#secure) this.#onClear(chunk);
    try {
      this.#splitter.push(chunk);
    } catch (error) {
      this.fail(error as Error);
    }
  };

  #onPacket(packet: Packet): void {
    this.#assembler.push(packet);
  }

  #onMessage(message: Message): void {
    if (message.type === PacketType.Attention && this.onAttention !== undefined) {
      this.onAttention();
      return;
    }
    if (this.#reader !== undefined) {
      const reader = this.#reader;
      this.#reader = undefined;
      reader.resolve(message);
      return;
    }
    if (this.#waiting.length >= MAX_WAITING_MESSAGES) throw new ProtocolError('the client does not wait for answers');
    this.#waiting.push(message);
  }
}

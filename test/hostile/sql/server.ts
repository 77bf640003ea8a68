import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls';
import { makeCertificate } from '../../../src/testing/certificate.js';
import { TlsInTds } from './tls-in-tds.js';
import * as tds from './tokens.js';

/** The points of a conversation at which a server can misbehave, in the order in which they come. */
export const PHASES = [
  /** Instead of answering PRELOGIN. */
  'prelogin',
  /** Instead of answering the TLS ClientHello. */
  'tls',
  /** Instead of answering LOGIN7. */
  'login7',
  /** After FEDAUTHINFO, in the same message. */
  'fedauthinfo',
  /** Instead of answering the token. */
  'token',
  /** After LOGINACK, in the same message. */
  'login response',
  /** Instead of answering the driver's own first batch. */
  'first batch',
  /** Instead of answering a request. */
  'request',
  /** After the row of an answer, in the same message. */
  'response',
  /** Instead of answering a request that resets the session. */
  'reset',
] as const;
export type Phase = (typeof PHASES)[number];

/** What the server does instead of sending `honest`, its remaining answer, packets and all. */
export type Fault = (visit: Visit, honest: Buffer) => void;

export interface HostileServerOptions {
  /** What it says about encryption at PRELOGIN; default 1, ENCRYPT_ON. */
  encryption?: number;
  /** False: accepts a LOGIN7 that announces a token without asking for it. */
  asksForToken?: boolean;
  /** The resource that FEDAUTHINFO names. */
  spn?: string;
}

let secureContext: SecureContext | undefined;

/**
 * A SQL Server built on `node:net` and `node:tls` alone. It behaves until `misbehaveAt` says otherwise, answers each
 * request with one row that contains 1, and records every byte that it receives on the wire.
 */
export class HostileServer implements AsyncDisposable {
  readonly #server: Server;
  readonly #visits = new Set<Visit>();
  readonly #wire: Buffer[] = [];
  #phase: Phase | undefined;
  #fault: Fault | undefined;
  /** Connections accepted so far. */
  visitors = 0;
  /** Logins that got as far as a token or a password. */
  logins = 0;
  readonly options: HostileServerOptions;

  private constructor(options: HostileServerOptions) {
    this.options = options;
    this.#server = createServer((socket) => {
      this.visitors += 1;
      const visit = new Visit(this, socket);
      this.#visits.add(visit);
      socket.on('data', (bytes) => this.#wire.push(bytes));
      socket.on('close', () => this.#visits.delete(visit));
    });
  }

  static async start(options: HostileServerOptions = {}): Promise<HostileServer> {
    const hostile = new HostileServer(options);
    await new Promise<void>((resolve) => hostile.#server.listen(0, '127.0.0.1', resolve));
    return hostile;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections that the client has not closed. */
  get open(): number {
    return this.#visits.size;
  }

  /** Every byte received, as it was on the wire. */
  get wire(): Buffer {
    return Buffer.concat(this.#wire);
  }

  misbehaveAt(phase: Phase, fault: Fault): void {
    this.#phase = phase;
    this.#fault = fault;
  }

  heal(): void {
    this.#phase = undefined;
    this.#fault = undefined;
  }

  faultAt(phase: Phase): Fault | undefined {
    return phase === this.#phase ? this.#fault : undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const visit of this.#visits) visit.socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** One connection of a client. */
export class Visit {
  readonly server: HostileServer;
  readonly socket: Socket;
  /** Body of the message received last, decrypted. */
  received: Buffer = Buffer.alloc(0);
  login: tds.Login7 | undefined;
  /** The access token received. */
  token = '';
  #carrier: TlsInTds | undefined;
  #secured: TLSSocket | undefined;
  #pending: Buffer = Buffer.alloc(0);
  #pendingPlain: Buffer = Buffer.alloc(0);
  #body: Buffer[] = [];
  #batches = 0;
  #isBare = false;

  constructor(server: HostileServer, socket: Socket) {
    this.server = server;
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('error', () => {});
    socket.on('data', (bytes) => this.#receive(bytes));
  }

  /** The secrets that the client has sent, in cleartext. */
  get heard(): string[] {
    return [this.token, this.login?.password ?? ''].filter((text) => text !== '');
  }

  /** Through TLS where there is TLS. */
  write(bytes: Buffer): void {
    const stream = this.#secured ?? this.socket;
    if (stream.writable) stream.write(bytes);
  }

  send(body: Buffer, options?: { end: boolean }): void {
    this.write(tds.packets(tds.Type.Result, body, options));
  }

  #receive(bytes: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, bytes]);
    for (;;) {
      const type = this.#pending[0];
      if (type === undefined) return;
      // From the first bare TLS record on, all bytes are TLS: a record may arrive in several pieces.
      this.#isBare ||= this.#carrier !== undefined && type >= 0x14 && type <= 0x17;
      if (this.#carrier !== undefined && this.#isBare) {
        this.#carrier.feed(this.#pending, false);
        this.#pending = Buffer.alloc(0);
        return;
      }
      const packet = nextPacket(this.#pending);
      if (packet === undefined) return;
      this.#pending = this.#pending.subarray(packet.length);
      if (this.#carrier !== undefined && type === tds.Type.PreLogin) this.#handshake(packet.subarray(8));
      else this.#assemble(packet);
    }
  }

  #receivePlain(bytes: Buffer): void {
    this.#pendingPlain = Buffer.concat([this.#pendingPlain, bytes]);
    for (;;) {
      const packet = nextPacket(this.#pendingPlain);
      if (packet === undefined) return;
      this.#pendingPlain = this.#pendingPlain.subarray(packet.length);
      this.#assemble(packet);
    }
  }

  #assemble(packet: Buffer): void {
    this.#body.push(packet.subarray(8));
    const status = packet[1] as number;
    if ((status & 1) === 0) return;
    this.received = Buffer.concat(this.#body);
    this.#body = [];
    this.#answer(packet[0] as number, status);
  }

  #answer(type: number, status: number): void {
    switch (type) {
      case tds.Type.PreLogin:
        this.#preLogin();
        break;
      case tds.Type.Login7:
        this.#login7();
        break;
      case tds.Type.FedAuth:
        this.token = this.received.subarray(8, 8 + this.received.readUInt32LE(4)).toString('utf16le');
        this.#acceptLogin('token');
        break;
      case tds.Type.Attention:
        this.send(tds.done(0xfd, 0x20));
        break;
      default:
        this.#request(type, status);
    }
  }

  #preLogin(): void {
    const { encryption = 1 } = this.server.options;
    const body = tds.preLogin({ encryption, fedAuthRequired: true });
    // Ready for the handshake even where the fault says something else.
    this.#carrier = new TlsInTds(this.socket);
    this.#act('prelogin', tds.packets(tds.Type.Result, body));
  }

  #handshake(bytes: Buffer): void {
    const carrier = this.#carrier as TlsInTds;
    if (this.#secured === undefined) {
      this.received = bytes;
      if (this.server.faultAt('tls') !== undefined) {
        carrier.intercept = (framed) => this.#act('tls', framed, this.socket);
      }
      secureContext ??= createSecureContext({ ...makeCertificate({ commonName: 'localhost' }), maxVersion: 'TLSv1.2' });
      this.#secured = new TLSSocket(carrier, { isServer: true, secureContext });
      this.#secured.on('error', () => this.socket.destroy());
      this.#secured.on('data', (plain) => this.#receivePlain(plain));
    }
    carrier.feed(bytes, true);
  }

  #login7(): void {
    this.login = tds.readLogin7(this.received);
    const { asksForToken = true, spn = 'https://database.windows.net/' } = this.server.options;
    if (this.login.fedAuth && asksForToken) {
      this.#inTwoParts('login7', tds.fedAuthInfo(spn), 'fedauthinfo', Buffer.alloc(0));
    } else {
      this.#acceptLogin('login7');
    }
  }

  #acceptLogin(phase: Phase): void {
    this.server.logins += 1;
    const rest = [tds.databaseChange('app'), ...(this.login?.fedAuth ? [tds.fedAuthAck()] : []), tds.done(0xfd)];
    this.#inTwoParts(phase, tds.loginAck(), 'login response', Buffer.concat(rest));
  }

  #request(type: number, status: number): void {
    const first = type === tds.Type.Batch && this.#batches++ === 0;
    const reset = (status & 0x18) !== 0;
    if (first || type === 0x0e) this.#act('first batch', tds.packets(tds.Type.Result, tds.done(0xfd)));
    else if (reset) this.#act('reset', tds.packets(tds.Type.Result, tds.oneRow(type, 1)));
    else this.#inTwoParts('request', tds.intRow('value', 1), 'response', tds.endOfRows(type));
  }

  /** An answer in one message, unless the server misbehaves after the first part of it. */
  #inTwoParts(before: Phase, first: Buffer, between: Phase, rest: Buffer): void {
    if (this.server.faultAt(between) === undefined) {
      this.#act(before, tds.packets(tds.Type.Result, Buffer.concat([first, rest])));
      return;
    }
    this.send(first, { end: false });
    this.#act(between, tds.packets(tds.Type.Result, rest));
  }

  #act(phase: Phase, honest: Buffer, stream?: Socket): void {
    const fault = this.server.faultAt(phase);
    if (fault !== undefined) {
      if (phase === 'tls') this.#secured = undefined;
      fault(this, honest);
    } else if (stream !== undefined) stream.write(honest);
    else this.write(honest);
  }
}

function nextPacket(bytes: Buffer): Buffer | undefined {
  if (bytes.length < 8) return undefined;
  const length = Math.max(8, bytes.readUInt16BE(2));
  return bytes.length < length ? undefined : bytes.subarray(0, length);
}

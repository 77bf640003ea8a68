import type { Socket } from 'node:net';
import { cut } from '../cut.js';
import { type Login7, readLogin7 } from '../tds/login7.js';
import { ConnectionClosedError, MessageStream } from '../tds/message-stream.js';
import { PacketStatus, PacketType } from '../tds/packet.js';
import { DoneStatus, Response } from '../tds/response.js';
import { SqlServerError } from '../tds/server-error.js';
import { acceptEncryption, INITIAL_PACKET_SIZE } from './accept-encryption.js';
import { dropOnFault, identify } from './identify.js';
import { sendLoginResponse } from './login-acceptance.js';
import { sqlLoginRefused, tokenExpiredInSession, tokenRefused } from './login-errors.js';
import type { LoginRecord } from './options.js';
import type { ServerContext } from './server-context.js';
import type { LoggedInClient, OpenSession, ProvenPrincipal } from './session-host.js';

const TDS_8 = 0x08000000;
/** LOGIN7 is smaller than 128 KiB ([MS-TDS] 2.2.6.4), a token smaller than 64 KiB; no login needs more than this. */
const LOGIN_MESSAGE_LIMIT = 256 * 1024;
const DEFAULT_MESSAGE_LIMIT = 64 * 1024 * 1024;
const DEFAULT_LOGIN_TIMEOUT_MS = 15_000;

/** One client, from its first byte to its last. */
export class ClientConnection {
  readonly #socket: Socket;
  readonly #server: ServerContext;
  readonly #messages: MessageStream;
  #strict = false;
  #tdsVersion: number | undefined;
  #packetSize = INITIAL_PACKET_SIZE;
  #spid = 0;
  #session: OpenSession | undefined;

  constructor(socket: Socket, server: ServerContext) {
    this.#socket = socket;
    this.#server = server;
    this.#messages = new MessageStream(socket, LOGIN_MESSAGE_LIMIT, (chunk) => server.recordClear(chunk));
  }

  /** Session id, once logged in. */
  get spid(): number | undefined {
    return this.#session?.spid;
  }

  /** Cuts the connection as a lost network would. */
  drop(): void {
    cut(this.#socket);
  }

  /** Serves the client until it leaves. Never rejects: errors of this client are handled here. */
  async serve(): Promise<void> {
    this.#socket.setNoDelay(true);
    this.#socket.on('error', () => {});
    try {
      await this.#withinLoginTimeout(this.#logIn());
      await this.#session?.serve();
      await this.#messages.end();
    } catch (error) {
      if (!(error instanceof ConnectionClosedError)) await this.#giveUp(error as Error);
      // A client that has only half-closed still gets what was written.
      else if (this.#session !== undefined) await this.#messages.end();
    } finally {
      this.#socket.destroy();
    }
  }

  async #withinLoginTimeout(login: Promise<void>): Promise<void> {
    const timeoutMs = this.#server.options.loginTimeoutMs ?? DEFAULT_LOGIN_TIMEOUT_MS;
    const timer = setTimeout(() => this.#socket.destroy(), timeoutMs);
    try {
      await login;
    } finally {
      clearTimeout(timer);
    }
  }

  async #logIn(): Promise<void> {
    const { strict } = await acceptEncryption(this.#socket, this.#messages, this.#server);
    this.#strict = strict;
    // Not an orderly end: its TLS alert would still be framed as PRELOGIN, which makes tedious 19 throw an uncaught error.
    dropOnFault('before-login7', this.#server);
    const login = readLogin7((await this.#messages.readOf(PacketType.Login7)).body);
    this.#tdsVersion = login.tdsVersion;
    const record = this.#recordOf(login);
    this.#server.recordLogin(record);
    this.#socket.once('close', () => {
      record.closed = this.#server.now();
    });
    try {
      const messages = this.#messages;
      const who = await identify(login, record, this.#server, { messages, newResponse: () => this.#response() });
      this.#session = await this.#openSession(login, who);
      record.accepted = true;
      record.spid = this.#session.spid;
    } catch (error) {
      record.error = 'dropped';
      if (!(error instanceof SqlServerError)) throw error;
      const { number, state, class: severity, message } = error;
      record.error = { number, state, class: severity, message };
      // SQL Server sends two errors for a database that cannot be opened.
      this.#refuse(error, ...(number === 4060 ? [sqlLoginRefused(record.principal ?? '')] : []));
    } finally {
      this.#server.decidedLogin(record);
    }
  }

  #recordOf(login: Login7): LoginRecord {
    return {
      time: this.#server.now(),
      authentication: login.proof.kind,
      principal: undefined,
      tokenExpiry: undefined,
      encrypted: this.#messages.secure,
      strict: this.#strict,
      accepted: false,
      error: undefined,
      database: login.database,
      readOnlyIntent: login.readOnlyIntent,
      appName: login.appName,
      hostName: login.hostName,
      library: login.library,
      clientAddress: this.#socket.remoteAddress ?? '',
      clientPort: this.#socket.remotePort ?? 0,
      spid: undefined,
      closed: undefined,
    };
  }

  async #openSession(login: Login7, who: ProvenPrincipal): Promise<OpenSession> {
    const client: LoggedInClient = {
      login,
      who,
      messages: this.#messages,
      tdsVersion: this.#strict ? TDS_8 : login.tdsVersion,
      newResponse: () => this.#response(),
      agree: ({ packetSize, spid }) => {
        this.#packetSize = packetSize;
        this.#spid = spid;
        this.#messages.limit(this.#server.options.maxMessageBytes ?? DEFAULT_MESSAGE_LIMIT);
      },
      expiryRefusal: (type, status) => this.#expiryRefusal(who, type, status),
      refuse: (error) => this.#refuse(error),
      refusal: (error) => {
        const packets: Buffer[] = [];
        this.#writeRefusal(
          this.#responseTo((bytes) => packets.push(bytes)),
          [error],
        );
        return Buffer.concat(packets);
      },
      onClose: (listener) => this.#socket.once('close', listener),
    };
    const { redirectTo } = this.#server.options;
    if (redirectTo === undefined) return await this.#server.host.openSession(client);
    const spid = this.#server.nextSpid();
    sendLoginResponse(client, {
      spid,
      database: login.database || 'master',
      serverName: this.#server.serverName,
      redirectTo,
    });
    return { spid, serve: () => this.#untilClosed() };
  }

  async #untilClosed(): Promise<void> {
    for (;;) await this.#messages.read();
  }

  #expiryRefusal({ tokenExpiry }: ProvenPrincipal, type: number, status: number): SqlServerError | undefined {
    const { enforceExpiry = 'login' } = this.#server.options;
    if (enforceExpiry === 'login' || tokenExpiry === undefined || this.#server.now() < tokenExpiry) return undefined;
    if (type === PacketType.Attention) return undefined;
    const resets = (status & (PacketStatus.ResetConnection | PacketStatus.ResetConnectionSkipTran)) !== 0;
    if (resets) return tokenRefused('expired');
    return enforceExpiry === 'query' ? tokenExpiredInSession() : undefined;
  }

  /** Closes the connection of a client that violates TDS; a logged-in client gets an error first. */
  async #giveUp(error: Error): Promise<void> {
    this.#server.recordProtocolError(error, this.#socket.remoteAddress ?? '');
    if (this.#session === undefined) return;
    const message =
      'The incoming tabular data stream (TDS) protocol stream is incorrect. The stream ended unexpectedly.';
    this.#refuse(new SqlServerError({ number: 4002, class: 20, message }));
    await this.#messages.end();
  }

  #refuse(...errors: SqlServerError[]): void {
    this.#writeRefusal(this.#response(), errors);
  }

  #writeRefusal(response: Response, errors: readonly SqlServerError[]): void {
    for (const error of errors) response.message(error, this.#server.serverName);
    response.done('done', DoneStatus.Error);
    response.end();
  }

  #response(): Response {
    return this.#responseTo(this.#messages.write);
  }

  #responseTo(send: (bytes: Buffer) => void): Response {
    return new Response(this.#packetSize, send, { spid: this.#spid, tdsVersion: this.#tdsVersion });
  }
}

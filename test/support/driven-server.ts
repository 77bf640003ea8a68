import { EventEmitter } from 'node:events';
import type { ConnectionConfiguration } from 'tedious';
import type { TediousModule } from '../../src/connections/dial.js';
import type { ServerMessage } from '../../src/connections/login-failure.js';
import { noteAnswer } from '../../src/connections/session.js';
import type { TokenCredential } from '../../src/credentials/credential.js';

/** A SQL Server on the test's own clock: no sockets, so that hours of a pool pass in milliseconds, each at its time. */
export class DrivenServer {
  /** For the config of a pool. */
  readonly tedious: TediousModule;
  /** Those that are open, in the order they were opened; logging in or logged in. */
  readonly connections = new Set<DrivenConnection>();
  /** Most that were ever open. */
  mostOpen = 0;
  /** When each dial began, by the monotonic clock. */
  dials: number[] = [];
  loginMs = 10;
  /** From the call of `close` to the end of the connection. */
  closeMs = 0;
  isDown = false;
  /** Whether it does TLS inside TDS. */
  encrypts = true;
  /** The resource that it requests tokens for. */
  scope: string | undefined;
  /** Refusals for the next logins, one each. */
  refusals: ServerMessage[] = [];
  /** How a query ends; undefined: not at all. */
  query: (connection: DrivenConnection) => Error | null | undefined = () => null;
  /** Whether it resets sessions. */
  confirmsResets = true;
  /** Queries received. */
  queries: string[] = [];

  constructor() {
    const server = this;
    class Connection extends DrivenConnection {
      constructor(configuration: ConnectionConfiguration) {
        super(server, configuration);
      }
    }
    this.tedious = { Connection, Request: DrivenRequest } as unknown as TediousModule;
  }

  /** Ends all faults. */
  recover(): void {
    this.isDown = false;
    this.refusals = [];
    this.loginMs = 10;
    this.closeMs = 0;
  }

  /** Cuts all connections. */
  cut(): void {
    for (const connection of [...this.connections]) connection.end();
  }
}

class DrivenRequest {
  readonly sql: string;
  readonly done: (error: Error | null) => void;

  constructor(sql: string, done: (error: Error | null) => void) {
    this.sql = sql;
    this.done = done;
  }
}

/** The part of a tedious connection that the pool uses. */
export class DrivenConnection extends EventEmitter {
  closed = false;
  inTransaction = false;
  state = { name: 'Connecting' };
  /** Whether it keeps the process alive. */
  held = true;
  resetConnectionOnNextRequest = false;
  /** How often the server has reset it. */
  resets = 0;
  readonly messageIo: { sendMessage(type: number, data: Buffer): void } = Object.create({ sendMessage() {} });
  readonly socket = {
    ref: () => {
      this.held = true;
    },
    unref: () => {
      this.held = false;
    },
    on: () => {},
    destroy: () => {},
    encrypted: false,
  };
  readonly config: Pick<ConnectionConfiguration, 'options'>;
  readonly #server: DrivenServer;
  readonly #credential: TokenCredential | undefined;

  constructor(server: DrivenServer, { authentication, options = {} }: ConnectionConfiguration) {
    super();
    this.#server = server;
    this.config = { options };
    this.socket.encrypted = (options.encrypt as unknown) === 'strict';
    this.#credential = (authentication?.options as { credential?: TokenCredential } | undefined)?.credential;
  }

  connect(done: (error?: Error) => void): void {
    const server = this.#server;
    server.connections.add(this);
    server.mostOpen = Math.max(server.mostOpen, server.connections.size);
    server.dials.push(performance.now());
    setTimeout(async () => {
      if (server.isDown || this.closed) {
        this.end();
        done(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ESOCKET' }));
        return;
      }
      if (server.encrypts) this.emit('secure');
      this.sendLogin7Packet();
      try {
        await this.#credential?.getToken(server.scope ?? []);
      } catch (error) {
        this.end();
        done(Object.assign(new Error('Security token could not be authenticated'), { code: 'EFEDAUTH', cause: error }));
        return;
      }
      const refusal = server.refusals.shift();
      if (refusal !== undefined) {
        this.emit('errorMessage', refusal);
        this.end();
        done(Object.assign(new Error(refusal.message), { code: 'ELOGIN' }));
        return;
      }
      this.getInitialSql();
      this.state = { name: 'LoggedIn' };
      done();
    }, server.loginMs);
  }

  sendLogin7Packet(): void {
    this.messageIo.sendMessage(0x10, Buffer.alloc(94));
  }

  getInitialSql(): string {
    return '';
  }

  reset(done: (error: Error | null) => void): void {
    this.resetConnectionOnNextRequest = true;
    this.execSqlBatch({ sql: this.getInitialSql(), done });
  }

  execSqlBatch(request: DrivenRequest): void {
    this.makeRequest(request, 0x01, { sqlText: request.sql });
  }

  makeRequest({ sql, done }: DrivenRequest, _type: number, _payload: { sqlText: string }): void {
    const server = this.#server;
    if (this.resetConnectionOnNextRequest && server.confirmsResets) {
      this.resets += 1;
      queueMicrotask(() => this.emit('resetConnection'));
    }
    this.resetConnectionOnNextRequest = false;
    server.queries.push(sql);
    const result = server.query(this);
    if (result !== undefined && !this.closed) noteAnswer(this as never);
    if (result !== undefined) queueMicrotask(() => done(result));
  }

  close(): void {
    if (!this.closed) setTimeout(() => this.end(), this.#server.closeMs);
    this.closed = true;
    this.state = { name: 'Final' };
  }

  end(): void {
    this.closed = true;
    this.state = { name: 'Final' };
    if (this.#server.connections.delete(this)) this.emit('end');
  }
}

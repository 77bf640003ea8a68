import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import type { TokenClaims } from '../entra/verification.js';
import { exists, type ServerFacts } from '../tsql/facts.js';
import type { QueryHandler } from '../tsql/query-handler.js';
import { Session } from '../tsql/session.js';
import {
  cannotOpenDatabase,
  entraNotConfigured,
  noDatabaseUser,
  sqlLoginRefused,
  tokenExpiredInSession,
  tokenRefused,
} from './login-errors.js';
import type { LoginFaults, LoginStage } from './login-faults.js';
import { isSupportedVersion, type Login7, readFedAuthToken, readLogin7 } from './login7.js';
import { ConnectionClosedError, MessageStream } from './message-stream.js';
import type { LoginRecord, SqlEmulatorOptions, TokenAuthority } from './options.js';
import { frameMessage, type Message, PacketStatus, PacketType, ProtocolError } from './packet.js';
import { Encryption, readPreLogin, writePreLoginResponse } from './prelogin.js';
import { RequestRunner } from './request-runner.js';
import { DoneStatus, EnvChange, Response } from './response.js';
import { SqlServerError } from './server-error.js';
import { acceptStrictTls, acceptTlsInTds, type ServerTls, TLS_HANDSHAKE } from './tls.js';

/** What the connections of one server share. */
export interface ServerContext {
  readonly options: Readonly<SqlEmulatorOptions>;
  readonly users: Readonly<Record<string, string>>;
  readonly authority: TokenAuthority | undefined;
  readonly audience: readonly string[];
  readonly tls: ServerTls;
  readonly facts: ServerFacts;
  readonly faults: LoginFaults;
  readonly onQuery: QueryHandler | undefined;
  now(): number;
  /** Resolves while the server is not paused. */
  running(): Promise<void> | undefined;
  nextSpid(): number;
  recordLogin(record: LoginRecord): void;
  recordClear(chunk: Buffer): void;
  recordProtocolError(error: Error, clientAddress: string): void;
}

const VERSION = [16, 0, 1000] as const;
const TDS_7_4 = 0x74000004;
const TDS_8 = 0x08000000;
/** Nobody needs more than this to say who they are: LOGIN7 is below 128 KiB ([MS-TDS] 2.2.6.4), a token below 64 KiB. */
const LOGIN_MESSAGE_LIMIT = 256 * 1024;
const DEFAULT_MESSAGE_LIMIT = 64 * 1024 * 1024;
const DEFAULT_LOGIN_TIMEOUT_MS = 15_000;
/** Packet sizes SQL Server agrees to. */
const [SMALLEST_PACKET, LARGEST_PACKET] = [512, 32_767];

/** One client, from its first byte to its last. */
export class ClientConnection {
  readonly #socket: Socket;
  readonly #server: ServerContext;
  readonly #messages: MessageStream;
  #strict = false;
  #packetSize = 4096;
  #session: Session | undefined;

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
    this.#socket.resetAndDestroy();
  }

  /** Serves the client until it leaves. Never rejects: whatever is wrong with this client ends here. */
  async serve(): Promise<void> {
    this.#socket.setNoDelay(true);
    this.#socket.on('error', () => {});
    try {
      const loggedIn = await this.#withinLoginTimeout(this.#logIn());
      if (loggedIn) await this.#answerRequests();
      await this.#messages.end();
    } catch (error) {
      if (!(error instanceof ConnectionClosedError)) await this.#giveUp(error as Error);
    } finally {
      this.#socket.destroy();
    }
  }

  /** Closes on a client that does not speak TDS as it should; one that is logged in is told why. */
  async #giveUp(error: Error): Promise<void> {
    this.#server.recordProtocolError(error, this.#socket.remoteAddress ?? '');
    if (this.#session === undefined) return;
    const message =
      'The incoming tabular data stream (TDS) protocol stream is incorrect. The stream ended unexpectedly.';
    this.#refuse(new SqlServerError({ number: 4002, class: 20, message }));
    await this.#messages.end();
  }

  async #withinLoginTimeout(login: Promise<boolean>): Promise<boolean> {
    const timer = setTimeout(
      () => this.#socket.destroy(),
      this.#server.options.loginTimeoutMs ?? DEFAULT_LOGIN_TIMEOUT_MS,
    );
    try {
      return await login;
    } finally {
      clearTimeout(timer);
    }
  }

  /** PRELOGIN, TLS, LOGIN7 and what comes of it. False if the client was turned away. */
  async #logIn(): Promise<boolean> {
    const encrypt = this.#server.options.encrypt ?? 'on';
    const head = await firstBytes(this.#socket);
    if (head[0] === TLS_HANDSHAKE) {
      if (encrypt === 'off' || encrypt === 'not-supported') throw new ProtocolError('TDS 8 is switched off');
      await this.#secure(acceptStrictTls(this.#socket, this.#server.tls));
      this.#strict = true;
    } else {
      if (encrypt === 'strict') throw new ProtocolError('only TDS 8 is allowed');
      if (head[0] !== PacketType.PreLogin) throw new ProtocolError('the client does not speak TDS');
      this.#messages.start();
    }
    await this.#server.running();

    const preLogin = readPreLogin((await this.#messages.readOf(PacketType.PreLogin)).body);
    const encryption = this.#strict ? Encryption.NotSupported : answerTo(preLogin.encryption, encrypt);
    const tlsFollows = encryption === Encryption.On || encryption === Encryption.Required;
    if (tlsFollows) this.#messages.detach();
    this.#messages.write(
      frameMessage(
        PacketType.TabularResult,
        writePreLoginResponse({ version: VERSION, encryption, fedAuthRequired: preLogin.fedAuthRequired }),
        this.#packetSize,
      ),
    );
    if (tlsFollows) await this.#secure(acceptTlsInTds(this.#socket, this.#server.tls));
    // Not a polite end: its TLS alert would still be framed as PRELOGIN, which makes tedious 19 throw in the open.
    if (this.#server.faults.take('before-login7') !== undefined) throw dropped();

    const login = readLogin7((await this.#messages.readOf(PacketType.Login7)).body);
    return await this.#judge(login);
  }

  async #secure(secured: TLSSocket): Promise<void> {
    this.#socket.on('close', () => secured.destroy());
    await once(secured, 'secure');
    this.#messages.useSecure(secured);
  }

  async #judge(login: Login7): Promise<boolean> {
    const record = this.#recordOf(login);
    this.#server.recordLogin(record);
    this.#socket.once('close', () => {
      record.closed = this.#server.now();
    });
    try {
      if (!isSupportedVersion(login.tdsVersion)) throw new ProtocolError('TDS before 7.4 is not supported');
      this.#dropOnFault('after-login7');
      const token = await this.#tokenOf(login);
      record.time = this.#server.now();
      if (token !== undefined) this.#dropOnFault('after-fedauth');
      if (this.#server.options.loginDelayMs !== undefined) await sleep(this.#server.options.loginDelayMs);
      await this.#server.running();
      const who = token === undefined ? this.#checkPassword(login, record) : this.#checkToken(token, record);
      const fault = this.#server.faults.take('verdict');
      if (fault instanceof SqlServerError) throw fault;
      this.#checkPrincipal(who, login);
      this.#accept(login, record, who);
      return true;
    } catch (error) {
      if (!(error instanceof SqlServerError)) {
        record.error = 'dropped';
        throw error;
      }
      const { number, state, class: severity, message } = error;
      record.error = { number, state, class: severity, message };
      this.#refuse(error, number === 4060 ? sqlLoginRefused(record.principal ?? '') : undefined);
      return false;
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
      appName: login.appName,
      hostName: login.hostName,
      library: login.library,
      clientAddress: this.#socket.remoteAddress ?? '',
      clientPort: this.#socket.remotePort ?? 0,
      spid: undefined,
      closed: undefined,
    };
  }

  #dropOnFault(stage: LoginStage): void {
    if (this.#server.faults.take(stage) !== undefined) throw dropped();
  }

  /** The token of the login; undefined for one with a password. */
  async #tokenOf(login: Login7): Promise<string | undefined> {
    switch (login.proof.kind) {
      case 'sql':
        return undefined;
      case 'integrated':
        throw new SqlServerError({
          number: 18_452,
          class: 14,
          message:
            'Login failed. The login is from an untrusted domain and cannot be used with Integrated authentication.',
        });
      case 'security-token':
        return login.proof.token;
      case 'adal': {
        const { authority, audience } = this.#server;
        if (authority === undefined) throw entraNotConfigured();
        const response = this.#response();
        const sts = `${authority.url ?? 'https://login.microsoftonline.com'}/${authority.tenantId ?? 'common'}`;
        response.fedAuthInfo(sts, `${(audience[0] as string).replace(/\/$/, '')}/`);
        response.end();
        return readFedAuthToken((await this.#messages.readOf(PacketType.FedAuthToken)).body);
      }
    }
  }

  #checkToken(token: string, record: LoginRecord): Identity {
    const { authority, audience } = this.#server;
    if (authority === undefined) throw entraNotConfigured();
    const result = authority.verify(token, { audience, now: this.#server.now() });
    const claims = result.error === undefined ? result : result.claims;
    if (claims !== undefined) {
      record.principal = principalOf(claims);
      record.tokenExpiry = Math.round(claims.exp * 1000);
    }
    if (result.error !== undefined) throw tokenRefused(result.error);
    return { principal: record.principal as string, tokenExpiry: record.tokenExpiry, byToken: true };
  }

  #checkPassword(login: Login7, record: LoginRecord): Identity {
    const { userName, password } = login.proof as Extract<Login7['proof'], { kind: 'sql' }>;
    record.principal = userName;
    const users = this.#server.users;
    if (!Object.hasOwn(users, userName) || users[userName] !== password) throw sqlLoginRefused(userName);
    return { principal: userName, tokenExpiry: undefined, byToken: false };
  }

  #checkPrincipal({ principal, byToken }: Identity, login: Login7): void {
    const fate = this.#server.options.principals?.[principal];
    if (fate === 'no-database-user') throw byToken ? noDatabaseUser() : sqlLoginRefused(principal);
    if (fate !== undefined) throw new SqlServerError(fate);
    if (login.database !== '' && !exists(login.database, this.#server.facts)) throw cannotOpenDatabase(login.database);
  }

  #accept(login: Login7, record: LoginRecord, { principal, tokenExpiry }: Identity): void {
    const database = login.database === '' ? 'master' : login.database;
    const { appName, hostName } = login;
    const session = new Session({ spid: this.#server.nextSpid(), principal, database, appName, hostName, tokenExpiry });
    this.#session = session;
    record.accepted = true;
    record.spid = session.spid;

    const packetSize = Math.min(LARGEST_PACKET, Math.max(SMALLEST_PACKET, login.packetSize || 4096));
    const response = this.#response();
    response.envChangeText(EnvChange.Database, database, 'master');
    response.message(
      new SqlServerError({ number: 5701, state: 2, class: 0, message: `Changed database context to '${database}'.` }),
      this.#server.facts.serverName,
    );
    response.collation();
    response.envChangeText(EnvChange.Language, 'us_english', '');
    response.loginAck(this.#strict ? TDS_8 : TDS_7_4, VERSION);
    response.envChangeText(EnvChange.PacketSize, String(packetSize), '4096');
    const fedAuth = login.proof.kind === 'adal' || login.proof.kind === 'security-token';
    if (fedAuth || login.utf8) response.featureAck({ fedAuth, utf8: login.utf8 });
    const { redirectTo } = this.#server.options;
    if (redirectTo !== undefined) response.routing(redirectTo.server, redirectTo.port);
    response.done('done', 0);
    response.end();
    this.#packetSize = packetSize;
    this.#messages.limit(this.#server.options.maxMessageBytes ?? DEFAULT_MESSAGE_LIMIT);
  }

  /** Says why the session ends or never began. */
  #refuse(...errors: (SqlServerError | undefined)[]): void {
    const response = this.#response();
    for (const error of errors) {
      if (error !== undefined) response.message(error, this.#server.facts.serverName);
    }
    response.done('done', DoneStatus.Error);
    response.end();
  }

  async #answerRequests(): Promise<void> {
    const runner = new RequestRunner({
      session: this.#session as Session,
      facts: this.#server.facts,
      onQuery: this.#server.onQuery,
      messages: this.#messages,
      newResponse: () => this.#response(),
    });
    for (;;) {
      const message = await this.#messages.read();
      await this.#server.running();
      const refusal = this.#expiryRefusal(message);
      if (refusal !== undefined) {
        this.#refuse(refusal);
        // 18456 ends the session; 37396 leaves a session that can do nothing any more.
        if (refusal.number === 18_456) return;
      } else if (!(await runner.answer(message))) {
        return;
      }
    }
  }

  /** What a session whose token has run out is told, where the server is set to notice. */
  #expiryRefusal({ type, status }: Message): SqlServerError | undefined {
    const { enforceExpiry = 'login' } = this.#server.options;
    const { tokenExpiry } = this.#session as Session;
    if (enforceExpiry === 'login' || tokenExpiry === undefined || this.#server.now() < tokenExpiry) return undefined;
    if (type === PacketType.Attention) return undefined;
    const resets = (status & (PacketStatus.ResetConnection | PacketStatus.ResetConnectionSkipTran)) !== 0;
    if (resets) return tokenRefused('expired');
    return enforceExpiry === 'query' ? tokenExpiredInSession() : undefined;
  }

  #response(): Response {
    return new Response(this.#packetSize, this.#messages.write);
  }
}

/** Closes without a word, not even one of TLS: what a client sees of a server that has gone. */
function dropped(): ConnectionClosedError {
  return new ConnectionClosedError('dropped by failLogins');
}

interface Identity {
  principal: string;
  tokenExpiry: number | undefined;
  byToken: boolean;
}

function principalOf(claims: TokenClaims): string {
  const name = claims.upn ?? claims.preferred_username ?? claims.appid ?? claims.azp ?? claims.oid;
  return String(name);
}

/** What the server says about encryption to a client that said `asked`. */
function answerTo(asked: number, mode: SqlEmulatorOptions['encrypt']): number {
  switch (mode) {
    case 'off':
      return Encryption.Off;
    case 'not-supported':
      return Encryption.NotSupported;
    case 'required':
      return Encryption.Required;
    default:
      if (asked === Encryption.NotSupported) return Encryption.NotSupported;
      return asked === Encryption.On ? Encryption.On : Encryption.Required;
  }
}

/** Waits for data and leaves it where it is. */
async function firstBytes(socket: Socket): Promise<Buffer> {
  for (;;) {
    const head = socket.read() as Buffer | null;
    if (head !== null) {
      socket.unshift(head);
      return head;
    }
    if (socket.readableEnded || socket.destroyed) throw new ConnectionClosedError('the client closed the connection');
    await Promise.race([once(socket, 'readable'), once(socket, 'end'), once(socket, 'close')]);
  }
}

import type { Socket } from 'node:net';
import { cut } from '../cut.js';
import { Session } from '../tsql/session.js';
import { dropOnFault, type Identity, identify } from './identify.js';
import { sqlLoginRefused, tokenExpiredInSession, tokenRefused, upstreamUnavailable } from './login-errors.js';
import { adaptLoginResponse } from './login-response.js';
import { type Login7, readLogin7 } from './login7.js';
import { ConnectionClosedError, MessageStream } from './message-stream.js';
import { INITIAL_PACKET_SIZE, negotiate } from './negotiation.js';
import type { LoginRecord } from './options.js';
import { frameMessage, PacketStatus, PacketType } from './packet.js';
import { type Gate, relay } from './relay.js';
import { RequestRunner } from './request-runner.js';
import { DoneStatus, EnvChange, Response } from './response.js';
import { type ServerContext, VERSION } from './server-context.js';
import { SqlServerError } from './server-error.js';
import { logInUpstream, type UpstreamConfig, type UpstreamSession } from './upstream.js';

const TDS_7_4 = 0x74000004;
const TDS_8 = 0x08000000;
/** Nobody needs more than this to say who they are: LOGIN7 is below 128 KiB ([MS-TDS] 2.2.6.4), a token below 64 KiB. */
const LOGIN_MESSAGE_LIMIT = 256 * 1024;
const DEFAULT_MESSAGE_LIMIT = 64 * 1024 * 1024;
const DEFAULT_LOGIN_TIMEOUT_MS = 15_000;
/** Packet sizes SQL Server agrees to. */
const [SMALLEST_PACKET, LARGEST_PACKET] = [512, 32_767];

/** What a login led to: a session here, or one of the server upstream. */
interface LoggedIn {
  spid: number;
  tokenExpiry: number | undefined;
  serve(): Promise<void>;
}

/** One client, from its first byte to its last. */
export class ClientConnection {
  readonly #socket: Socket;
  readonly #server: ServerContext;
  readonly #messages: MessageStream;
  #strict = false;
  #packetSize = INITIAL_PACKET_SIZE;
  #spid = 0;
  #loggedIn: LoggedIn | undefined;

  constructor(socket: Socket, server: ServerContext) {
    this.#socket = socket;
    this.#server = server;
    this.#messages = new MessageStream(socket, LOGIN_MESSAGE_LIMIT, (chunk) => server.recordClear(chunk));
  }

  /** Session id, once logged in. */
  get spid(): number | undefined {
    return this.#loggedIn?.spid;
  }

  /** Cuts the connection as a lost network would. */
  drop(): void {
    cut(this.#socket);
  }

  /** Serves the client until it leaves. Never rejects: whatever is wrong with this client ends here. */
  async serve(): Promise<void> {
    this.#socket.setNoDelay(true);
    this.#socket.on('error', () => {});
    try {
      await this.#withinLoginTimeout(this.#logIn());
      await this.#loggedIn?.serve();
      await this.#messages.end();
    } catch (error) {
      if (!(error instanceof ConnectionClosedError)) await this.#giveUp(error as Error);
      // A client that has only closed its own side still gets what was written.
      else if (this.#loggedIn !== undefined) await this.#messages.end();
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
    const { strict } = await negotiate(this.#socket, this.#messages, this.#server);
    this.#strict = strict;
    // Not a polite end: its TLS alert would still be framed as PRELOGIN, which makes tedious 19 throw in the open.
    dropOnFault('before-login7', this.#server);
    const login = readLogin7((await this.#messages.readOf(PacketType.Login7)).body);
    const record = this.#recordOf(login);
    this.#server.recordLogin(record);
    this.#socket.once('close', () => {
      record.closed = this.#server.now();
    });
    try {
      const messages = this.#messages;
      const who = await identify(login, record, this.#server, { messages, newResponse: () => this.#response() });
      const { upstream, redirectTo } = this.#server.options;
      const passesOn = upstream !== undefined && redirectTo === undefined;
      this.#loggedIn = passesOn ? await this.#acceptUpstream(upstream, login, who) : this.#accept(login, who);
      record.accepted = true;
      record.spid = this.#loggedIn.spid;
    } catch (error) {
      record.error = 'dropped';
      if (!(error instanceof SqlServerError)) throw error;
      const { number, state, class: severity, message } = error;
      record.error = { number, state, class: severity, message };
      // SQL Server says twice that a database cannot be opened.
      this.#refuse(error, number === 4060 ? sqlLoginRefused(record.principal ?? '') : undefined);
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
      appName: login.appName,
      hostName: login.hostName,
      library: login.library,
      clientAddress: this.#socket.remoteAddress ?? '',
      clientPort: this.#socket.remotePort ?? 0,
      spid: undefined,
      closed: undefined,
    };
  }

  /** A session of this server itself. */
  #accept(login: Login7, { principal, tokenExpiry, byToken }: Identity): LoggedIn {
    const database = login.database === '' ? 'master' : login.database;
    const { appName, hostName, utf8 } = login;
    const spid = this.#server.nextSpid();
    this.#spid = spid;
    const { onTransaction } = this.#server.options;
    const session = new Session({ spid, principal, database, appName, hostName, tokenExpiry, onTransaction });
    this.#socket.once('close', () => session.end());

    const packetSize = Math.min(LARGEST_PACKET, Math.max(SMALLEST_PACKET, login.packetSize || INITIAL_PACKET_SIZE));
    const response = this.#response();
    response.envChangeText(EnvChange.Database, database, 'master');
    response.message(
      new SqlServerError({ number: 5701, state: 2, class: 0, message: `Changed database context to '${database}'.` }),
      this.#server.facts.serverName,
    );
    response.collation();
    response.envChangeText(EnvChange.Language, 'us_english', '');
    response.loginAck(this.#tdsVersion, VERSION);
    response.envChangeText(EnvChange.PacketSize, String(packetSize), String(INITIAL_PACKET_SIZE));
    if (byToken || utf8) response.featureAck({ fedAuth: byToken, utf8 });
    const { redirectTo } = this.#server.options;
    if (redirectTo !== undefined) response.routing(redirectTo.server, redirectTo.port);
    response.done('done', 0);
    response.end();
    this.#packetSize = packetSize;
    this.#messages.limit(this.#server.options.maxMessageBytes ?? DEFAULT_MESSAGE_LIMIT);
    return { spid, tokenExpiry, serve: () => this.#answerRequests(session) };
  }

  /** A session of the server upstream. */
  async #acceptUpstream(upstream: UpstreamConfig, login: Login7, who: Identity): Promise<LoggedIn> {
    const session = await this.#logInUpstream(upstream, login, who);
    const { response, spid, packetSize, stream } = session;
    if (!response.accepted) {
      stream.destroy();
      throw response.error ?? upstreamUnavailable(login.database, upstream.server);
    }
    const client = { fedAuth: who.byToken, tdsVersion: this.#tdsVersion };
    const adapted = adaptLoginResponse(response, client);
    this.#messages.write(frameMessage(PacketType.TabularResult, adapted, INITIAL_PACKET_SIZE, 0, spid));
    this.#packetSize = packetSize;
    this.#spid = spid;
    this.#messages.detach();
    const serve = (): Promise<void> => relay(this.#messages.stream, stream, this.#gate());
    return { spid: spid === 0 ? this.#server.nextSpid() : spid, tokenExpiry: who.tokenExpiry, serve };
  }

  async #logInUpstream(upstream: UpstreamConfig, login: Login7, who: Identity): Promise<UpstreamSession> {
    try {
      return await logInUpstream(upstream, login, proofFor(who, login, upstream));
    } catch (error) {
      this.#server.recordUpstreamError(error as Error);
      throw upstreamUnavailable(login.database, upstream.server);
    }
  }

  async #answerRequests(session: Session): Promise<void> {
    const runner = new RequestRunner({
      session,
      facts: this.#server.facts,
      onQuery: this.#server.options.onQuery,
      messages: this.#messages,
      newResponse: () => this.#response(),
    });
    for (;;) {
      const message = await this.#messages.read();
      await this.#server.running();
      const refusal = this.#expiryRefusal(message.type, message.status);
      if (refusal !== undefined) {
        this.#refuse(refusal);
        if (endsSession(refusal)) return;
      } else if (!(await runner.answer(message))) {
        return;
      }
    }
  }

  #gate(): Gate {
    return {
      open: () => this.#server.running(),
      refuse: (type, status) => {
        const refusal = this.#expiryRefusal(type, status);
        if (refusal === undefined) return undefined;
        const answer: Buffer[] = [];
        this.#refusal(new Response(this.#packetSize, (bytes) => answer.push(bytes), this.#spid), refusal);
        return { answer: Buffer.concat(answer), ends: endsSession(refusal) };
      },
    };
  }

  /** What a session whose token has run out is told, where the server is set to notice. */
  #expiryRefusal(type: number, status: number): SqlServerError | undefined {
    const { enforceExpiry = 'login' } = this.#server.options;
    const tokenExpiry = this.#loggedIn?.tokenExpiry;
    if (enforceExpiry === 'login' || tokenExpiry === undefined || this.#server.now() < tokenExpiry) return undefined;
    if (type === PacketType.Attention) return undefined;
    const resets = (status & (PacketStatus.ResetConnection | PacketStatus.ResetConnectionSkipTran)) !== 0;
    if (resets) return tokenRefused('expired');
    return enforceExpiry === 'query' ? tokenExpiredInSession() : undefined;
  }

  /** Closes on a client that does not speak TDS as it should; one that is logged in is told why. */
  async #giveUp(error: Error): Promise<void> {
    this.#server.recordProtocolError(error, this.#socket.remoteAddress ?? '');
    if (this.#loggedIn === undefined) return;
    const message =
      'The incoming tabular data stream (TDS) protocol stream is incorrect. The stream ended unexpectedly.';
    this.#refuse(new SqlServerError({ number: 4002, class: 20, message }));
    await this.#messages.end();
  }

  /** Says why the session ends or never began. */
  #refuse(...errors: (SqlServerError | undefined)[]): void {
    this.#refusal(this.#response(), ...errors);
  }

  #refusal(response: Response, ...errors: (SqlServerError | undefined)[]): void {
    for (const error of errors) {
      if (error !== undefined) response.message(error, this.#server.facts.serverName);
    }
    response.done('done', DoneStatus.Error);
    response.end();
  }

  #response(): Response {
    return new Response(this.#packetSize, this.#messages.write, this.#spid);
  }

  get #tdsVersion(): number {
    return this.#strict ? TDS_8 : TDS_7_4;
  }
}

/** 18456 ends the session; 37396 leaves a session that can do nothing any more. */
function endsSession(refusal: SqlServerError): boolean {
  return refusal.number === 18_456;
}

/** The SQL login a principal has upstream; whoever came with a password and is not checked here is passed on as he is. */
function proofFor(who: Identity, { proof }: Login7, upstream: UpstreamConfig): { user: string; password: string } {
  const own = upstream.logins?.[who.principal];
  if (own !== undefined) return own;
  if (proof.kind === 'sql') return { user: proof.userName, password: proof.password };
  return { user: upstream.user ?? '', password: upstream.password ?? '' };
}

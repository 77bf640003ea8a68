import { EventEmitter } from 'node:events';
import type { ConnectionConfiguration } from 'tedious';
import type { TediousModule } from '../../src/connections/dial.js';
import { sessionOf } from '../../src/connections/session.js';
import type { TokenCredential } from '../../src/credentials/credential.js';
import type { DrivenClock } from '../support/driven-clock.js';
import type { Random } from '../support/random.js';
import { type IdentityProvider, type IssuedToken, loginBefore } from './identity-provider.js';
import type { Watch } from './watch.js';

export type ServerFault =
  | 'refuses-tcp'
  | 'black-hole'
  | 'drops-before-login'
  | 'drops-after-login7'
  | 'drops-after-token'
  | 'half-login'
  | 'redirect-loop'
  | '40613'
  | '40501'
  | 'stale'
  | 'ambiguous'
  | 'anonymous'
  | 'configuration'
  | 'firewall'
  | 'not-open';

const SERVER_ERRORS: Partial<Record<ServerFault, { number: number; state: number; message: string }>> = {
  '40613': { number: 40613, state: 1, message: 'Database is not currently available.' },
  '40501': { number: 40501, state: 1, message: 'The service is currently busy.' },
  stale: { number: 18456, state: 233, message: 'Login failed. Token is expired.' },
  ambiguous: { number: 18456, state: 1, message: "Login failed for user '<token-identified principal>'." },
  anonymous: { number: 18456, state: 1, message: "Login failed for user 'NT AUTHORITY\\ANONYMOUS LOGON'." },
  configuration: {
    number: 18456,
    state: 235,
    message: 'The server is not currently configured to accept this token.',
  },
  firewall: { number: 40615, state: 1, message: 'Client with this address is not allowed.' },
  'not-open': { number: 4060, state: 1, message: 'Cannot open database "app" requested by the login.' },
};

/** How logins are refused until the new primary of a database is ready. */
export const FAILOVER_REFUSALS = ['40613', 'ambiguous', 'anonymous', 'not-open'] as const;

/** For this long after a pool has noticed a failover, a refusal of its logins says nothing about its credential. */
const FAILOVER_AFTERMATH_MS = 60_000;
/** A client notices after this time that nothing arrives any more. */
const UNANSWERED_MS = 20_000;
/** The most severe message that leaves the session alone. */
const READ_ONLY = { number: 3906, state: 1, class: 16, message: 'Failed to update database because it is read-only.' };

/** One pool as the server knows it. */
export interface Client {
  name: string;
  principal: string;
  provider: IdentityProvider;
  /** `max` plus the overlap; one bound for a pool and its companion. */
  bound: number;
  /** The pool of the read-only replica beside this one, or the other way round. */
  companion?: Client | undefined;
  /** Its server is the read-only replica. */
  isReplica: boolean;
  /** Most logins at once. */
  maxOpening: number;
  /** A connection that carries nothing for longer is dropped by a firewall, without notice to either end. */
  idleLimitMs: number;
  /** Monotonic ms of the latest failover that at least two open connections of the pool have met. */
  failedOverAt: number;
  /** Longest time of one dial, ms. */
  createTimeoutMs: number;
  /** Sockets that are open, from the start of the connect to the `end` event. */
  physical: Set<SimConnection>;
  dials: number;
  /** Connections that a caller holds. */
  borrowed: Set<SimConnection>;
  /** After the timeout of `close`, borrowed connections may be closed. */
  mayCutBorrowed: boolean;
}

/** A SQL Server with faults, and the network in front of it. */
export class Server {
  readonly clock: DrivenClock;
  readonly random: Random;
  readonly watch: Watch;
  readonly connections = new Set<SimConnection>();
  fault: ServerFault | undefined;
  /** The same for logins to the read-only replica. */
  replicaFault: ServerFault | undefined;
  /** When the process last resumed after a pause, monotonic ms. */
  resumedAt = -1;
  /** Share of logins that the fault hits. */
  faultShare = 1;
  connectMs = 5;
  loginMs = 30;
  closeMs = 0;
  redirects = 0;
  connectTimeoutMs = 15_000;

  constructor(clock: DrivenClock, random: Random, watch: Watch) {
    this.clock = clock;
    this.random = random;
    this.watch = watch;
  }

  /** A `tedious` whose connections come here. */
  tediousFor(client: Client): TediousModule {
    const server = this;
    class Connection extends SimConnection {
      constructor(configuration: ConnectionConfiguration) {
        super(server, client, configuration);
      }
    }
    return { Connection, Request: SimRequest } as unknown as TediousModule;
  }

  /** Cuts sessions: all, or a share of them. */
  drop(share: number): void {
    for (const connection of [...this.connections]) {
      if (this.random.chance(share)) connection.cut();
    }
  }

  /**
   * A failover: the sessions of the old primary break, or only some of them while the others are cut off without notice, or
   * they all go on at what is a secondary now.
   */
  failOver(kind: 'cut' | 'half' | 'read-only'): void {
    const { clock } = this;
    const seen = new Map<Client, number>();
    for (const connection of [...this.connections]) {
      const { client } = connection;
      if (client.isReplica) continue;
      if (kind === 'read-only') connection.isSecondary ||= connection.ready;
      else if (kind === 'half' && this.random.chance(0.4)) connection.isLost ||= connection.ready;
      else {
        // Those that an earlier failover has left to their borrowers break one by one, and say nothing about a later one.
        const isDrained = sessionOf(connection as never)?.unusable === 'failover';
        if (connection.ready && !isDrained) seen.set(client, (seen.get(client) ?? 0) + 1);
        connection.cut();
      }
    }
    for (const [client, broken] of seen) if (broken >= 2) client.failedOverAt = clock.now;
  }

  /** Ends sessions with an ERROR token: 37396 for a token that has expired, or one after which the server ends the session. */
  endSessions(share: number, message: SessionEnd): void {
    for (const connection of [...this.connections]) {
      if (!connection.ready || !this.random.chance(share)) continue;
      const { number } = message;
      if (number === 37396 && connection.token !== undefined) connection.token.suspect = true;
      this.watch.note(`c${connection.id}: ${number}`);
      connection.endedBy = number;
      connection.emit('errorMessage', { state: 1, ...message });
      // The socket may stay open for a while: only the message says that the session is over.
      if (number !== 37396) this.clock.schedule(this.random.pick([0, 100, 60_000]), () => connection.cut());
    }
  }
}

export interface SessionEnd {
  number: number;
  class: number;
  message: string;
}

/** The first is about the token, the others about the session. */
export const SESSION_ENDS: readonly SessionEnd[] = [
  { number: 37396, class: 16, message: 'Query cannot be executed, access token is expired.' },
  { number: 596, class: 21, message: 'Cannot continue the execution because the session is in the kill state.' },
  { number: 6005, class: 10, message: 'SHUTDOWN is in progress.' },
  { number: 3948, class: 20, message: 'The transaction was terminated because of the availability replica config.' },
];

class SimRequest {
  readonly callback: (error?: Error) => void;

  constructor(_sql: string, callback: (error?: Error) => void) {
    this.callback = callback;
  }
}

const MAX_REDIRECTS = 5;

let connections = 0;

/** As much of tedious's `Connection` as the pool uses, with its manners (19.2): it logs in although closed meanwhile. */
export class SimConnection extends EventEmitter {
  readonly id: number;
  readonly client: Client;
  readonly openedAt: number;
  state = { name: 'Initialized' };
  closed = false;
  hasError = false;
  inTransaction = false;
  /** Number of the error with which the server ended the session, or refused its token, although the socket is open. */
  endedBy: number | undefined;
  /** Nothing arrives any more, and neither end has been informed. */
  isLost = false;
  /** Its server is not the primary any more. */
  isSecondary = false;
  /** The pool waits for an answer, of its own accord. */
  isAsked = false;
  /** Monotonic ms; undefined until it has logged in. */
  loggedInAt: number | undefined;
  /** Borrowed when its credential was replaced: until then, monotonic ms, it may be handed out while its successor logs in. */
  sparedUntil = -1;
  /** Monotonic ms of the latest traffic. */
  usedAt = 0;
  readonly config: { options: { readOnlyIntent: boolean } };
  token: IssuedToken | undefined;
  resetConnectionOnNextRequest = false;
  /** What a borrower has left in the session. */
  leftBehind: string | undefined;
  readonly messageIo: { sendMessage(type: number, data: Buffer): void } = Object.create({ sendMessage() {} });
  socket: { destroyed: boolean; on(): void; ref(): void; unref(): void; destroy(error?: Error): void } | undefined;
  readonly #server: Server;
  readonly #credential: TokenCredential | undefined;
  #listener: ((error?: Error) => void) | undefined;
  #timeout: { run: (() => void) | undefined } | undefined;
  #ended = false;

  constructor(server: Server, client: Client, configuration: ConnectionConfiguration) {
    super();
    connections += 1;
    this.id = connections;
    this.#server = server;
    this.client = client;
    this.openedAt = server.clock.now;
    this.config = { options: { readOnlyIntent: client.isReplica } };
    this.#credential = (configuration.authentication?.options as { credential?: TokenCredential })?.credential;
  }

  get ready(): boolean {
    return this.state.name === 'LoggedIn' && !this.closed;
  }

  /** A firewall has forgotten it. */
  get isDropped(): boolean {
    return this.isLost || this.#server.clock.now - this.usedAt > this.client.idleLimitMs;
  }

  /** Logging in. */
  get isOpening(): boolean {
    return this.#listener !== undefined;
  }

  connect(listener: (error?: Error) => void): void {
    const { clock, watch } = this.#server;
    this.#listener = listener;
    this.state = { name: 'Connecting' };
    this.client.dials += 1;
    this.client.physical.add(this);
    this.#server.connections.add(this);
    const { client } = this;
    watch.note(`c${this.id}: ${client.name} connects (${this.#fault ?? 'well'})`);
    const open = client.physical.size + (client.companion?.physical.size ?? 0);
    watch.check('P7', open <= client.bound, () => `${client.name} has ${open} connections, bound is ${client.bound}`);
    if (client.maxOpening > 0) {
      let opening = 0;
      for (const connection of client.physical) if (connection.isOpening) opening += 1;
      watch.check('P7', opening <= client.maxOpening, () => `${client.name} opens ${opening} connections at once`);
    }
    clock.schedule(this.client.createTimeoutMs + 100, () =>
      watch.check(
        'P6',
        this.#listener === undefined,
        () => `c${this.id} is still being opened after createTimeoutMillis`,
      ),
    );
    this.#timeout = clock.schedule(this.#server.connectTimeoutMs, () =>
      this.#fail(Object.assign(new Error('Failed to connect in time'), { code: 'ETIMEOUT' })),
    );
    this.socket = {
      destroyed: false,
      on() {},
      ref() {},
      unref() {},
      destroy: (error) => {
        if (this.socket !== undefined) this.socket.destroyed = true;
        // Node.js closes the descriptor at once and reports it later.
        this.client.physical.delete(this);
        if (error !== undefined) this.#fail(error);
      },
    };
    void this.#logIn().then(
      () => this.#stopTimeout(),
      (error: Error) => {
        this.#stopTimeout();
        this.#fail(error);
      },
    );
  }

  get #fault(): ServerFault | undefined {
    return this.client.isReplica ? this.#server.replicaFault : this.#server.fault;
  }

  #stopTimeout(): void {
    if (this.#timeout !== undefined) this.#timeout.run = undefined;
  }

  async #logIn(): Promise<void> {
    const server = this.#server;
    const { clock, random } = server;
    await clock.sleep(server.connectMs * random.between(0.5, 1.5));
    const trouble = this.#fault;
    const isHit = trouble !== undefined && (this.client.isReplica || random.chance(server.faultShare));
    const fault = isHit ? trouble : undefined;
    if (fault === 'black-hole') await new Promise(() => {});
    if (fault === 'refuses-tcp')
      throw Object.assign(new Error('Failed to connect - ECONNREFUSED'), { code: 'ESOCKET' });
    if (fault === 'drops-before-login') throw hangUp();
    const redirects = fault === 'redirect-loop' ? Number.POSITIVE_INFINITY : server.redirects;
    const hops = redirects > 0 && random.chance(fault === 'redirect-loop' ? 1 : 0.5) ? redirects + 1 : 1;
    for (let hop = 0; hop < hops; hop += 1) {
      if (this.#ended) return;
      if (hop > 0) this.emit('rerouting');
      server.watch.check('P6', hop <= MAX_REDIRECTS, () => `c${this.id} follows redirect ${hop}`);
      this.emit('secure');
      this.sendLogin7Packet();
      await this.#sendToken(fault);
      await clock.sleep(server.loginMs * random.between(0.5, 1.5));
    }
    if (this.#ended) return;
    if (fault === 'half-login') {
      // tedious 19 does not look at its timer once the response has begun.
      this.#stopTimeout();
      await new Promise(() => {});
    }
    if (fault === 'drops-after-token') {
      this.#suspect();
      throw hangUp();
    }
    this.#judge(fault);
    this.state = { name: 'LoggedIn' };
    this.loggedInAt = clock.now;
    this.usedAt = clock.now;
    server.watch.note(`c${this.id}: logged in with ${this.token?.name ?? 'no token'}`);
    const listener = this.#listener;
    this.#listener = undefined;
    process.nextTick(() => listener?.());
  }

  async #sendToken(fault: ServerFault | undefined): Promise<void> {
    if (this.#credential === undefined) return;
    const { clock, watch } = this.#server;
    const { provider, principal } = this.client;
    if (fault === 'drops-after-login7') {
      this.#suspect();
      throw hangUp();
    }
    const usable =
      provider.latest !== undefined && !provider.latest.suspect && clock.wall < loginBefore(provider.latest) - 1;
    const askedAt = clock.now;
    const frozen = clock.frozen;
    let answer: { token: string } | null;
    try {
      answer = await this.#credential.getToken('https://database.windows.net/.default');
    } catch (error) {
      throw new AggregateError([Object.assign(new Error('no token', { cause: error }), { code: 'EFEDAUTH' })]);
    }
    if (this.#ended) return;
    const text = answer?.token ?? '';
    if (usable) {
      watch.check(
        'P4',
        clock.now - askedAt <= clock.frozen - frozen,
        () => `a login waited ${clock.now - askedAt} ms for a token although ${provider.latest?.name} was good`,
      );
    }
    const token = provider.tokens.get(text);
    this.token = token;
    watch.check(
      'P9',
      text.startsWith(provider.prefix),
      () => `a login of ${this.client.name} (${principal}, credential ${provider.number}) sends the token ${text}`,
    );
    if (token === undefined) {
      watch.check('P1', !text.startsWith(provider.prefix), () => `unknown or long gone token ${text} is sent`);
      return;
    }
    watch.check(
      'P1',
      clock.wall < loginBefore(token),
      () => `c${this.id} sends ${token.name} ${clock.wall - loginBefore(token)} ms inside its login margin`,
    );
    // The wall clock may have been set back since.
    const age = clock.now - (token.deliveredAt ?? clock.now);
    watch.check(
      'P1',
      age < loginBefore(token) - token.obtainedAt + 2,
      () => `c${this.id} sends ${token.name}, received ${age} ms ago: the wall clock was set back, not its end`,
    );
  }

  #judge(fault: ServerFault | undefined): void {
    let error = fault === undefined ? undefined : SERVER_ERRORS[fault];
    const { token } = this;
    const { clock } = this.#server;
    if (error === undefined && token !== undefined && clock.trueTime > token.trueExpiry) {
      error = SERVER_ERRORS.stale;
    }
    if (error === undefined) return;
    // After a failover that the pool has noticed, the refusal is no reason to doubt its token.
    const isOfFailover =
      (fault === 'ambiguous' || fault === 'anonymous') && clock.now - this.client.failedOverAt < FAILOVER_AFTERMATH_MS;
    if (error.number === 18456 && !isOfFailover) this.#suspect();
    this.emit('errorMessage', { class: 14, ...error });
    throw Object.assign(new Error(error.message), { code: 'ELOGIN' });
  }

  #suspect(): void {
    const { latest } = this.client.provider;
    if (this.token !== undefined) this.token.suspect = true;
    else if (latest !== undefined) latest.suspect = true;
  }

  #fail(error: Error): void {
    if (this.#listener === undefined) return;
    const listener = this.#listener;
    this.#listener = undefined;
    this.state = { name: 'Final' };
    this.closed = true;
    this.#server.watch.note(`c${this.id}: login fails: ${error.message || 'no token'}`);
    this.#end();
    process.nextTick(() => listener(error));
  }

  /** Called when the server or the network ends the session. */
  cut(): void {
    if (this.#listener !== undefined) {
      this.#fail(hangUp());
      return;
    }
    if (this.closed) return;
    this.#server.watch.note(`c${this.id}: cut`);
    this.state = { name: 'Final' };
    this.closed = true;
    process.nextTick(() => this.emit('error', hangUp()));
    this.#end();
  }

  close(): void {
    const { watch } = this.#server;
    if (this.closed) return;
    watch.check(
      'P8',
      !this.client.borrowed.has(this) || this.client.mayCutBorrowed,
      () => `c${this.id} is closed by the pool while it is borrowed`,
    );
    watch.note(`c${this.id}: closed by the pool`);
    if (this.#listener !== undefined) return;
    this.state = { name: 'Final' };
    this.closed = true;
    const { closeMs, random } = this.#server;
    if (closeMs === 0) this.#end();
    else this.#server.clock.schedule(closeMs * random.between(0.5, 1.5), () => this.#end());
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#server.connections.delete(this);
    process.nextTick(() => {
      this.client.physical.delete(this);
      this.emit('end');
    });
  }

  /** Logs in as a client with fODBC, as far as the pool knows. */
  sendLogin7Packet(): void {
    this.messageIo.sendMessage(0x10, Buffer.alloc(94));
  }

  getInitialSql(): string {
    return '';
  }

  reset(callback: (error?: Error) => void): void {
    this.resetConnectionOnNextRequest = true;
    this.makeRequest({ callback }, 0x01, { sqlText: this.getInitialSql() });
  }

  execSqlBatch(request: SimRequest): void {
    this.makeRequest(request, 0x01, { sqlText: '' });
  }

  makeRequest(request: { callback: (error?: Error) => void }, _type: number, { sqlText }: { sqlText: string }): void {
    const { clock, random, watch } = this.#server;
    const isOwn = !this.client.borrowed.has(this);
    if (isOwn) {
      watch.check(
        'P6',
        this.endedBy === undefined,
        () => `the pool sends a request on c${this.id}, which the server has ended with ${this.endedBy}`,
      );
    }
    if (this.isDropped) {
      clock.schedule(UNANSWERED_MS, () => {
        this.cut();
        request.callback(hangUp());
      });
      return;
    }
    if (this.resetConnectionOnNextRequest && this.ready) this.#resetSession();
    if (this.#fault === 'black-hole') {
      clock.schedule(15_000, () => request.callback(new Error('Timeout: Request failed to complete in 15000ms')));
      return;
    }
    this.usedAt = clock.now;
    this.isAsked = isOwn;
    if (this.isSecondary && /^UPDATE/.test(sqlText)) this.emit('errorMessage', { ...READ_ONLY });
    clock.schedule(random.between(1, 20), () => {
      this.isAsked = false;
      request.callback(this.ready ? undefined : hangUp());
    });
  }

  /** The server validates the token again. */
  #resetSession(): void {
    const { clock, watch } = this.#server;
    const { token } = this;
    this.resetConnectionOnNextRequest = false;
    watch.check(
      'P1',
      token === undefined || clock.wall < loginBefore(token),
      () => `c${this.id} is reset on ${token?.name} inside its login margin`,
    );
    this.leftBehind = undefined;
    this.emit('resetConnection');
  }
}

function hangUp(): Error {
  return Object.assign(new Error('Connection lost - socket hang up'), { code: 'ESOCKET' });
}

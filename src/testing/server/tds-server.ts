import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { setImmediate } from 'node:timers';
import { sharedCertificate } from '../certificate.js';
import { verifyAccessToken } from '../entra/verification.js';
import { ClientConnection } from '../server/client-connection.js';
import { type ActiveLoginFault, type LoginFault, LoginFaults } from '../server/login-faults.js';
import type { LoginRecord, ServerCredential, TdsServerOptions, TokenAuthority } from '../server/options.js';
import { serverTls } from '../tds/tls.js';
import type { ServerContext } from './server-context.js';
import type { LoggedInClient, OpenSession } from './session-host.js';

/** The mssql config returned by `server.config()`. */
export interface TdsServerConfig {
  server: string;
  port: number;
  user?: string;
  password?: string;
  authentication?: { type: 'token-credential'; options: { credential: ServerCredential } };
  options: { encrypt: boolean | 'strict'; cryptoCredentialsDetails: { ca: string } };
}

const DEFAULT_AUDIENCE = 'https://database.windows.net';
/** Unencrypted bytes are kept up to this size, which is enough to find a token in them. */
const CLEAR_LIMIT = 1024 * 1024;
const FIRST_SPID = 51;
const EVENT_LIMIT = 100_000;
/** Node fires longer timers immediately. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Base of the SQL emulator and the SQL gateway: a TDS server that checks logins and can be made to fail. */
export abstract class TdsServer implements AsyncDisposable {
  /** Every LOGIN7 so far, oldest first (the last 100,000). */
  readonly logins: LoginRecord[] = [];
  /** Connections closed because their client violated TDS. */
  readonly protocolErrors: { time: number; clientAddress: string; message: string }[] = [];
  readonly #options: TdsServerOptions;
  readonly #server: Server;
  readonly #open = new Set<ClientConnection>();
  /** Sockets whose client has not disconnected. */
  readonly #present = new Set<Socket>();
  readonly #faults = new LoginFaults();
  readonly #users: Readonly<Record<string, string>> | undefined;
  readonly #certificate: { cert: string; key: string };
  readonly #context: ServerContext;
  #clear: Buffer[] = [];
  #clearLength = 0;
  #most = 0;
  #lastSpid = FIRST_SPID - 1;
  #pause: { over: Promise<void>; end: () => void } | undefined;

  /** `users`: SQL logins to check; undefined if the upstream server checks them. */
  protected constructor(options: TdsServerOptions, users: Readonly<Record<string, string>> | undefined) {
    requireOneOf('encrypt', options.encrypt, ['on', 'required', 'strict', 'off', 'not-supported']);
    requireOneOf('enforceExpiry', options.enforceExpiry, ['login', 'reset', 'query']);
    this.#options = options;
    this.#users = users;
    this.#certificate = options.certificate ?? sharedCertificate('localhost');
    this.#context = this.#makeContext();
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      const connection = new ClientConnection(socket, this.#context);
      this.#open.add(connection);
      this.#present.add(socket);
      for (const event of ['end', 'close']) socket.once(event, () => this.#present.delete(socket));
      // A client that closes one connection and opens the next counts as two until both events have been handled.
      setImmediate(() => {
        this.#most = Math.max(this.#most, this.#present.size);
      });
      socket.once('close', () => this.#open.delete(connection));
      void connection.serve();
    });
  }

  /** @internal */
  abstract openSession(client: LoggedInClient): Promise<OpenSession>;

  /** @internal */
  async listen(): Promise<void> {
    this.#server.listen(this.#options.port ?? 0, this.#options.host ?? '127.0.0.1');
    await once(this.#server, 'listening');
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The server's certificate, PEM; `config()` already trusts it. */
  get ca(): string {
    return this.#certificate.cert;
  }

  /** The number of open connections, and the maximum open at the same time. */
  get connections(): { open: number; most: number } {
    return { open: this.#open.size, most: this.#most };
  }

  /** All unencrypted bytes received so far (up to 1 MiB), to prove that they contain no token. */
  get receivedInClear(): Buffer {
    return Buffer.concat(this.#clear);
  }

  /**
   * An mssql config for this server, with a credential of the Entra emulator if there is one, else with a SQL login.
   * `overrides` take precedence; `options` are merged.
   */
  config(): TdsServerConfig;
  config<T extends object>(overrides: T): Omit<TdsServerConfig, keyof T> & T;
  config(overrides: { authentication?: unknown; user?: unknown; options?: object } = {}): object {
    const login = overrides.authentication === undefined && overrides.user === undefined ? this.#ownLogin() : {};
    const encrypt = this.#options.encrypt === 'strict' ? 'strict' : true;
    const options = { encrypt, cryptoCredentialsDetails: { ca: this.ca }, ...overrides.options };
    return { server: 'localhost', port: this.port, ...login, ...overrides, options };
  }

  /** A valid SQL login. */
  get sqlLogin(): { user: string; password: string } {
    const [[name, secret] = ['', '']] = Object.entries(this.#users ?? {});
    return { user: name, password: secret };
  }

  /** Makes the next logins fail. */
  failLogins(fault: LoginFault): ActiveLoginFault {
    return this.#faults.add(fault);
  }

  /** Removes all faults set by {@link failLogins}. */
  heal(): void {
    this.#faults.clear();
  }

  /** Cuts every open connection, as a failover or a network outage does. Returns their number. */
  dropConnections(): number {
    const dropped = [...this.#open];
    for (const connection of dropped) connection.drop();
    return dropped.length;
  }

  /** Cuts the connection of one session (`@@SPID`), as KILL does; false if there is no such session. */
  kill(spid: number): boolean {
    const connection = [...this.#open].find((each) => each.spid === spid);
    connection?.drop();
    return connection !== undefined;
  }

  /** Stops answering, logins and requests alike, until {@link resume}; connections stay open. */
  pause(): void {
    if (this.#pause !== undefined) return;
    let end = (): void => {};
    const over = new Promise<void>((resolve) => {
      end = resolve;
    });
    this.#pause = { over, end };
  }

  resume(): void {
    this.#pause?.end();
    this.#pause = undefined;
  }

  /**
   * For use between tests: removes faults, resumes if paused, cuts open connections and clears the recorded events. Port,
   * certificate and options are kept.
   */
  reset(): void {
    this.heal();
    this.resume();
    this.dropConnections();
    this.logins.length = 0;
    this.protocolErrors.length = 0;
    this.#clear = [];
    this.#clearLength = 0;
    this.#most = 0;
  }

  /** Stops listening, waits up to `drainMs` (default 0) for clients to disconnect, then cuts the rest. */
  async close({ drainMs = 0 }: { drainMs?: number } = {}): Promise<void> {
    this.resume();
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    const timer = setTimeout(() => this.dropConnections(), Math.min(drainMs, LONGEST_TIMER_MS));
    if (drainMs === 0) this.dropConnections();
    await closed;
    clearTimeout(timer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Resolves when the server resumes; undefined if it is not paused. */
  protected running(): Promise<void> | undefined {
    return this.#pause?.over;
  }

  protected nextSpid(): number {
    this.#lastSpid = this.#lastSpid >= 32_767 ? FIRST_SPID : this.#lastSpid + 1;
    return this.#lastSpid;
  }

  #ownLogin(): Partial<TdsServerConfig> {
    const credential = this.#context.authority?.credential?.();
    if (credential === undefined) return this.sqlLogin;
    return { authentication: { type: 'token-credential', options: { credential } } };
  }

  #makeContext(): ServerContext {
    const { audience = DEFAULT_AUDIENCE, serverName = 'emulator', now = Date.now } = this.#options;
    return {
      options: this.#options,
      host: this,
      users: this.#users,
      authority: authorityOf(this.#options.entra),
      audience: typeof audience === 'string' ? [audience] : audience,
      tls: serverTls(this.#certificate),
      faults: this.#faults,
      serverName,
      now,
      running: () => this.running(),
      nextSpid: () => this.nextSpid(),
      recordLogin: (record) => keep(this.logins, record),
      decidedLogin: (record) => this.#options.onLogin?.(record),
      recordProtocolError: ({ message }, clientAddress) =>
        keep(this.protocolErrors, { time: Date.now(), clientAddress, message }),
      recordClear: (chunk) => {
        if (this.#clearLength >= CLEAR_LIMIT) return;
        this.#clear.push(Buffer.from(chunk));
        this.#clearLength += chunk.length;
      },
    };
  }
}

function requireOneOf(option: string, value: unknown, allowed: readonly string[]): void {
  if (value === undefined || allowed.includes(value as string)) return;
  throw new TypeError(`${option} is ${String(value)}; it must be one of ${allowed.join(', ')}`);
}

/** Records an event, keeping the last {@link EVENT_LIMIT}: a gateway may run for months. */
export function keep<T>(list: T[], event: T): void {
  if (list.length >= EVENT_LIMIT) list.shift();
  list.push(event);
}

function authorityOf(entra: TdsServerOptions['entra']): TokenAuthority | undefined {
  if (entra === undefined || 'verify' in entra) return entra;
  return { verify: (token, { audience, now }) => verifyAccessToken(token, { ...entra, audience, now }) };
}

import type { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import type { Connection } from 'tedious';
import { LONGEST_CHECKED, repeatsSecret } from '../credentials/entra/repeated-secret.js';
import { EncryptionRequiredError, ServerUnavailableError } from '../errors.js';
import { timerMs } from '../time.js';
import { containLateErrors } from './contain-late-errors.js';
import { type ContainedConnection, containParser } from './contain-parser.js';
import type { ServerMessage } from './login-failure.js';
import { noteEndOfSession, sessionOf } from './session.js';

/** The server shuts down: an error of severity 10, which SQL Server sends as information. */
const SHUTDOWN_IN_PROGRESS = 6005;

/** Azure SQL redirects once; a gateway in front of it may add another. More is a loop. */
const MAX_REDIRECTS = 5;
/**
 * tedious itself ends a login after `connectTimeout`, with the better message, unless a server has stalled it (see
 * `#startTimer`).
 */
const BACKSTOP_MS = 500;
/** A login has a handful of messages; further ones carry nothing new. */
const MAX_MESSAGES = 50;
/** Time for tedious to report that its socket was destroyed. */
const UNWIND_MS = 100;
/** Redacting a shorter secret would remove ordinary words from the server's messages. */
const SHORTEST_SECRET = 4;

/** The parts of a tedious connection that are read here; present in tedious 18 to 20. */
interface LoggingIn extends ContainedConnection {
  socket?: (Socket & { encrypted?: boolean }) | undefined;
  /** Set before `rerouting` is emitted. */
  routingData?: { server?: string; instance?: string | undefined } | undefined;
  config?: {
    options?: { encrypt?: boolean | string; connectTimeout?: number };
    authentication?: { options?: { password?: unknown } };
  };
}

/**
 * Watches one connection from its construction until it is logged in: whether the current hop is encrypted (P10), how
 * often the server redirects, and that the login ends at all, whatever the server sends (P6).
 */
export class LoginGuard {
  readonly #connection: LoggingIn;
  /** The socket of the last TLS handshake inside TDS. */
  #secured: { socket: Socket | undefined } | undefined;
  /** The server's messages during the login. */
  readonly messages: ServerMessage[] = [];
  #redirects = 0;
  #timer: NodeJS.Timeout | undefined;
  #hopLimitMs = 0;
  #cancelled: Error | undefined;

  constructor(connection: Connection) {
    this.#connection = connection as unknown as LoggingIn;
    connection.on('secure', this.#onSecure);
    connection.on('rerouting' as 'end', this.#onRerouting);
    connection.on('retry' as 'end', this.#onNewHop);
    logins.set(connection, this);
    if (!guardedEmits.has(connection.emit)) {
      // Shared functions, one for each event: they stay with the connection, and must not keep the login in memory.
      connection.prependListener('errorMessage' as 'end', onErrorMessage as () => void);
      connection.prependListener('infoMessage' as 'end', onInfoMessage as () => void);
    }
    containParser(this.#connection);
    containLateErrors(this.#connection as object);
    this.#hidePassword();
  }

  /**
   * Starts the time of the first hop; call it when the connection begins to connect.
   *
   * @param hopLimitMs the server's time on each hop; tedious's own limit includes the wait for a token
   */
  begin(hopLimitMs: number = this.#connection.config?.options?.connectTimeout ?? 0): void {
    this.#hopLimitMs = hopLimitMs;
    this.#startTimer();
  }

  /** From here on, the wait is not for the server. */
  async pauseFor<T>(work: Promise<T>): Promise<T> {
    const isRunning = this.#timer !== undefined;
    this.#stopTimer();
    try {
      return await work;
    } finally {
      if (isRunning && this.#cancelled === undefined) this.#startTimer();
    }
  }

  /** The login is over: removes what would otherwise stay in memory for the life of the connection. */
  end(): void {
    this.#hopLimitMs = 0;
    this.#stopTimer();
    const connection = this.#connection as unknown as Connection;
    connection.off('secure', this.#onSecure);
    connection.off('rerouting', this.#onRerouting);
    connection.off('retry', this.#onNewHop);
    logins.delete(connection);
    // The session keeps it.
    if (secrets.get(connection) === sessionOf(connection)?.token?.reveal()) secrets.delete(connection);
  }

  /** From now on no secret is handed out: the dial was aborted with `reason`. */
  cancel(reason: Error): void {
    this.#cancelled = reason;
    this.#stopTimer();
  }

  /**
   * Registers a secret: from now on, it is redacted from all messages of the server, on the open session as well. This includes
   * secrets that this connection has not sent yet, because the server may know them from another connection.
   */
  redacts(secret: string): void {
    if (secret.length < SHORTEST_SECRET) return;
    const others = secrets.get(this.#connection);
    if ([others].flat().includes(secret)) return;
    secrets.set(this.#connection, others === undefined ? secret : [others, secret].flat());
  }

  /**
   * Allows a secret onto the wire of the current hop, or throws.
   *
   * tedious before 20.3.7 continues in cleartext when a server answers `encrypt: true` with "not supported". Proof of
   * encryption is the connection's own `secure` event (TLS inside TDS) on the socket in use, or a TLS socket for
   * `encrypt: 'strict'` (TDS 8); a redirect opens another socket, which needs its own proof.
   *
   * @throws EncryptionRequiredError; the reason given to `cancel`
   */
  assertMaySend(secret: 'access token' | 'password'): void {
    if (this.#cancelled !== undefined) throw this.#cancelled;
    if (this.#isEncrypted) return;
    throw new EncryptionRequiredError(`The server does not encrypt this connection; the ${secret} was not sent.`, {
      hint: "Enable encryption on the server, or use options.encrypt: 'strict' with a server that supports TDS 8.",
    });
  }

  get #isEncrypted(): boolean {
    const { socket, config } = this.#connection;
    if (config?.options?.encrypt === 'strict') return socket?.encrypted === true;
    return this.#secured !== undefined && this.#secured.socket === socket;
  }

  readonly #onSecure = (): void => {
    this.#secured = { socket: this.#connection.socket };
  };

  readonly #onNewHop = (): void => {
    this.#secured = undefined;
    if (this.#timer !== undefined) this.#startTimer();
  };

  /** tedious emits `rerouting` inside its login; an error thrown here is the one that the login fails with. */
  readonly #onRerouting = (): void => {
    this.#onNewHop();
    this.#redirects += 1;
    this.#checkTarget();
    if (this.#redirects <= MAX_REDIRECTS) return;
    throw new ServerUnavailableError(`The server redirected the login more than ${MAX_REDIRECTS} times.`, {
      hint: 'Each server names another one: check the gateway or failover group for a loop.',
    });
  };

  /** The name of the next server appears in errors and is sent to DNS, so it must not contain a secret. */
  #checkTarget(): void {
    const { server, instance } = this.#connection.routingData ?? {};
    const known = secretsOf(this.#connection);
    const isHarmless = (name = ''): boolean =>
      /^[\w.:[\]$#-]{0,255}$/.test(name) && withoutSecrets(name, known) === name;
    // Without a letter or digit it is no name either: DNS takes '' for this machine, and '.' for the root.
    const isName = server === undefined || /[a-z\d]/i.test(server);
    if (isName && isHarmless(server) && isHarmless(instance)) return;
    throw new ServerUnavailableError('The server redirected the login to something that is not the name of a server.', {
      hint: 'Check the gateway or failover group, and whether another server answers at this address.',
    });
  }

  /**
   * tedious 19 ignores its connect timer while it reads a login response, and hangs if the server stops in the middle
   * of one.
   */
  #startTimer(): void {
    this.#stopTimer();
    const limitMs = this.#hopLimitMs;
    if (!(limitMs > 0)) return;
    this.#timer = setTimeout(() => this.#stalled(limitMs), timerMs(limitMs + BACKSTOP_MS));
    this.#timer.unref();
  }

  #stopTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #stalled(limitMs: number): void {
    const { socket, state } = this.#connection;
    const text = `The server did not complete the login within ${limitMs} ms (step: ${state?.name}).`;
    const error = Object.assign(new Error(text), { code: 'ETIMEOUT' });
    // tedious 20 removes its own listener when it closes, and an error without a listener ends the process.
    socket?.on('error', () => {});
    socket?.destroy(error);
    // tedious 19 to 20 may wait for the rest of an incomplete message in spite of that: `return()` of an async iterator
    // waits for the `next()` before it. Not unref'd, because no socket keeps the process alive any longer.
    this.#timer = setTimeout(() => {
      (this.#connection as unknown as Connection).emit('connect', error);
      (this.#connection as unknown as Connection).close();
    }, UNWIND_MS);
  }

  /**
   * LOGIN7 of a SQL login carries the password. tedious reads it from its own copy of the configuration when it writes
   * the packet, which is where it can be withheld. It also disappears from `inspect(connection)`.
   */
  #hidePassword(): void {
    const { config } = this.#connection;
    const options = config?.authentication?.options;
    const password = options?.password;
    if (options === undefined || typeof password !== 'string') return;
    const get = (): string => {
      if (config?.options?.encrypt !== false) this.assertMaySend('password');
      else if (this.#cancelled !== undefined) throw this.#cancelled;
      return password;
    };
    this.redacts(password);
    Object.defineProperty(options, 'password', { get, enumerable: false, configurable: true });
  }
}

/** The guards of connections that are logging in. */
const logins = new WeakMap<object, LoginGuard>();

/** The `emit` of connections that call {@link heedMessage} for each of their events; see guarded-connection.ts. */
export const guardedEmits = new WeakSet<object>();

/** Redacts a message of the server, and notes what it says about the login or the session. */
export function heedMessage(connection: object, event: string | symbol, message: unknown): void {
  if (event === 'errorMessage') onErrorMessage.call(connection as Connection, message as ServerMessage);
  else if (event === 'infoMessage') onInfoMessage.call(connection as Connection, message as ServerMessage);
}

function onErrorMessage(this: Connection, message: ServerMessage): void {
  redact.call(this, message);
  const login = logins.get(this);
  if (login === undefined) noteEndOfSession(this, message);
  else if (login.messages.length < MAX_MESSAGES) login.messages.push(message);
}

function onInfoMessage(this: Connection, message: ServerMessage): void {
  redact.call(this, message);
  if (message?.number === SHUTDOWN_IN_PROGRESS && !logins.has(this)) noteEndOfSession(this, message);
}

/** The secrets that a connection has sent and that must not appear in an error, besides the token of its session. */
const secrets = new WeakMap<object, string | string[]>();

function secretsOf(connection: object): string[] {
  return [secrets.get(connection) ?? sessionOf(connection as Connection)?.token?.reveal() ?? []].flat();
}

/**
 * Redacts the secrets of a connection from all messages of the server, for the life of the connection. tedious builds its
 * errors from the same message object after it has emitted the event, so they are clean too.
 */
function redact(this: Connection, message: { message?: unknown; serverName?: unknown; procName?: unknown }): void {
  const known = secretsOf(this);
  for (const key of ['message', 'serverName', 'procName'] as const) {
    const text = message?.[key];
    if (typeof text === 'string' && text !== '') message[key] = withoutSecrets(text, known);
  }
}

/** A foreign token, recognizable only by its form: three parts of base64url, the first of which is a JSON object. */
const JWT = /\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*/g;

function withoutSecrets(given: string, known: readonly string[]): string {
  let text = given.slice(0, LONGEST_CHECKED);
  for (const secret of known) {
    for (const form of formsOf(secret)) text = text.replaceAll(form, '[hidden]');
  }
  text = text.replace(JWT, '[hidden]');
  // The secret is there in part, or in some other encoding: nothing of the message can be kept.
  return repeatsSecret(text, known) ? '[hidden: the server repeats a secret]' : text;
}

/**
 * A secret in plain text and in the forms in which servers repeat it most: form-encoded and base64, with and without
 * padding.
 */
function formsOf(secret: string): string[] {
  const [base64 = secret] = Buffer.from(secret).toString('base64').split('=');
  return [secret, encodeURIComponent(secret), base64, Buffer.from(secret).toString('base64url')];
}

/**
 * A login has twice as many event names as the session after it, and V8 does not shrink the table of names when listeners are
 * removed: it would take 200 bytes more for the life of each connection.
 */
export function shrinkListeners(connection: EventEmitter): void {
  const names = connection.eventNames();
  if (names.includes('newListener') || names.includes('removeListener')) return;
  const listeners = names.map((name) => connection.rawListeners(name));
  connection.removeAllListeners();
  for (const [i, name] of names.entries()) {
    for (const listener of listeners[i] ?? []) connection.on(name, listener as (...args: unknown[]) => void);
  }
}

import type { Socket } from 'node:net';
import type { Connection } from 'tedious';
import { EncryptionRequiredError, ServerUnavailableError } from '../errors.js';
import { timerMs } from '../time.js';
import { containLateErrors } from './contain-late-errors.js';
import { type ContainedConnection, containParser } from './contain-parser.js';

/** Azure SQL redirects once; a gateway in front of it may add another. More is a loop. */
const MAX_REDIRECTS = 5;
/** tedious ends a login after `connectTimeout` itself, with the better message, unless the server stalled it (see `#startTimer`). */
const BACKSTOP_MS = 500;
/** Time for tedious to report that its socket was destroyed. */
const UNWIND_MS = 100;
/** A shorter secret would remove ordinary words from the messages of the server. */
const SHORTEST_SECRET = 4;

/** The parts of a tedious connection that are read here; present in tedious 18 to 20. */
interface LoggingIn extends ContainedConnection {
  socket?: (Socket & { encrypted?: boolean }) | undefined;
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
  /** What has been given to this connection and must not appear in an error. */
  readonly #secrets: Set<string>;
  /** The socket on which the last TLS handshake inside TDS took place. */
  #secured: { socket: Socket | undefined } | undefined;
  #redirects = 0;
  #timer: NodeJS.Timeout | undefined;
  #hopLimitMs = 0;
  #cancelled: Error | undefined;

  constructor(connection: Connection) {
    this.#connection = connection as unknown as LoggingIn;
    connection.on('secure', this.#onSecure);
    connection.on('rerouting' as 'end', this.#onRerouting);
    connection.on('retry' as 'end', this.#onNewHop);
    this.#secrets = redactMessages(connection);
    containParser(this.#connection);
    containLateErrors(this.#connection as object);
    this.#hidePassword();
  }

  /**
   * Starts the time of the first hop; call it when the connection begins to connect.
   *
   * @param hopLimitMs the time that the server has on each hop, where tedious's own limit includes the wait for a token
   */
  begin(hopLimitMs: number = this.#connection.config?.options?.connectTimeout ?? 0): void {
    this.#hopLimitMs = hopLimitMs;
    this.#startTimer();
  }

  /** What is waited for now is not the server. */
  async pauseFor<T>(work: Promise<T>): Promise<T> {
    const isRunning = this.#timer !== undefined;
    this.#stopTimer();
    try {
      return await work;
    } finally {
      if (isRunning && this.#cancelled === undefined) this.#startTimer();
    }
  }

  /** The login is over: removes what only a login needs, because listeners would stay with the connection for life. */
  end(): void {
    this.#hopLimitMs = 0;
    this.#stopTimer();
    const connection = this.#connection as unknown as Connection;
    connection.off('secure', this.#onSecure);
    connection.off('rerouting', this.#onRerouting);
    connection.off('retry', this.#onNewHop);
  }

  /** From now on no secret is handed out: the dial was given up for `reason`. */
  cancel(reason: Error): void {
    this.#cancelled = reason;
    this.#stopTimer();
  }

  /** A secret goes onto the wire: from now on no message of this server repeats it, not even on the live session. */
  sent(secret: string): void {
    if (secret.length >= SHORTEST_SECRET) this.#secrets.add(secret);
  }

  /**
   * Allows a secret onto the wire of the current hop, or throws.
   *
   * tedious before 20.3.7 continues in the clear when a server answers `encrypt: true` with "not supported". Proof of
   * encryption is the connection's own `secure` event (TLS inside TDS) on the very socket in use, or a TLS socket for
   * `encrypt: 'strict'` (TDS 8); a redirect opens another socket, which has to prove it again.
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

  /** tedious emits `rerouting` inside its login; what is thrown here is what the login fails with. */
  readonly #onRerouting = (): void => {
    this.#onNewHop();
    this.#redirects += 1;
    if (this.#redirects <= MAX_REDIRECTS) return;
    throw new ServerUnavailableError(`The server redirected the login more than ${MAX_REDIRECTS} times.`, {
      hint: 'Each server of the chain names another one: check the gateway or failover group for a loop.',
    });
  };

  /**
   * tedious 19 waits for the end of a login response without looking at its own connect timer, and never ends when the
   * server stops in the middle of it.
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
    // tedious 19 to 20 may wait for the rest of a half message in spite of that: `return()` of an async iterator waits for the
    // `next()` before it. Not unref'd, because no socket keeps the process alive any more.
    this.#timer = setTimeout(() => {
      (this.#connection as unknown as Connection).emit('connect', error);
      (this.#connection as unknown as Connection).close();
    }, UNWIND_MS);
  }

  /**
   * LOGIN7 of a SQL login carries the password. tedious reads it from its own copy of the configuration at the moment it
   * writes the packet, which is where it can be withheld; `inspect(connection)` does not show it any more either.
   */
  #hidePassword(): void {
    const { config } = this.#connection;
    const options = config?.authentication?.options;
    const password = options?.password;
    if (options === undefined || typeof password !== 'string') return;
    const get = (): string => {
      if (config?.options?.encrypt !== false) this.assertMaySend('password');
      else if (this.#cancelled !== undefined) throw this.#cancelled;
      this.sent(password);
      return password;
    };
    Object.defineProperty(options, 'password', { get, enumerable: false, configurable: true });
  }
}

/**
 * Keeps what is in the returned set out of all messages of the server, for the life of the connection. tedious builds its
 * errors from the same message object after it has emitted the event, so they are clean too.
 */
function redactMessages(connection: Connection): Set<string> {
  const secrets = new Set<string>();
  // A function of its own: the listener must not keep the rest of the login alive.
  const redact = (message: { message?: unknown }): void => {
    if (typeof message?.message !== 'string') return;
    let text = message.message;
    for (const secret of secrets) for (const form of formsOf(secret)) text = text.replaceAll(form, '[hidden]');
    message.message = text;
  };
  connection.prependListener('errorMessage' as 'end', redact as () => void);
  connection.prependListener('infoMessage' as 'end', redact as () => void);
  return secrets;
}

/** A secret as it is, and as servers repeat it: form-encoded and base64, with and without padding. */
function formsOf(secret: string): string[] {
  const [base64 = secret] = Buffer.from(secret).toString('base64').split('=');
  return [secret, encodeURIComponent(secret), base64, Buffer.from(secret).toString('base64url')];
}

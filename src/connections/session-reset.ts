import type { Connection } from 'tedious';
import { ConfigurationError } from '../errors.js';
import { replaceMethod } from './replace-method.js';

/**
 * Requests that may carry a reset (MS-TDS 2.2.3.1.2, RESETCONNECTION): a batch, a remote procedure call, or a request to
 * the transaction manager. All of the types of MS-TDS 2.2.3.1.1 that are used here.
 */
const BATCH = 0x01;
const RPC = 0x03;
const TRANSACTION_MANAGER = 0x0e;
const LOGIN7 = 0x10;

/** OptionFlags2 of a LOGIN7 message, and its bit fODBC (MS-TDS 2.2.6.4). */
const OPTION_FLAGS_2 = 25;
const ODBC = 0x02;
/** TM_BEGIN_XACT (MS-TDS 2.2.6.9). */
const BEGIN = 5;
/** `ISOLATION_LEVEL.READ_COMMITTED` of tedious, as on the wire; 0 leaves the level as it is. */
const READ_COMMITTED = 2;
const UNCHANGED = 0;

/** tedious sends it after each login. A login with fODBC, and a reset, leave it OFF. */
const ARITHABORT_ON = 'set arithabort on';
const LEVEL_OF_LOGIN = 'set transaction isolation level read committed';

/**
 * What the session has after a reset: the state after a login with fODBC, of all the lines that tedious may send after a
 * login. ARITHABORT is implied by ANSI_WARNINGS ON (documentation of SET ARITHABORT).
 */
const GIVEN_BY_RESET = new Set([
  'set ansi_nulls on',
  'set ansi_null_dflt_on on',
  'set ansi_padding on',
  'set ansi_warnings on',
  ARITHABORT_ON,
  'set arithabort off',
  'set concat_null_yields_null on',
  'set cursor_close_on_commit off',
  'set datefirst 7',
  'set dateformat mdy',
  'set implicit_transactions off',
  'set language us_english',
  'set numeric_roundabort off',
  'set quoted_identifier on',
  'set textsize 2147483647',
  LEVEL_OF_LOGIN,
  'set xact_abort off',
]);

/**
 * Text of a batch after which a reset alone may not be enough. SET TRANSACTION ISOLATION LEVEL survives it; after
 * EXECUTE AS, SETUSER or sp_setapprole the server refuses it and ends the session (18059). Inside a procedure, a
 * trigger and sp_executesql each of them ends with its scope, so only batches are searched. A false match costs one
 * round trip.
 */
const OUTLASTS_RESET = /isolation|setuser|sp_setapprole/i;
const EXECUTE = /\bexec(?:ute)?\b/i;
const AS = /\bas\b/i;

/** If a reset takes longer than this, ms, the server has problems, and the session is replaced. */
const TIMEOUT_MS = 5_000;

interface TediousRequest {
  canceled?: boolean;
}

/** The parts of a tedious connection that are used here; present in tedious 18 to 20. */
interface Resettable {
  makeRequest(request: TediousRequest, type: number, payload: unknown): void;
  sendLogin7Packet?: () => void;
  messageIo?: { sendMessage(type: number, data: Buffer): void };
  getInitialSql(): string;
  reset(callback: (error?: Error | null) => void): void;
  resetConnectionOnNextRequest: boolean;
  inTransaction: boolean;
  state: unknown;
  STATE?: { LOGGED_IN?: unknown };
  config?: { options?: { connectionIsolationLevel?: number | null } };
}

/** What a return requires: nothing, a flag on the next request, a separate request, or closing the connection. */
export type ResetNeed = 'none' | 'flag' | 'request' | 'impossible';

/**
 * The reset of one session between two borrowers (sp_reset_connection): database, SET options, session context, temporary
 * tables, prepared statements, open transactions. It is part of the next request. A separate request is sent only
 * if the reset alone is not enough: the isolation level was changed, the session may act as another user, or the
 * application has set options for tedious that a reset undoes.
 *
 * tedious logs in as a client without fODBC and sends its SET options after the login, where a reset undoes them. With
 * fODBC the server sets them itself, at the login and at each reset, as for SqlClient, JDBC and ODBC.
 */
export class SessionReset {
  /** Called when the server has reset the session. */
  onReset: ((this: Connection, withOwnRequest: boolean) => void) | undefined;
  /** Called when the server has not carried out a requested reset, or when a request was made after the connection was returned. */
  onFailure: ((this: Connection, reason: 'reset-failed' | 'misused') => void) | undefined;
  /** A borrower or its pool may use the session. Always true in the pools of other libraries. */
  inUse = true;
  /** The next request carries a reset. */
  isDue = false;
  /** A request was made since the login or the last reset. */
  #isUsed = false;
  /** The request that carried the reset, until the server has confirmed it. */
  #carrier: TediousRequest | undefined;
  #runsOwnRequest = false;
  #isProbing = false;
  /** Whether the server sets the options of a login by itself. */
  hasLoginOptions = false;
  #level: number;
  readonly #initialLevel: number;
  #mayOutlastReset = false;
  /** The server does not restore all options of the login by itself. */
  #restoresOptions = true;

  constructor(initialLevel: number) {
    this.#level = initialLevel;
    this.#initialLevel = initialLevel;
  }

  /** True while a reset has been sent and not been confirmed. */
  get isUnderWay(): boolean {
    return this.#carrier !== undefined;
  }

  /** True if the next borrower would find what the last one left behind. */
  get isNeeded(): boolean {
    return this.isDue || this.#isUsed;
  }

  /** Notes that the borrower is done. `request` calls for {@link run}; `flag` is carried out by the next request itself. */
  returned(connection: Connection): ResetNeed {
    const tedious = connection as unknown as Resettable;
    if (!this.#settleCarrier(tedious)) return 'impossible';
    if (this.#isUsed) this.isDue = true;
    this.#isUsed = false;
    if (!this.isDue) return 'none';
    return this.#needsRequest ? 'request' : 'flag';
  }

  /**
   * Sends a request of the pool's own that leaves nothing behind. It may carry a reset that is due, but it is not a use: the
   * next borrower finds the session as it was, and another reset could undo the options of the login.
   */
  probe(send: () => void): void {
    this.inUse = true;
    this.#isProbing = true;
    try {
      send();
    } finally {
      this.#isProbing = false;
      this.inUse = false;
    }
  }

  /** False if the server has not carried out the reset that was part of the latest request. */
  isConfirmed(connection: Connection): boolean {
    return this.#settleCarrier(connection as unknown as Resettable);
  }

  /** Resets with a separate request. False if the session must not be used again. Never rejects. */
  run(connection: Connection): Promise<boolean> {
    const tedious = connection as unknown as Resettable;
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), TIMEOUT_MS).unref();
      this.#runsOwnRequest = true;
      tedious.reset((error) => {
        clearTimeout(timer);
        this.#runsOwnRequest = false;
        const confirmed = !error && this.#carrier === undefined;
        this.#carrier = undefined;
        if (confirmed) this.#clean();
        resolve(confirmed);
      });
    });
  }

  /**
   * The part of tedious's statements that is sent after the login: no option that a reset undoes. ARITHABORT is part of the key of
   * cached plans, so a session should not change it at its first reset.
   */
  initialSql(all: string): string {
    const lines = all.split('\n').filter((line) => line !== '');
    this.#restoresOptions = !this.hasLoginOptions || lines.some((line) => !GIVEN_BY_RESET.has(line));
    return this.#restoresOptions ? all : lines.filter((line) => line !== ARITHABORT_ON).join('\n');
  }

  /** The part that is sent with a separate reset; undefined means all. The server restores everything else. */
  get resetSql(): string | undefined {
    return this.#runsOwnRequest && !this.#restoresOptions ? LEVEL_OF_LOGIN : undefined;
  }

  /** Called for each request that is about to be sent. */
  beforeRequest(tedious: Resettable, request: TediousRequest, type: number, payload: unknown): void {
    if (this.#runsOwnRequest) {
      this.#carrier = request;
      return;
    }
    const connection = tedious as unknown as Connection;
    if (!this.#settleCarrier(tedious)) this.onFailure?.call(connection, 'reset-failed');
    // It would consume the reset, and the next borrower would find what this request leaves behind.
    if (!this.inUse) this.onFailure?.call(connection, 'misused');
    if (this.isDue && (type === BATCH || type === RPC || type === TRANSACTION_MANAGER)) {
      tedious.resetConnectionOnNextRequest = true;
      this.#carrier = request;
      this.isDue = false;
    }
    if (this.#isProbing) return;
    this.#isUsed = true;
    if (type === BATCH) this.#mayOutlastReset ||= outlastsReset((payload as { sqlText?: unknown }).sqlText);
    else if (type === RPC) this.#mayOutlastReset ||= outlastsReset((payload as { procedure?: unknown }).procedure);
    else if (type === TRANSACTION_MANAGER) this.#level = levelBegunWith(payload as Iterable<Buffer>) ?? this.#level;
  }

  /** ENVCHANGE 18: the server has reset the session. */
  confirmed(connection: Connection): void {
    this.#carrier = undefined;
    this.onReset?.call(connection, this.#runsOwnRequest);
  }

  #clean(): void {
    this.isDue = false;
    this.#isUsed = false;
    this.#level = this.#initialLevel;
    this.#mayOutlastReset = false;
  }

  /**
   * A request that was cancelled before it was sent is ignored by the server, and its reset with it; that is repeated. Any
   * other answer without a confirmation means that the server does not reset sessions. False for that.
   */
  #settleCarrier({ inTransaction }: Resettable): boolean {
    const carrier = this.#carrier;
    if (carrier === undefined) return true;
    this.#carrier = undefined;
    this.isDue = carrier.canceled === true && !inTransaction;
    return this.isDue;
  }

  get #needsRequest(): boolean {
    return this.#restoresOptions || this.#mayOutlastReset || this.#level !== this.#initialLevel;
  }
}

const resets = new WeakMap<object, SessionReset>();

/**
 * Makes a connection resettable; call it before it connects.
 *
 * @throws ConfigurationError if its tedious cannot reset
 */
export function makeResettable(connection: Connection): void {
  const tedious = connection as unknown as Resettable;
  if (typeof tedious.makeRequest !== 'function' || typeof tedious.reset !== 'function') {
    throw new ConfigurationError(
      "pool.resetSession: 'always' needs tedious 18 to 20; this one cannot reset a session.",
    );
  }
  resets.set(connection, new SessionReset(tedious.config?.options?.connectionIsolationLevel ?? READ_COMMITTED));
  replaceMethod(tedious, 'makeRequest', makeRequest);
  replaceMethod(tedious, 'getInitialSql', getInitialSql);
  if (typeof tedious.sendLogin7Packet === 'function') replaceMethod(tedious, 'sendLogin7Packet', sendLogin7);
  connection.on('resetConnection', onConfirmed);
}

/** The reset of a connection that {@link makeResettable} was called for. */
export function resetOf(connection: Connection): SessionReset | undefined {
  return resets.get(connection);
}

function makeRequest(this: Resettable, request: TediousRequest, type: number, payload: unknown): void {
  const isSent = request.canceled !== true && (this.STATE === undefined || this.state === this.STATE.LOGGED_IN);
  if (isSent) resets.get(this)?.beforeRequest(this, request, type, payload);
  (Object.getPrototypeOf(this) as Resettable).makeRequest.call(this, request, type, payload);
}

function sendLogin7(this: Resettable): void {
  const { messageIo } = this;
  const send = (): void => (Object.getPrototypeOf(this) as Required<Resettable>).sendLogin7Packet.call(this);
  if (messageIo === undefined) {
    send();
    return;
  }
  const proto = Object.getPrototypeOf(messageIo) as typeof messageIo;
  messageIo.sendMessage = (type, data) => {
    if (type === LOGIN7 && data.length > OPTION_FLAGS_2) {
      data[OPTION_FLAGS_2] = (data[OPTION_FLAGS_2] as number) | ODBC;
      const reset = resets.get(this);
      if (reset !== undefined) reset.hasLoginOptions = true;
    }
    proto.sendMessage.call(messageIo, type, data);
  };
  try {
    send();
  } finally {
    delete (messageIo as Partial<typeof messageIo>).sendMessage;
  }
}

function onConfirmed(this: Connection): void {
  resets.get(this)?.confirmed(this);
}

function getInitialSql(this: Resettable): string {
  const reset = resets.get(this) as SessionReset;
  if (reset.resetSql !== undefined) return reset.resetSql;
  return reset.initialSql((Object.getPrototypeOf(this) as Resettable).getInitialSql.call(this));
}

function outlastsReset(text: unknown): boolean {
  if (typeof text !== 'string') return false;
  return OUTLASTS_RESET.test(text) || (EXECUTE.test(text) && AS.test(text));
}

/** Isolation level that a request to begin a transaction sets; undefined if it sets none, or is another request. */
function levelBegunWith(payload: Iterable<Buffer>): number | undefined {
  const bytes = Buffer.concat([...payload]);
  const start = bytes.length >= 4 ? bytes.readUInt32LE(0) : 0;
  if (bytes.length < start + 3 || bytes.readUInt16LE(start) !== BEGIN) return undefined;
  const level = bytes[start + 2];
  return level === UNCHANGED ? undefined : level;
}

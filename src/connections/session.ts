import type { Connection } from 'tedious';
import type { EvictionReason } from '../channels.js';
import type { CachedToken } from '../tokens/cached-token.js';
import { concernsServer, endsSession } from './expiry-policy.js';
import type { ServerMessage } from './login-failure.js';
import { type Opening, SessionExpiry } from './session-expiry.js';
import { resetOf, type SessionReset } from './session-reset.js';
import { hasUnread } from './unread.js';

/** The state of one physical connection that is logged in. */
export class Session extends SessionExpiry<CachedToken> {
  /** Number of the connection in this process, for events. */
  readonly id: number;
  readonly connection: Connection;
  /** Its pool, if it belongs to one. */
  owner: SessionOwner | undefined = undefined;
  /** Answers of the server to requests of callers, with errors or without. */
  answers = 0;

  constructor(id: number, connection: Connection, opening: Opening<CachedToken>, maxAgeMillis: number) {
    super(opening, maxAgeMillis);
    this.id = id;
    this.connection = connection;
  }

  /** When it was opened, its limits, and whether the server has ended it: the same object, because each object takes memory. */
  get expiry(): SessionExpiry {
    return this;
  }

  /** Runs a request of the pool itself, whose answer serves no caller. */
  async ask<T>(request: () => Promise<T>): Promise<T> {
    const { answers } = this;
    try {
      return await request();
    } finally {
      this.answers = answers;
    }
  }

  /** The server has answered a request, and not only with the error that ended the session. */
  get hasServed(): boolean {
    return this.answers > (lastWords.has(this) ? 1 : 0);
  }

  /** The server has ended it because of what happens to the server, and not because of a request. */
  get wasEndedByServer(): boolean {
    const message = this.unusable === 'broken' ? lastWords.get(this) : undefined;
    return message !== undefined && concernsServer(message);
  }

  /** Its reset between borrowers; undefined if sessions are not reset. */
  get reset(): SessionReset | undefined {
    return resetOf(this.connection);
  }
}

/** The events of a session that its pool is notified of. */
export interface SessionOwner {
  /** The connection is closed. */
  ended(): void;
  /** The server has ended the session or refused its token. */
  becameUnusable(reason: EvictionReason): void;
  /** True if another session would be read-only too. */
  keepsReadOnly(session: Session): boolean;
  /** The server has reset the session. */
  wasReset(withOwnRequest: boolean): void;
}

const sessions = new WeakMap<Connection, Session>();
/** What the server said when it ended a session; redacted. */
const lastWords = new WeakMap<Session, ServerMessage>();
let count = 0;

/**
 * Registers a connection that has just logged in.
 *
 * @param limits `maxAgeMillis`: age limit, 0 for none; `dialMs`: how long its login took
 */
export function openSession(
  connection: Connection,
  token: CachedToken | undefined,
  { maxAgeMillis = 0, dialMs = 0 }: { maxAgeMillis?: number | undefined; dialMs?: number | undefined } = {},
): Session {
  count += 1;
  const reset = resetOf(connection);
  const session = new Session(count, connection, { token, openedAt: Date.now(), dialMs }, maxAgeMillis);
  if (reset !== undefined) reset.onFailure = noteFailure;
  sessions.set(connection, session);
  return session;
}

/** Notes an error of the server that ends the session. The guard of the login listens as long as the connection lives. */
export function noteEndOfSession(connection: Connection, message: ServerMessage): void {
  const session = sessions.get(connection);
  if (session === undefined) return;
  const reason = endsSession(message, session.reset?.isUnderWay === true);
  // If the application has asked for a replica, read-only is expected.
  if (reason === undefined || (reason === 'read-only' && hasReadOnlyIntent(connection))) return;
  lastWords.set(session, message);
  end(session, reason);
}

/** The server's message when it ended the session; undefined if there was none. */
export function lastWordsOf(session: Session): string | undefined {
  return lastWords.get(session)?.message;
}

function hasReadOnlyIntent(connection: Connection): boolean {
  const { config } = connection as unknown as { config?: { options?: { readOnlyIntent?: boolean } } };
  return config?.options?.readOnlyIntent === true;
}

/** True if the session has not been reset, or not for its next borrower: no other borrower may use it. */
function noteFailure(this: Connection, reason: EvictionReason): void {
  const session = sessions.get(this);
  if (session !== undefined) end(session, reason);
}

function end(session: Session, reason: EvictionReason): void {
  if (reason === 'read-only' && session.owner?.keepsReadOnly(session) === true) return;
  session.expiry.unusable ??= reason;
  session.owner?.becameUnusable(reason);
}

/** An answer to a request has begun to arrive. */
export function noteAnswer(connection: Connection): void {
  const session = sessions.get(connection);
  if (session !== undefined) session.answers += 1;
}

/** The session of a connection that this library opened; undefined for any other connection. */
export function sessionOf(connection: Connection): Session | undefined {
  return sessions.get(connection);
}

/** As {@link isLoggedIn}, and false for a connection that was ended by the server. Sends nothing. */
export function isReady(connection: Connection): boolean {
  const unusable = sessions.get(connection)?.expiry.unusable;
  return isLoggedIn(connection) && unusable !== 'broken' && unusable !== 'reset-failed';
}

/** False for a connection that is closed or has failed. */
export function isOpen(connection: Connection): boolean {
  const { closed, hasError } = connection as unknown as { closed?: boolean; hasError?: boolean };
  return closed !== true && hasError !== true;
}

/**
 * False for a connection that is closed, has failed, has a request in progress, or has received data that no request
 * asked for.
 */
export function isLoggedIn(connection: Connection): boolean {
  return isOpen(connection) && !isBusy(connection) && !hasUnread(connection);
}

/** True for a connection with a request in progress, or that is not logged in. */
export function isBusy(connection: Connection): boolean {
  // `state` is not in tedious's documentation, but sequelize and mssql rely on its names too.
  const { state } = connection as unknown as { state?: { name: string } };
  return state?.name !== 'LoggedIn';
}

/**
 * tedious follows the server's ENVCHANGE tokens (MS-TDS 2.2.7.9, types 8 to 10). If a connection is returned in this state,
 * the next borrower's work would run inside the last borrower's transaction.
 */
export function isInTransaction(connection: Connection): boolean {
  return (connection as { inTransaction?: boolean }).inTransaction === true;
}

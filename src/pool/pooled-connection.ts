import type { Socket } from 'node:net';
import type { Connection } from 'tedious';
import type { EvictionReason } from '../channels.js';
import type { Session, SessionOwner } from '../connections/session.js';
import { ConnectionFlags } from './connection-flags.js';
import type { Waiter } from './wait-queue.js';

/**
 * ```
 *                 login failed, pool closed
 *  connecting ─────────────────────────────────► closed
 *      │                                         ▲   ▲
 *      │ logged in              evicted, broken  │   │ returned broken, past its
 *      ▼                                         │   │ limits or inside a transaction
 *     idle ──────────────────────────────────────┘   │
 *      │ ▲                                           │
 *      ▼ │ check-out, return                         │
 *   borrowed ────────────────────────────────────────┘
 * ```
 */
export type ConnectionState = 'connecting' | 'idle' | 'borrowed' | 'closed';

/** Written as comparisons, because it runs at each checkout and return. */
export function isTransition(from: ConnectionState, to: ConnectionState): boolean {
  if (from === 'idle') return to === 'borrowed' || to === 'closed';
  if (from === 'borrowed' || from === 'connecting') return to === 'idle' || to === 'closed';
  return false;
}

/** The purpose of a connection that is being opened. */
export interface Purpose {
  /** The caller that waits for it; a failure rejects that caller. */
  readonly caller?: Waiter | undefined;
  /** The connection that it is to replace. */
  readonly successorOf?: PooledConnection | undefined;
}

/** The owner of a connection, which it notifies of events. */
export interface ConnectionHome {
  ended(pooled: PooledConnection): void;
  becameUnusable(pooled: PooledConnection, reason: EvictionReason): void;
  /** Sessions whose database is read-only are not replaced now. */
  readonly keepsReadOnly: boolean;
  wasReset(pooled: PooledConnection, withOwnRequest: boolean): void;
}

/** One physical connection of a pool, from its dial until its socket is gone. */
export class PooledConnection extends ConnectionFlags implements SessionOwner {
  readonly home: ConnectionHome | undefined;
  /** Its neighbours among all connections of the pool; maintained by `PooledConnections`. */
  previous: PooledConnection | undefined = undefined;
  next: PooledConnection | undefined = undefined;
  /** Its neighbours among the connections that can be handed out; maintained by `ReadyList`. */
  above: PooledConnection | undefined = undefined;
  below: PooledConnection | undefined = undefined;
  /** Changed by `PooledConnections.move` only. */
  state: ConnectionState = 'connecting';
  /** Undefined while connecting. */
  session: Session | undefined;
  /**
   * When it was last returned, monotonic ms; while it logs in, the start of its login, and infinite before that. A successor
   * inherits the time of the connection that it replaces.
   */
  lastUsedAt = Number.POSITIVE_INFINITY;
  /** Set while it connects, and while it waits for the return of the connection that it replaces. */
  successorOf: PooledConnection | undefined;
  /** Its successor, connecting or standing by. */
  successor: PooledConnection | undefined;
  checkouts = 0;

  constructor({ successorOf }: Purpose, home?: ConnectionHome) {
    super();
    this.holdsProcess = true;
    this.successorOf = successorOf;
    this.home = home;
  }

  /** The socket is closed, by whichever side. */
  ended(): void {
    this.home?.ended(this);
  }

  /** The server has ended the session, or refused its token before its expiry (37396). */
  becameUnusable(reason: EvictionReason): void {
    this.home?.becameUnusable(this, reason);
  }

  keepsReadOnly(): boolean {
    return this.home?.keepsReadOnly === true;
  }

  wasReset(withOwnRequest: boolean): void {
    this.home?.wasReset(this, withOwnRequest);
  }

  /** The session of a connection that has logged in. */
  get live(): Session {
    if (this.session === undefined) throw new Error('This connection has not logged in yet.');
    return this.session;
  }

  get connection(): Connection {
    return this.live.connection;
  }

  /** Opened and waiting until the connection that it replaces is returned. It does not count against `max`. */
  get standsBy(): boolean {
    return this.reserved && this.successorOf !== undefined;
  }

  /** Idle, but being checked for a caller. */
  get isChecked(): boolean {
    return this.reserved && this.successorOf === undefined && !this.awaitsSuccessor;
  }

  /** An idle connection must not keep the process alive (P6), a borrowed one must. */
  holdProcess(hold: boolean): void {
    this.holdsProcess = hold;
    const { socket } = this.connection as unknown as { socket?: Socket };
    if (hold) socket?.ref();
    else socket?.unref();
  }
}

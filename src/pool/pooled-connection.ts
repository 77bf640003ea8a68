import type { Socket } from 'node:net';
import type { Connection } from 'tedious';
import type { Session } from '../connections/session.js';
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
function isTransition(from: ConnectionState, to: ConnectionState): boolean {
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

/** One physical connection of a pool, from its dial until its socket is gone. */
export class PooledConnection {
  /** Changed by {@link PooledConnections.move} only. */
  state: ConnectionState = 'connecting';
  /** Undefined while connecting. */
  session: Session | undefined;
  /** Why the dial failed. */
  failure: Error | undefined;
  /**
   * Monotonic ms of the latest return, of the dial's start while it connects; a successor goes on with the time of the
   * connection that it replaces.
   */
  lastUsedAt = performance.now();
  caller: Waiter | undefined;
  /** Set while it connects, and while it waits for the return of the connection that it replaces. */
  successorOf: PooledConnection | undefined;
  /** Its successor, connecting or standing by. */
  successor: PooledConnection | undefined;
  /** Idle, but not to be handed out now: it is being checked, stands by, or waits for its successor. */
  reserved = false;
  /** `validateConnection: true` or `pool.validate` asks whether it works, for a caller. */
  isTested = false;
  /** It became due for renewal while it was borrowed. */
  dueOnReturn = false;
  /** It was due when it was returned, but no successor could be opened, or its successor went to another connection. */
  missedRenewal = false;
  checkouts = 0;
  /** Handed over to a waiting caller that has not run yet. */
  inTransit = false;
  /** Whether its socket keeps the process alive. */
  holdsProcess = true;
  /** It is past its limits, and a caller waits for its successor, which is being opened. */
  awaitsSuccessor = false;
  /** It has a permit of the shared limit. */
  hasPermit = false;
  /** Its socket is gone. */
  isGone = false;

  constructor({ caller, successorOf }: Purpose) {
    this.caller = caller;
    this.successorOf = successorOf;
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

let auditing = false;

/** Compares the counters with the states at each transition. For tests and the simulation. @internal */
export function auditTransitions(on: boolean): void {
  auditing = on;
}

/** All connections of one pool, with a count for each state. */
export class PooledConnections implements Iterable<PooledConnection> {
  readonly #all = new Set<PooledConnection>();
  readonly count: Record<ConnectionState, number> = { connecting: 0, idle: 0, borrowed: 0, closed: 0 };

  add(pooled: PooledConnection): void {
    this.#all.add(pooled);
    this.#add(pooled.state, 1);
  }

  #add(state: ConnectionState, difference: 1 | -1): void {
    const { count } = this;
    if (state === 'idle') count.idle += difference;
    else if (state === 'borrowed') count.borrowed += difference;
    else count[state] += difference;
  }

  /** The only way to change a state. @throws Error for an illegal transition */
  move(pooled: PooledConnection, to: ConnectionState): void {
    const from = pooled.state;
    if (!isTransition(from, to)) throw new Error(`A connection cannot go from '${from}' to '${to}'.`);
    pooled.state = to;
    this.#add(from, -1);
    this.#add(to, 1);
    if (to === 'closed') this.#all.delete(pooled);
    if (auditing) this.#audit();
  }

  /** Borrowed, or under test for a caller and therefore not available either, as in mssql. */
  get inUse(): number {
    let tested = 0;
    for (const { isTested } of this.#all) if (isTested) tested += 1;
    return this.count.borrowed + tested;
  }

  get isEmpty(): boolean {
    return this.#all.size === 0;
  }

  [Symbol.iterator](): Iterator<PooledConnection> {
    return this.#all.values();
  }

  #audit(): void {
    const counted = { connecting: 0, idle: 0, borrowed: 0 };
    for (const { state } of this.#all) {
      if (state === 'closed') throw new Error('A closed connection is still in the pool.');
      counted[state] += 1;
    }
    for (const state of ['connecting', 'idle', 'borrowed'] as const) {
      if (counted[state] === this.count[state]) continue;
      throw new Error(`The pool counts ${this.count[state]} ${state}, but ${counted[state]} are.`);
    }
  }
}

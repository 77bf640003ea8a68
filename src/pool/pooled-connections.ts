import { type ConnectionState, isTransition, type PooledConnection } from './pooled-connection.js';

let auditing = false;

/** Compares the counters with the states at each transition. For tests and the simulation. @internal */
export function auditTransitions(on: boolean): void {
  auditing = on;
}

/** All connections of one pool, with a count for each state. */
export class PooledConnections implements Iterable<PooledConnection> {
  /** A linked list: a set would take 150 bytes in a pool with a single connection. */
  #first: PooledConnection | undefined;
  connecting = 0;
  idle = 0;
  borrowed = 0;

  add(pooled: PooledConnection): void {
    pooled.next = this.#first;
    if (this.#first !== undefined) this.#first.previous = pooled;
    this.#first = pooled;
    this.#count(pooled.state, 1);
  }

  #remove(pooled: PooledConnection): void {
    const { previous, next } = pooled;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next !== undefined) next.previous = previous;
    // If the application keeps a closed connection, its neighbours must not stay in memory with it.
    pooled.previous = undefined;
    pooled.next = undefined;
  }

  #count(state: ConnectionState, difference: 1 | -1): void {
    if (state === 'idle') this.idle += difference;
    else if (state === 'borrowed') this.borrowed += difference;
    else if (state === 'connecting') this.connecting += difference;
  }

  /** The only way to change a state. @throws Error for an illegal transition */
  move(pooled: PooledConnection, to: ConnectionState): void {
    const from = pooled.state;
    if (!isTransition(from, to)) throw new Error(`A connection cannot go from '${from}' to '${to}'.`);
    pooled.state = to;
    this.#count(from, -1);
    this.#count(to, 1);
    if (to === 'closed') this.#remove(pooled);
    if (auditing) this.#audit();
  }

  /** Borrowed, or under test for a caller and therefore not available either, as in mssql. */
  get inUse(): number {
    let { borrowed } = this;
    for (let pooled = this.#first; pooled !== undefined; pooled = pooled.next) if (pooled.isTested) borrowed += 1;
    return borrowed;
  }

  get isEmpty(): boolean {
    return this.#first === undefined;
  }

  /** The connections at this moment, oldest first; connections may be opened and closed during the iteration. */
  [Symbol.iterator](): Iterator<PooledConnection> {
    const all: PooledConnection[] = [];
    for (let pooled = this.#first; pooled !== undefined; pooled = pooled.next) all.push(pooled);
    return all.reverse().values();
  }

  #audit(): void {
    const counted = { connecting: 0, idle: 0, borrowed: 0 };
    for (const { state } of this) {
      if (state === 'closed') throw new Error('A closed connection is still in the pool.');
      counted[state] += 1;
    }
    for (const state of ['connecting', 'idle', 'borrowed'] as const) {
      if (counted[state] === this[state]) continue;
      throw new Error(`The pool counts ${this[state]} ${state}, but ${counted[state]} are.`);
    }
  }
}

import { type EvictionReason, publish } from '../channels.js';
import { ReadOnlyPause } from '../connections/read-only-pause.js';
import type { Session } from '../connections/session.js';
import type { PooledConnection } from './pooled-connection.js';

/** Connections that break within this time have met one event. */
const BURST_MS = 1_000;
/** How many make a burst: two, and at least this share of all. */
const FEWEST = 2;
const SHARE = 0.1;
/** For so long after a failover the new primary may still refuse logins. */
const AFTERMATH_MS = 60_000;

export type FailoverSign = 'broken-connections' | 'read-only';

/** What it needs of a pool's connections. */
interface WatchedConnections {
  readonly size: number;
  /** Those that are open. Returns how many. */
  evictWhere(applies: (pooled: PooledConnection) => boolean, reason: EvictionReason): number;
}

/**
 * Notices a failover by what it does to connections: several break at once, or sessions have become read-only because their
 * server is a secondary now. The siblings are then drained together, instead of costing a borrower an error each.
 */
export class FailoverWatch {
  readonly #connections: WatchedConnections;
  readonly #pool: { readonly name: string };
  /** Monotonic ms of the connections that broke lately. */
  #broken: number[] = [];
  #latest = Number.NEGATIVE_INFINITY;
  readonly #readOnly = new ReadOnlyPause();

  constructor(connections: WatchedConnections, pool: { readonly name: string }) {
    this.#connections = connections;
    this.#pool = pool;
  }

  /** True while logins may be refused only because the failover is not over. */
  get isRecent(): boolean {
    return performance.now() - this.#latest < AFTERMATH_MS;
  }

  /** The server or the network has ended a connection. */
  connectionBroke(): void {
    const now = performance.now();
    this.#broken = this.#broken.filter((at) => now - at < BURST_MS);
    this.#broken.push(now);
    const count = this.#broken.length;
    if (count < Math.max(FEWEST, SHARE * (this.#connections.size + count))) return;
    this.#broken = [];
    this.#failOver('broken-connections', now);
  }

  /** A session was refused a change because its database is read-only. */
  becameReadOnly(): void {
    if (this.#readOnly.isOn) return;
    this.#readOnly.begin();
    this.#failOver('read-only', performance.now());
  }

  /** Sessions opened since the last drain are read-only too: the database is, and it has not failed over. */
  get keepsReadOnly(): boolean {
    return this.#readOnly.isOn;
  }

  #failOver(sign: FailoverSign, now: number): void {
    this.#latest = now;
    const drained = this.#drain();
    publish('pool:failover', () => ({ pool: this.#pool.name, sign, drained }));
  }

  /** Evicts what is open. What is being opened goes to where the server's name leads now. */
  #drain(): number {
    const isOpen = ({ isGone, live }: PooledConnection): boolean => !isGone && live.expiry.unusable === undefined;
    return this.#connections.evictWhere(isOpen, 'failover');
  }
}

/** Calls `fn` where the server or the network has ended a connection, and not the application. */
export function whenBroken({ connection, expiry }: Session, fn: () => void): void {
  const look = (): void => {
    if (expiry.unusable === undefined && (connection as { hasError?: boolean }).hasError === true) fn();
  };
  // tedious reports the error after the end of the socket, and both after the callback of the request.
  process.nextTick(() => process.nextTick(look));
}

import { type EvictionReason, publish } from '../channels.js';
import { ReadOnlyPause } from '../connections/read-only-pause.js';
import type { Session } from '../connections/session.js';
import type { PooledConnection } from './pooled-connection.js';

/** Connections that break within this time broke for the same reason. */
const BURST_MS = 1_000;
/** How many make a burst: two, and at least this share of all. */
const FEWEST = 2;
const SHARE = 0.1;
/** For this long after a failover, the new primary may still refuse logins. */
const AFTERMATH_MS = 60_000;

export type FailoverSign = 'broken-connections' | 'read-only';

/** The part of a pool's connections that is used here. */
interface WatchedConnections {
  readonly size: number;
  /** Those that are open. Returns how many. */
  evictWhere(applies: (pooled: PooledConnection) => boolean, reason: EvictionReason): number;
}

/**
 * Detects a failover by what it does to connections: several break at once, or sessions have become read-only because their
 * server is a secondary now. The other connections are then drained together, so that they do not cost a borrower an error each.
 */
export class FailoverWatch {
  readonly #connections: WatchedConnections;
  readonly #pool: { readonly name: string };
  /** When connections broke recently, monotonic ms. */
  #broken: number[] = [];
  #latest = Number.NEGATIVE_INFINITY;
  readonly #readOnly = new ReadOnlyPause();

  constructor(connections: WatchedConnections, pool: { readonly name: string }) {
    this.#connections = connections;
    this.#pool = pool;
  }

  /** True while logins may be refused because the failover is not over. */
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

  /** Evicts what is open. Connections that are being opened already go to the server that its name resolves to now. */
  #drain(): number {
    const isOpen = ({ isGone, live }: PooledConnection): boolean => !isGone && live.expiry.unusable === undefined;
    return this.#connections.evictWhere(isOpen, 'failover');
  }
}

/** Calls `fn` if the server or the network has ended a connection, as opposed to the application. */
export function whenBroken(session: Session, fn: () => void): void {
  const { connection, expiry } = session;
  const look = (): void => {
    const hasFailed = expiry.unusable === undefined && (connection as { hasError?: boolean }).hasError === true;
    if (hasFailed || session.wasEndedByServer) fn();
  };
  // tedious reports the error after the end of the socket, and both after the callback of the request.
  process.nextTick(() => process.nextTick(look));
}

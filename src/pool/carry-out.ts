import type { EvictionReason } from '../channels.js';
import type { Plan } from './housekeeping.js';
import type { PooledConnection } from './pooled-connection.js';

/** The part of a pool's connections that is used here. */
export interface Planned {
  /** Connections that count against `max`. */
  readonly size: number;
  /** Connections being opened for callers or for `min`. */
  readonly dials: { readonly size: number };
  close(pooled: PooledConnection, reason: EvictionReason): void;
  renew(pooled: PooledConnection): void;
  open(purpose: object): void;
}

/**
 * Carries out what housekeeping has planned. Listeners to the events of one step may borrow, return or close any
 * connection, or suspend or close the pool, so each step checks again what it is about to change.
 *
 * @param mayOpen false once the pool is suspended or closed
 */
export function carryOut(
  { evict, unref, dueOnReturn, renew, open }: Plan<PooledConnection>,
  connections: Planned,
  min: number,
  mayOpen: () => boolean,
): void {
  for (const { connection, reason } of evict) {
    if (isUnused(connection) && (reason !== 'idle' || connections.size > min)) connections.close(connection, reason);
  }
  for (const connection of unref) if (connection.state === 'idle') connection.holdProcess(false);
  for (const connection of dueOnReturn) if (connection.state === 'borrowed') connection.dueOnReturn = true;
  for (const connection of renew) {
    if (connection.successor !== undefined || !mayOpen()) continue;
    if (isUnused(connection) || (connection.state === 'borrowed' && connection.missedRenewal)) {
      connections.renew(connection);
    } else if (connection.state === 'borrowed') connection.dueOnReturn = true;
  }
  for (let i = 0; i < open && mayOpen() && connections.size + connections.dials.size < min; i += 1) {
    connections.open({});
  }
}

/** Idle or standing by, and not being tested for a caller. */
function isUnused({ state, isChecked }: PooledConnection): boolean {
  return state === 'idle' && !isChecked;
}

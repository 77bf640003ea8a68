import { mayReset } from '../connections/expiry-policy.js';
import { isOpen, isReady } from '../connections/session.js';
import type { ResetNeed } from '../connections/session-reset.js';
import type { OpenConnections } from './open-connections.js';
import type { PooledConnection } from './pooled-connection.js';

/** From now on, its requests are those of a borrower. */
export function checkedOut({ live: { reset } }: PooledConnection): void {
  if (reset !== undefined) reset.inUse = true;
}

/** Notes that the connection was returned, and what its next borrower needs. Until then, a request on it is a misuse. */
export function checkedIn({ live: { connection, reset } }: PooledConnection): ResetNeed {
  if (reset === undefined) return 'none';
  reset.inUse = false;
  return reset.returned(connection);
}

/**
 * Resets a connection that has just been returned with a separate request, because the flag on the next request is not enough.
 * In the meantime the connection is not handed out, and a failure never reaches the next borrower. Afterwards it is ready, or closed.
 */
export async function resetOnReturn(connections: OpenConnections, pooled: PooledConnection): Promise<void> {
  const { connection, expiry, reset } = pooled.live;
  connections.move(pooled, 'idle');
  if (!mayReset(expiry, expiry.now())) {
    if (!connections.replaceWithStandby(pooled)) connections.expire(pooled);
    return;
  }
  pooled.reserved = true;
  // As at any other return: a busy pool hands it out again as soon as it has been reset.
  if (pooled.dueOnReturn) connections.renewOnReturn(pooled);
  if (isClosed(pooled)) return;
  const isReset = (await reset?.run(connection)) === true;
  pooled.reserved = false;
  // The pool may have been closed meanwhile.
  if (isClosed(pooled)) return;
  if (isReset && isReady(connection) && expiry.unusable === undefined) connections.makeReady(pooled);
  else connections.close(pooled, expiry.unusable ?? (isOpen(connection) ? 'reset-failed' : 'broken'));
}

function isClosed({ state }: PooledConnection): boolean {
  return state === 'closed';
}

import { channelOf, publish } from '../channels.js';
import { notBorrowed } from './checkout.js';
import type { LeakDetection } from './leak-detection.js';
import type { PooledConnection } from './pooled-connection.js';

/** The event of each return, which must cost nothing without a listener. */
const checkins = channelOf('checkin');

/**
 * Notes that a borrower returns its connection. Returns undefined for one that was closed under its borrower: nothing is left to do.
 *
 * @throws NotBorrowedError
 */
export function noteReturn(
  pool: { readonly name: string },
  pooled: PooledConnection | undefined,
  leaks: LeakDetection | undefined,
): PooledConnection | undefined {
  if (pooled === undefined || pooled.inTransit || (pooled.state !== 'borrowed' && !pooled.isOwed)) throw notBorrowed();
  const { checkouts } = pooled;
  if (leaks !== undefined) leaks.returned(pooled);
  if (pooled.isOwed) {
    pooled.isOwed = false;
    return undefined;
  }
  if (checkins.hasSubscribers) publish('checkin', () => ({ pool: pool.name, connection: pooled.live.id }));
  // A listener may have returned it.
  if (pooled.state !== 'borrowed' || pooled.checkouts !== checkouts) throw notBorrowed();
  return pooled;
}

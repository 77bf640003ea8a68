import type { EvictionReason } from '../channels.js';
import type { Session } from '../connections/session.js';

/**
 * One of the pool's `max` places. generic-pool hands out places; a place holds one physical connection, which can be
 * replaced by another while the place stays (renewal), or taken away (eviction). An empty place is dropped by whoever gets
 * it next.
 */
export class Place {
  session: Session | undefined;
  /** Why opening a connection for it failed. A waiter gets it as the real cause. */
  failure: Error | undefined;
  borrowed = false;
  /** Epoch ms of the latest return, or of the opening. */
  idleSince = Date.now();
  /** A newer connection, ready to take over when the old one comes back. */
  replacement: Session | undefined;
  /** A connection is being opened for it; resolves when that has ended, well or not. */
  opening: Promise<void> | undefined;
  /** Its time for renewal came while it was on loan. */
  renewWhenBack = false;
  /** Set when its connection must not be handed out again, and why. */
  doomed: EvictionReason | undefined;
  /** Epoch ms from which a checkout must look closer: token margin or age. */
  lookAt = Number.POSITIVE_INFINITY;
  /** Epoch ms from which a replacement should be opened. */
  renewAt = Number.POSITIVE_INFINITY;
  /** Epoch ms from which it is too old. */
  retireAt = Number.POSITIVE_INFINITY;
  /** Its socket does not keep the process alive, until the next checkout. */
  resting = false;
  /** The pool has dropped it. */
  gone = false;
  /** Epoch ms at which upkeep looks at it next; an entry of another time in its queue is outdated. */
  dueAt = Number.POSITIVE_INFINITY;

  /** Puts a connection into the place and sets its times; returns the one that was there. */
  fill(session: Session, maxAgeMillis: number): Session | undefined {
    const previous = this.session;
    const { token, openedAt } = session;
    this.session = session;
    this.failure = undefined;
    this.doomed = undefined;
    this.resting = false;
    this.replacement = undefined;
    this.renewWhenBack = false;
    // Up to 10 % earlier, so that connections opened together are not re-opened together (P11).
    this.retireAt = maxAgeMillis > 0 ? openedAt + maxAgeMillis * (1 - Math.random() / 10) : Number.POSITIVE_INFINITY;
    this.renewAt = Math.min(this.retireAt, token === undefined ? Number.POSITIVE_INFINITY : spread(openedAt, token));
    this.lookAt = Math.min(this.retireAt, token?.evictAt ?? Number.POSITIVE_INFINITY);
    return previous;
  }

  /** Takes the connection out. */
  vacate(): Session | undefined {
    const { session } = this;
    this.session = undefined;
    this.doomed = undefined;
    this.resting = false;
    this.lookAt = this.renewAt = this.retireAt = Number.POSITIVE_INFINITY;
    return session;
  }
}

/** A random instant between refresh and eviction margin, not quite at either end (P11). */
function spread(openedAt: number, token: { refreshOn: number; evictAt: number }): number {
  const from = Math.max(token.refreshOn, openedAt);
  const window = Math.max(0, token.evictAt - from);
  return from + window * (0.1 + 0.8 * Math.random());
}

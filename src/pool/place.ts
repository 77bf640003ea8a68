import type { EvictionReason } from '../channels.js';
import type { Session } from '../connections/session.js';

const NEVER = Number.POSITIVE_INFINITY;
/** A waiter meets a failure in the same turn of the event loop; where none did, it is soon old news, ms. */
const FAILURE_IS_NEWS_MS = 1_000;

/**
 * One of the pool's `max` places. generic-pool hands out places; a place holds one physical connection, which can be
 * replaced by another while the place stays (renewal), or taken away (eviction). An empty place is dropped by whoever gets
 * it next.
 */
export class Place {
  session: Session | undefined;
  #failure: { error: Error; at: number } | undefined;
  /** generic-pool has handed it out: to a caller, or to us who look whether it is good. */
  borrowed = false;
  /** A caller has its connection. */
  isLent = false;
  /** Monotonic ms of the latest return, or of the opening. */
  idleSince = performance.now();
  /** A newer connection, ready to take over when the old one comes back. */
  replacement: Session | undefined;
  /** A connection is being opened for it; resolves when that has ended, well or not. */
  opening: Promise<void> | undefined;
  /** Its time for renewal came while it was on loan. */
  renewWhenBack = false;
  /** Its time for renewal has come, but there is no later token yet. */
  waitsForToken = false;
  /** Set when its connection must not be handed out again, and why. */
  doomed: EvictionReason | undefined;
  /** Epoch ms from which a checkout must look closer: token margin or age. */
  lookAt = NEVER;
  /** Epoch ms from which a replacement should be opened. */
  renewAt = NEVER;
  /** Epoch ms from which its age is a reason to replace it. */
  ripeAt = NEVER;
  /** Epoch ms from which it is too old. */
  retireAt = NEVER;
  /** Its socket does not keep the process alive, until the next checkout. */
  resting = false;
  /** The pool has dropped it. */
  gone = false;
  /** Monotonic ms at which upkeep looks at it next; an entry of another time in its queue is outdated. */
  dueAt = NEVER;

  /** Puts a connection into the place and sets its times; returns the one that was there. */
  fill(session: Session, maxAgeMillis: number): Session | undefined {
    const previous = this.session;
    const { token, openedAt } = session;
    this.session = session;
    this.idleSince = performance.now();
    this.#failure = undefined;
    this.doomed = undefined;
    this.resting = false;
    this.replacement = undefined;
    this.renewWhenBack = false;
    this.waitsForToken = false;
    this.retireAt = maxAgeMillis > 0 ? openedAt + maxAgeMillis : NEVER;
    // Up to 10 % earlier, so that connections opened together are not re-opened together (P11).
    const agedAt = openedAt + maxAgeMillis * (0.9 + 0.1 * Math.random());
    this.renewAt = Math.min(maxAgeMillis > 0 ? agedAt : NEVER, token === undefined ? NEVER : spread(openedAt, token));
    this.ripeAt = maxAgeMillis > 0 ? agedAt : NEVER;
    this.lookAt = Math.min(this.retireAt, token?.evictAt ?? NEVER);
    return previous;
  }

  /** Takes the connection of another place, with all that is known about it; that place is empty then. */
  takeFrom(other: Place): void {
    const { session, idleSince, waitsForToken, doomed, lookAt, renewAt, ripeAt, retireAt, resting } = other;
    Object.assign(this, { session, idleSince, waitsForToken, doomed, lookAt, renewAt, ripeAt, retireAt, resting });
    this.#failure = undefined;
    other.vacate();
  }

  /** Why opening a connection for it failed, for the waiter who gets it, not for somebody who comes later. */
  get failure(): Error | undefined {
    const failure = this.#failure;
    return failure !== undefined && performance.now() - failure.at < FAILURE_IS_NEWS_MS ? failure.error : undefined;
  }

  set failure(error: Error) {
    this.#failure = { error, at: performance.now() };
  }

  /** Its age is a reason to replace it. */
  get isRipe(): boolean {
    return Date.now() >= this.ripeAt;
  }

  get isTooOld(): boolean {
    return Date.now() >= this.retireAt;
  }

  /** A later token has come at last: not all that waited for it are renewed at once (P11). */
  spreadAgain(): void {
    if (!this.waitsForToken || this.session?.token === undefined) return;
    this.waitsForToken = false;
    const now = Date.now();
    this.renewAt = now + Math.max(0, this.session.token.evictAt - now) * 0.8 * Math.random();
  }

  /** Takes the connection out. */
  vacate(): Session | undefined {
    const { session } = this;
    this.session = undefined;
    this.doomed = undefined;
    this.resting = false;
    this.renewWhenBack = false;
    this.lookAt = this.renewAt = this.ripeAt = this.retireAt = NEVER;
    return session;
  }
}

/** A random instant between refresh and eviction margin, not quite at either end (P11). */
function spread(openedAt: number, token: { refreshOn: number; evictAt: number }): number {
  const from = Math.max(token.refreshOn, openedAt);
  const window = Math.max(0, token.evictAt - from);
  return from + window * (0.1 + 0.8 * Math.random());
}

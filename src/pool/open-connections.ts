import type { Connection } from 'tedious';
import { type EvictionReason, publish } from '../channels.js';
import { evictionReason } from '../connections/expiry-policy.js';
import { type Session, sessionOf } from '../connections/session.js';
import type { CachedToken } from '../tokens/cached-token.js';
import { Dials } from './dials.js';
import { isEarlyEnd, whyEndedEarly } from './early-end.js';
import { FailoverWatch, whenBroken } from './failover.js';
import { renewalSlots } from './housekeeping.js';
import { Keepalive } from './keepalive.js';
import type { PooledConnection } from './pooled-connection.js';
import { ReadyList } from './ready-list.js';

/** A failover may take two attempts. Sessions that end right after their login more often than that are not taken for one. */
const MOST_FAILOVERS = 2;
const NEVER = Number.POSITIVE_INFINITY;
const NO_EVICTIONS: Readonly<Partial<Record<EvictionReason, number>>> = {};

/**
 * Replaces and closes the physical connections of one pool; the pool decides who gets them. In the order of events: taking
 * over, ready, closing, and messages from the server. How they are opened is in dials.ts.
 */
export class OpenConnections extends Dials {
  readonly ready = new ReadyList();
  /** Connections closed, by reason. */
  evictions = NO_EVICTIONS;
  renewals = 0;
  /** Undefined while it is off. */
  readonly #keepalive =
    this.settings.pool.keepaliveMillis > 0 ? new Keepalive(this, this.pool, this.settings) : undefined;
  /** Undefined until a connection breaks. */
  #failover: FailoverWatch | undefined;

  /** A caller has to wait until a connection is returned. */
  get areAllBorrowed(): boolean {
    return this.ready.isEmpty && this.dials.size === 0 && !this.mayOpen;
  }

  of(connection: Connection): PooledConnection | undefined {
    const pooled = sessionOf(connection)?.owner as PooledConnection | undefined;
    return pooled?.home === this ? pooled : undefined;
  }

  // ---- logged in ----

  protected opened(pooled: PooledConnection, forCaller: boolean): void {
    const { session, successorOf } = pooled;
    const { connection, reset } = session as Session;
    pooled.live.owner = pooled;
    // One function for all connections: a closure for each would stay in memory for as long as the connection.
    connection.on('end', noteEnd);
    if (reset !== undefined) reset.onReset = noteReset;
    if (this.isClosed) this.close(pooled, 'pool-closed');
    else if (successorOf !== undefined) this.#succeed(successorOf, pooled);
    else if (forCaller || this.#isNeeded()) this.makeReady(pooled);
    else this.close(pooled, 'unneeded');
    // It may have been cut since its login.
    if (connection.closed) this.ended(pooled);
  }

  /** A connection for a caller that has left is kept for the next one; the successor of a closed connection is not. */
  #isNeeded(): boolean {
    return this.hasWaiters || this.size <= this.settings.pool.min;
  }

  protected successorFailed(pooled: PooledConnection): void {
    pooled.successor = undefined;
    // A caller may have waited for it to take over.
    if (pooled.awaitsSuccessor) this.makeReady(pooled);
  }

  // ---- taking over ----

  /** Opens the successor of a connection, unless one that is open can be taken from another. */
  renew(pooled: PooledConnection): void {
    pooled.dueOnReturn = false;
    pooled.missedRenewal = false;
    // A borrowed connection cannot be replaced now (P8).
    if (pooled.state !== 'idle' || !this.replaceWithStandby(pooled)) this.open({ successorOf: pooled });
  }

  /**
   * Starts at once, because a connection that is never idle for long would otherwise get no successor. False if the successor has
   * to wait.
   */
  renewOnReturn(pooled: PooledConnection): boolean {
    pooled.dueOnReturn = false;
    pooled.missedRenewal = renewalSlots(this.instant(), this.settings.pool.maxRenewals) <= 0;
    if (!pooled.missedRenewal) this.renew(pooled);
    return !pooled.missedRenewal;
  }

  /** Replaces an unused connection by a successor that stands by, its own or another's; false if there is none. */
  replaceWithStandby(pooled: PooledConnection): boolean {
    const standby = pooled.successor?.standsBy === true ? pooled.successor : this.#findStandby();
    if (standby === undefined) return false;
    if (standby !== pooled.successor) this.#detach(standby);
    this.takeOver(pooled, standby);
    return true;
  }

  /** A successor is used elsewhere; its original connection needs another one, possibly before it is returned. */
  #detach({ successorOf }: PooledConnection): void {
    if (successorOf === undefined) return;
    successorOf.successor = undefined;
    successorOf.missedRenewal = true;
  }

  /** A successor is open: it takes over at once, or when the connection that it replaces is returned. */
  #succeed(old: PooledConnection, successor: PooledConnection): void {
    if (old.state === 'borrowed' || old.isChecked) {
      successor.reserved = true;
      this.standingBy += 1;
    } else this.takeOver(old, successor);
  }

  takeOver(old: PooledConnection, successor: PooledConnection): void {
    if (successor.reserved) this.standingBy -= 1;
    old.successor = undefined;
    successor.successorOf = undefined;
    successor.reserved = false;
    successor.lastUsedAt = old.state === 'borrowed' ? performance.now() : old.lastUsedAt;
    if (this.ready.has(old)) this.ready.replace(old, successor);
    else this.ready.push(successor);
    this.renewals += 1;
    publish('connection:renewed', () => ({
      pool: this.pool.name,
      connection: successor.live.id,
      replaced: old.live.id,
      tokenExpiresOn: successor.live.token?.expiresOn,
    }));
    // A listener may have evicted it.
    if (old.state !== 'closed') this.close(old, 'renewed');
  }

  /** A borrowed connection that is never returned must not reserve a second one while a caller waits. */
  takeStandby(): PooledConnection | undefined {
    const standby = this.#findStandby();
    if (standby === undefined || !(this.mayOpen || this.withdrawDial())) return undefined;
    this.#detach(standby);
    this.#becomeOrdinary(standby);
    return standby;
  }

  #becomeOrdinary(standby: PooledConnection): void {
    standby.successorOf = undefined;
    standby.reserved = false;
    this.standingBy -= 1;
  }

  #findStandby(): PooledConnection | undefined {
    if (this.standingBy > 0) for (const pooled of this) if (pooled.standsBy) return pooled;
    return undefined;
  }

  /** Into the ready list, unless a successor stands by for it. */
  makeReady(pooled: PooledConnection): void {
    pooled.reserved = false;
    pooled.awaitsSuccessor = false;
    const { successor } = pooled;
    if (successor?.standsBy === true) this.takeOver(pooled, successor);
    else this.ready.push(pooled);
  }

  // ---- closing ----

  close(pooled: PooledConnection, reason: EvictionReason): void {
    const { id, connection, expiry } = pooled.live;
    const { successorOf } = pooled;
    if (pooled.state === 'idle') this.ready.remove(pooled);
    // It was returned in the callback of its last request, before tedious has reported the end.
    if (pooled.state === 'borrowed' && !pooled.isGone && (connection.closed || pooled.live.wasEndedByServer)) {
      this.#broke(pooled);
    }
    if (reason === 'broken' && pooled.checkouts === 0 && isEarlyEnd(pooled)) this.#countEarlyEnd(pooled);
    if (pooled.standsBy && successorOf !== undefined) {
      this.standingBy -= 1;
      successorOf.successor = undefined;
      pooled.successorOf = undefined;
    }
    this.move(pooled, 'closed');
    this.evictions = { ...this.evictions, [reason]: (this.evictions[reason] ?? 0) + 1 };
    publish('connection:evicted', () => ({
      pool: this.pool.name,
      connection: id,
      reason,
      ageMs: Date.now() - expiry.openedAt,
    }));
    try {
      connection.close();
    } finally {
      // The callback of a request in progress has run, and may have thrown.
      this.#endSuccession(pooled, reason);
    }
  }

  #endSuccession({ successor }: PooledConnection, reason: EvictionReason): void {
    // A listener may have borrowed it.
    if (successor?.standsBy === true) {
      // It is open already: the next caller gets it.
      this.#becomeOrdinary(successor);
      if (this.isClosed) this.close(successor, reason);
      else this.ready.push(successor);
    } else if (successor !== undefined) {
      // Its successor becomes an ordinary dial.
      successor.successorOf = undefined;
      this.renewing -= 1;
      this.dialFor(successor, undefined);
    }
  }

  /** Closes a connection that is past its limits. */
  expire(pooled: PooledConnection): void {
    const { expiry } = pooled.live;
    this.close(pooled, evictionReason(expiry, expiry.now()));
  }

  /** An idle connection is closed now, any other when it is returned (P8). */
  evict(pooled: PooledConnection, reason: EvictionReason): void {
    pooled.live.expiry.unusable ??= reason;
    if (pooled.state === 'idle' && !pooled.isChecked) this.close(pooled, reason);
  }

  /** All are marked before the first is closed, because a listener of that event may borrow another. Returns how many. */
  evictWhere(applies: (pooled: PooledConnection) => boolean, reason: EvictionReason): number {
    const evicted = [...this].filter((pooled) => pooled.session !== undefined && applies(pooled));
    for (const { live } of evicted) live.expiry.unusable ??= reason;
    for (const pooled of evicted) this.evict(pooled, reason);
    return evicted.length;
  }

  /** From now on, no existing connection is handed out, including those being opened. */
  evictAll(reason: EvictionReason): void {
    this.beginGeneration((session) => {
      session.expiry.unusable ??= reason;
    });
    this.evictWhere(() => true, reason);
  }

  /** All existing connections are replaced as in a renewal; dials in progress start again. */
  supersedeAll(): void {
    this.beginGeneration(({ expiry }) => expiry.supersede());
  }

  /** Closes the connection that has been idle for longest; false if none is idle. */
  closeIdle(): boolean {
    let longest: PooledConnection | undefined;
    for (const each of this.ready) if (each.lastUsedAt < (longest?.lastUsedAt ?? NEVER)) longest = each;
    if (longest !== undefined) this.close(longest, 'unneeded');
    return longest !== undefined;
  }

  closeAll(state: 'idle' | 'borrowed'): void {
    for (const pooled of this) {
      if (pooled.state !== state) continue;
      pooled.isOwed = state === 'borrowed';
      try {
        this.close(pooled, 'pool-closed');
      } catch (error) {
        // The callback of a request has thrown, which is an uncaught exception and no reason to leave the others open.
        process.nextTick(() => {
          throw error;
        });
      }
    }
  }

  /** Aborts all dials; resolves when all sockets are closed. */
  shutDown(reason: Error): Promise<void> {
    this.isClosed = true;
    this.dialer.close(reason);
    this.#keepalive?.stop();
    this.limit.close();
    this.closeAll('idle');
    return this.physical.drain();
  }

  // ---- what the server says ----

  /** A borrowed connection is kept until it is returned. */
  ended(pooled: PooledConnection): void {
    if (pooled.isGone) return;
    if (pooled.state !== 'closed') this.#broke(pooled);
    this.gone(pooled);
    if (pooled.state === 'idle' && !pooled.isChecked) this.close(pooled, 'broken');
    this.pool.changed();
  }

  #broke(pooled: PooledConnection): void {
    const { expiry, hasServed, wasEndedByServer } = pooled.live;
    // A session that the server has ended because of a request says nothing about the others.
    if (expiry.unusable !== undefined && !wasEndedByServer) return;
    const wasBorrowed = pooled.state === 'borrowed';
    const isEarly = isEarlyEnd(pooled) && !(wasBorrowed && hasServed);
    whenBroken(pooled.live, () => {
      if (isEarly && wasBorrowed) this.#countEarlyEnd(pooled);
      if (!isEarly || this.dialer.earlyEnds <= MOST_FAILOVERS) this.#failoverWatch.connectionBroke();
    });
  }

  #countEarlyEnd(pooled: PooledConnection): void {
    const { expiry } = pooled.live;
    const ageMs = expiry.now() - expiry.openedAt;
    this.endedEarly(whyEndedEarly(pooled, ageMs), ageMs);
  }

  becameUnusable(pooled: PooledConnection, reason: EvictionReason): void {
    if (pooled.state === 'closed') return;
    const { token } = pooled.live;
    if (reason === 'token-invalidated' && token !== undefined) {
      this.settings.source?.tokens.invalidate(token);
      this.tokenRefused(token);
    } else this.evict(pooled, reason);
    if (reason === 'read-only') this.#failoverWatch.becameReadOnly();
    this.pool.changed();
  }

  get #failoverWatch(): FailoverWatch {
    this.#failover ??= new FailoverWatch(this, this.pool);
    return this.#failover;
  }

  get keepsReadOnly(): boolean {
    return this.#failover?.keepsReadOnly ?? false;
  }

  get isFailingOver(): boolean {
    return this.#failover?.isRecent ?? false;
  }

  /** A token was refused before its expiry: sessions on it are no longer handed out. */
  tokenRefused(token: CachedToken): void {
    this.evictWhere(({ live }) => live.token?.id === token.id, 'token-invalidated');
  }
}

function noteEnd(this: Connection): void {
  sessionOf(this)?.owner?.ended();
}

function noteReset(this: Connection, withOwnRequest: boolean): void {
  sessionOf(this)?.owner?.wasReset(withOwnRequest);
}

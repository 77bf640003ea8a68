import type { Connection } from 'tedious';
import { type EvictionReason, publish } from '../channels.js';
import type { TediousModule } from '../connections/dial.js';
import { Dialer } from '../connections/dialer.js';
import { evictionReason } from '../connections/expiry-policy.js';
import type { Session } from '../connections/session.js';
import type { Settings } from '../connections/settings.js';
import type { CachedToken } from '../tokens/cached-token.js';
import type { ConnectionLimit } from './connection-limit.js';
import { createResourcePool, type ResourcePool } from './generic-pool.js';
import { type Instant, renewalSlots, retryPauseMs } from './housekeeping.js';
import type { LoginPacing } from './login-pacing.js';
import { notNeeded, PacedLogins } from './paced-logins.js';
import { PooledConnection, PooledConnections, type Purpose } from './pooled-connection.js';
import type { Waiter } from './wait-queue.js';

const NEVER = Number.POSITIVE_INFINITY;

export interface OpenConnectionsOptions {
  pool: string;
  settings: Settings;
  tedious: () => Promise<TediousModule>;
  limit: ConnectionLimit;
  /** Of many pools together. */
  pacing: LoginPacing | undefined;
  /** Whether callers wait for a connection. */
  hasWaiters: () => boolean;
  /** A connection is ready, has been closed, or could not be opened. */
  onChange: () => void;
  /** The connection for a caller could not be opened. */
  reject: (waiter: Waiter, error: Error) => void;
}

/**
 * Opens, replaces and closes the physical connections of one pool; the pool decides who gets them. In the order of
 * events: opening, taking over, ready, closing, and messages from the server.
 */
export class OpenConnections extends PooledConnections {
  /** Idle connections that can be handed out, last in, first out. */
  readonly ready: PooledConnection[] = [];
  /** Connections being opened for callers or for `min`; the others being opened are successors. */
  readonly dials = new Set<PooledConnection>();
  readonly dialer: Dialer;
  readonly evictions: Partial<Record<EvictionReason, number>> = {};
  logins = 0;
  failedLogins = 0;
  renewals = 0;
  renewing = 0;
  /** Until the pool is resumed, nothing is opened and no caller is rejected. */
  isSuspended = false;
  #lastFailure: Error | undefined;
  /** Consecutive failures of background attempts, and when the next one may start, monotonic ms. */
  #failures = 0;
  #retryAt = 0;
  readonly #options: OpenConnectionsOptions;
  readonly #physical: ResourcePool<PooledConnection>;
  readonly #byConnection = new Map<Connection, PooledConnection>();
  /** Connections for which generic-pool has yet to call `create`. */
  readonly #toDial: PooledConnection[] = [];
  /** Successors that are open and wait for the connection that they replace. */
  #standingBy = 0;
  readonly #pacedLogins: PacedLogins;
  #isClosed = false;
  readonly #onEnd: (this: Connection) => void;
  readonly #onUnusable: (this: Connection, reason: EvictionReason) => void;
  readonly #onReset: (this: Connection, roundTrip: boolean) => void;

  constructor(options: OpenConnectionsOptions) {
    super();
    const { pool, settings, tedious } = options;
    const { configuration, source, beforeConnect } = settings;
    const { max, overlap, maxAgeMillis, createTimeoutMillis, resetSession } = settings.pool;
    this.#options = options;
    this.dialer = new Dialer({
      pool,
      tedious,
      configuration,
      source,
      createTimeoutMs: createTimeoutMillis,
      maxAgeMillis,
      resets: resetSession === 'always',
      beforeConnect,
      onTokenRefused: (token) => this.#evictSessionsOf(token),
    });
    this.#pacedLogins = new PacedLogins(this.dialer, settings.pool.maxOpening, options.pacing);
    this.#physical = createResourcePool(() => this.#dial(), max + overlap);
    const self = this;
    // One function for all connections: a closure for each would be most of a connection's memory here.
    this.#onEnd = function () {
      self.#ended(this);
    };
    this.#onUnusable = function (reason) {
      self.#becameUnusable(this, reason);
    };
    this.#onReset = function (roundTrip) {
      publish('connection:reset', () => ({ pool, connection: self.of(this)?.live.id ?? 0, roundTrip }));
    };
  }

  /** Logins in progress; other dials wait for their turn or for a permit. */
  get opening(): number {
    return this.#pacedLogins.running;
  }

  /** Connections that count against `max`. */
  get size(): number {
    return this.count.idle + this.count.borrowed - this.#standingBy;
  }

  get mayOpen(): boolean {
    return this.size + this.dials.size < this.#options.settings.pool.max;
  }

  /** No successor can be opened in addition to the existing connections. */
  get isFull(): boolean {
    return this.#options.settings.pool.overlap === 0 && this.size >= this.#options.settings.pool.max;
  }

  /** How many more connections may be opened, including those that would stand by. */
  get free(): number {
    return this.#physical.max - this.#physical.size - this.#toDial.length + this.#standingBy;
  }

  /** The state that housekeeping plans from. */
  instant(): Instant {
    const monotonic = performance.now();
    const pausedUntil = this.isSuspended ? NEVER : Math.max(this.#retryAt, monotonic + this.dialer.pauseMs);
    const counts = { size: this.size, opening: this.dials.size, renewing: this.renewing, standingBy: this.#standingBy };
    return { wall: Date.now(), monotonic, ...counts, free: this.free, failing: this.#failures > 0, pausedUntil };
  }

  /** Nothing can be done for a caller until a connection is returned. */
  get areAllBorrowed(): boolean {
    return this.ready.length === 0 && this.dials.size === 0 && !this.mayOpen;
  }

  /** Why no connection could be opened, also while attempts continue. */
  get lastFailure(): Error | undefined {
    return this.dialer.lastFailure?.error ?? this.#lastFailure;
  }

  of(connection: Connection): PooledConnection | undefined {
    return this.#byConnection.get(connection);
  }

  // ---- opening ----

  /** Asks generic-pool for one more physical connection, unless a shared limit allows none now. */
  open(purpose: Purpose): void {
    const { caller, successorOf } = purpose;
    // A caller may wait for a permit; background work may not.
    const hasPermit = caller === undefined && this.#options.limit.tryTake();
    if (caller === undefined && !hasPermit) return;
    const pooled = new PooledConnection(purpose);
    pooled.hasPermit = hasPermit;
    this.add(pooled);
    if (successorOf !== undefined) {
      successorOf.successor = pooled;
      this.renewing += 1;
    } else this.dials.add(pooled);
    if (caller !== undefined) caller.dial = pooled;
    this.#toDial.push(pooled);
    void this.#physical.acquire().then((opened) => this.#dialed(opened));
  }

  /** The `create` of generic-pool: resolves with the outcome, good or failed. */
  async #dial(): Promise<PooledConnection> {
    const pooled = this.#toDial.shift();
    // Its dial was withdrawn.
    if (pooled === undefined) return new PooledConnection({});
    try {
      if (!pooled.hasPermit) await this.#options.limit.take();
      pooled.hasPermit = true;
      const isNeeded = (): boolean => pooled.caller?.settled !== true || this.#options.hasWaiters();
      await this.#pacedLogins.run(isNeeded, (session) => {
        pooled.session = session;
      });
    } catch (error) {
      pooled.failure = error as Error;
    }
    return pooled;
  }

  #dialed(pooled: PooledConnection): void {
    const { session, failure, successorOf } = pooled;
    if (session === undefined && failure === undefined) {
      void this.#physical.destroy(pooled);
      return;
    }
    if (successorOf === undefined) this.dials.delete(pooled);
    else this.renewing -= 1;
    if (session === undefined) this.#dialFailed(pooled, failure as Error);
    else {
      this.logins += 1;
      this.#lastFailure = undefined;
      this.forgetFailures();
      pooled.lastUsedAt = performance.now();
      this.move(pooled, 'idle');
      this.#byConnection.set(session.connection, pooled);
      session.connection.on('end', this.#onEnd);
      session.onUnusable = this.#onUnusable;
      if (session.reset !== undefined) session.reset.onReset = this.#onReset;
      if (this.#isClosed) this.close(pooled, 'pool-closed');
      else if (successorOf !== undefined) this.#succeed(successorOf, pooled);
      else if (this.#isNeeded(pooled)) this.makeReady(pooled);
      else this.close(pooled, 'unneeded');
      // It may have been cut since its login.
      if (session.connection.closed) this.#ended(session.connection);
    }
    // Its caller and their promise would stay in memory for as long as the connection.
    pooled.caller = undefined;
    this.#options.onChange();
  }

  /** A connection for a caller that has left is kept for the next one; the successor of a closed connection is not. */
  #isNeeded({ caller }: PooledConnection): boolean {
    return caller !== undefined || this.#options.hasWaiters() || this.size <= this.#options.settings.pool.min;
  }

  #dialFailed(pooled: PooledConnection, error: Error): void {
    const { caller, successorOf } = pooled;
    this.move(pooled, 'closed');
    this.#gone(pooled);
    if (this.#isClosed || error === notNeeded) return;
    this.failedLogins += 1;
    this.#lastFailure = error;
    if (caller === undefined) this.#backOff();
    else if (!this.isSuspended) this.#options.reject(caller, error);
    if (successorOf === undefined) return;
    successorOf.successor = undefined;
    // A caller may have waited for it to take over.
    if (successorOf.awaitsSuccessor) this.makeReady(successorOf);
  }

  /** Background attempts may start again at once. */
  forgetFailures(): void {
    this.#failures = 0;
    this.#retryAt = 0;
  }

  /** Dials that ran in parallel met the same failure: it counts once. */
  #backOff(): void {
    const now = performance.now();
    if (now < this.#retryAt) return;
    this.#failures += 1;
    this.#retryAt = now + retryPauseMs(this.#failures);
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
   * Starts at once, because a connection that is never idle for long would otherwise get no successor. False if it has
   * to wait.
   */
  renewOnReturn(pooled: PooledConnection): boolean {
    pooled.dueOnReturn = false;
    pooled.missedRenewal = renewalSlots(this.instant(), this.#options.settings.pool.maxRenewals) <= 0;
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
      this.#standingBy += 1;
    } else this.takeOver(old, successor);
  }

  takeOver(old: PooledConnection, successor: PooledConnection): void {
    if (successor.reserved) this.#standingBy -= 1;
    old.successor = undefined;
    successor.successorOf = undefined;
    successor.reserved = false;
    successor.lastUsedAt = old.state === 'borrowed' ? performance.now() : old.lastUsedAt;
    const position = this.ready.indexOf(old);
    if (position >= 0) this.ready[position] = successor;
    else this.ready.push(successor);
    this.renewals += 1;
    publish('connection:renewed', () => ({
      pool: this.#options.pool,
      connection: successor.live.id,
      replaced: old.live.id,
      tokenExpiresOn: successor.live.token?.expiresOn,
    }));
    this.close(old, 'renewed');
  }

  /** A borrowed connection that is never returned must not reserve a second one while a caller waits. */
  takeStandby(): PooledConnection | undefined {
    const standby = this.#findStandby();
    if (standby === undefined || !(this.mayOpen || this.#withdrawDial())) return undefined;
    this.#detach(standby);
    standby.successorOf = undefined;
    standby.reserved = false;
    this.#standingBy -= 1;
    return standby;
  }

  /** Withdraws a dial that has not started, because all permits are taken; false if there is none. */
  #withdrawDial(): boolean {
    const position = this.#toDial.findIndex(({ successorOf }) => successorOf === undefined);
    const [withdrawn] = position < 0 ? [] : this.#toDial.splice(position, 1);
    if (withdrawn === undefined) return false;
    this.dials.delete(withdrawn);
    this.move(withdrawn, 'closed');
    if (withdrawn.hasPermit) this.#options.limit.give();
    return true;
  }

  #findStandby(): PooledConnection | undefined {
    if (this.#standingBy > 0) for (const pooled of this) if (pooled.standsBy) return pooled;
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
    const { successor, successorOf } = pooled;
    const position = pooled.state === 'idle' ? this.ready.lastIndexOf(pooled) : -1;
    if (position >= 0) this.ready.splice(position, 1);
    if (pooled.standsBy && successorOf !== undefined) {
      this.#standingBy -= 1;
      successorOf.successor = undefined;
      pooled.successorOf = undefined;
    }
    this.move(pooled, 'closed');
    this.evictions[reason] = (this.evictions[reason] ?? 0) + 1;
    const { pool } = this.#options;
    publish('connection:evicted', () => ({ pool, connection: id, reason, ageMs: Date.now() - expiry.openedAt }));
    if (pooled.isGone) this.#byConnection.delete(connection);
    connection.close();
    if (successor?.standsBy === true) this.close(successor, reason);
    else if (successor !== undefined) {
      // Its successor becomes an ordinary dial.
      successor.successorOf = undefined;
      this.renewing -= 1;
      this.dials.add(successor);
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

  /** From now on no existing connection is handed out any more, including those being opened. */
  evictAll(reason: EvictionReason): void {
    this.#beginGeneration((session) => {
      session.expiry.unusable ??= reason;
    });
    for (const pooled of this) if (pooled.state !== 'connecting') this.evict(pooled, reason);
  }

  /** All existing connections are replaced as in a renewal; dials in progress start again. */
  supersedeAll(): void {
    this.#beginGeneration(({ expiry }) => expiry.supersede());
  }

  #beginGeneration(mark: (session: Session) => void): void {
    this.forgetFailures();
    this.#pacedLogins.beginAgain(mark);
    // A connection that has just logged in may not have been checked yet.
    for (const { session } of this) if (session !== undefined) mark(session);
  }

  /** Closes the connection that has been idle for longest; false if none is idle. */
  closeIdle(): boolean {
    let longest: PooledConnection | undefined;
    for (const each of this.ready) if (each.lastUsedAt < (longest?.lastUsedAt ?? NEVER)) longest = each;
    if (longest !== undefined) this.close(longest, 'unneeded');
    return longest !== undefined;
  }

  closeAll(state: 'idle' | 'borrowed'): void {
    for (const pooled of this) if (pooled.state === state) this.close(pooled, 'pool-closed');
  }

  /** Aborts all dials; resolves when all sockets are gone. */
  shutDown(reason: Error): Promise<void> {
    this.#isClosed = true;
    this.dialer.close(reason);
    this.#options.limit.close();
    this.closeAll('idle');
    return this.#physical.drain();
  }

  /** The socket of a connection is gone. */
  #gone(pooled: PooledConnection): void {
    pooled.isGone = true;
    if (pooled.hasPermit) this.#options.limit.give();
    void this.#physical.destroy(pooled);
  }

  // ---- what the server says ----

  /**
   * The socket of a connection is gone, whichever side closed it. A borrowed connection is kept until it is returned.
   */
  #ended(connection: Connection): void {
    const pooled = this.#byConnection.get(connection);
    if (pooled === undefined || pooled.isGone) return;
    this.#gone(pooled);
    if (pooled.state === 'closed') this.#byConnection.delete(connection);
    else if (pooled.state === 'idle' && !pooled.isChecked) this.close(pooled, 'broken');
    this.#options.onChange();
  }

  /** The server has ended the session, or refused its token before its expiry (37396). */
  #becameUnusable(connection: Connection, reason: EvictionReason): void {
    const pooled = this.#byConnection.get(connection);
    if (pooled === undefined || pooled.state === 'closed') return;
    const { token } = pooled.live;
    if (reason === 'token-invalidated' && token !== undefined) {
      this.#options.settings.source?.tokens.invalidate(token);
      this.#evictSessionsOf(token);
    } else this.evict(pooled, reason);
    this.#options.onChange();
  }

  /** A token was refused before its expiry. */
  #evictSessionsOf(token: CachedToken): void {
    for (const pooled of this) if (pooled.session?.token?.id === token.id) this.evict(pooled, 'token-invalidated');
  }
}

import type { Connection } from 'tedious';
import { type EvictionReason, publish } from '../channels.js';
import type { TediousModule } from '../connections/dial.js';
import { Dialer } from '../connections/dialer.js';
import { assess, assessPatiently, evictionReason, nowFor, type OutlookSource } from '../connections/expiry-policy.js';
import { isReady } from '../connections/session.js';
import type { Settings } from '../connections/settings.js';
import { outlookOf } from '../connections/token-outlook.js';
import { type AcquireTimeoutError, NotBorrowedError } from '../errors.js';
import { sleep } from '../time.js';
import type { CachedToken } from '../tokens/cached-token.js';
import { acquireTimedOut, tokenExpired, unavailableUntil } from './acquire-errors.js';
import { type ConnectionLimit, noFurtherLimit } from './connection-limit.js';
import type { AcquireOptions, TokenPoolStats } from './connection-source.js';
import { createResourcePool, type ResourcePool } from './generic-pool.js';
import { HOLDS_PROCESS_MS, type Instant, plan, renewalSlots, retryPauseMs } from './housekeeping.js';
import { PooledConnection, PooledConnections, type Purpose } from './pooled-connection.js';
import { selectOne } from './select-one.js';
import { aborted, poolClosed, type Waiter, WaitQueue } from './wait-queue.js';

/** How long `close` waits for borrowed connections by default, ms. */
const CLOSE_TIMEOUT_MS = 10_000;
const NEVER = Number.POSITIVE_INFINITY;

let pools = 0;

/**
 * A pool of tedious connections that are logged in with fresh tokens. This file is a pool's whole life, in the order in
 * which things happen: opening, checkout, return, eviction, housekeeping, close.
 *
 * A connection is in one of four states (pooled-connection.ts). Idle ones are in the ready list, last in, first out, unless
 * they are reserved. Callers for whom none is ready are in the wait queue. Whatever makes a connection ready or a permit
 * free ends in `#serve`, which brings the two together and opens what is missing.
 */
export class TokenPool {
  /** Names the pool in events: server, database, number. */
  readonly name: string;
  readonly #settings: Settings;
  readonly #loadTedious: () => Promise<TediousModule>;
  readonly #dialer: Dialer;
  readonly #tokens: OutlookSource;
  readonly #limit: ConnectionLimit;
  readonly #physical: ResourcePool<PooledConnection>;
  /** Connections for which generic-pool has not called `create` yet. */
  readonly #toDial: PooledConnection[] = [];
  readonly #connections = new PooledConnections();
  readonly #byConnection = new Map<Connection, PooledConnection>();
  readonly #ready: PooledConnection[] = [];
  readonly #waiters: WaitQueue<Connection>;
  readonly #testsConnections: boolean;
  /** Handed over to waiting callers who have not run since. */
  readonly #inTransit: PooledConnection[] = [];
  readonly #arrive: () => void;
  readonly #onEnd: (this: Connection) => void;
  readonly #onUnusable: (this: Connection, reason: EvictionReason) => void;
  /** Connections being opened for callers or for `min`; the others being opened are successors. */
  readonly #dials = new Set<PooledConnection>();
  #renewing = 0;
  /** Successors that are open and wait for the connection that they replace. */
  #standingBy = 0;
  #timer: NodeJS.Timeout | undefined;
  #planAt = NEVER;
  /** Failures in a row of what was opened in the background, and until when nothing is, monotonic ms. */
  #failures = 0;
  #retryAt = 0;
  #lastFailure: Error | undefined;
  /** Dials in progress; others wait for a permit. */
  #opening = 0;
  #logins = 0;
  #failedLogins = 0;
  #renewals = 0;
  readonly #evictions: Partial<Record<EvictionReason, number>> = {};
  #isClosed = false;
  #closing: Promise<void> | undefined;
  #onAllReturned: (() => void) | undefined;

  /** @param limit what bounds its connections beyond its own settings */
  constructor(settings: Settings, tedious: () => Promise<TediousModule>, limit: ConnectionLimit = noFurtherLimit) {
    pools += 1;
    const { configuration, source, pool, beforeConnect } = settings;
    this.name = `${configuration.server}/${configuration.options?.database ?? ''}#${pools}`;
    this.#settings = settings;
    this.#loadTedious = tedious;
    this.#limit = limit;
    this.#tokens = outlookOf(source);
    this.#testsConnections = settings.validateConnection === true || pool.validate !== undefined;
    this.#dialer = new Dialer({
      pool: this.name,
      tedious,
      configuration,
      source,
      createTimeoutMs: pool.createTimeoutMillis,
      maxAgeMillis: pool.maxAgeMillis,
      beforeConnect,
      onTokenRefused: (token) => this.#evictSessionsOf(token),
    });
    this.#physical = createResourcePool(() => this.#dial(), pool.max + pool.overlap);
    this.#waiters = new WaitQueue({
      timeoutMs: pool.acquireTimeoutMillis,
      timedOut: (waiter) => this.#timedOut(waiter),
    });
    const self = this;
    // One function for all connections: a closure for each would be most of what a connection costs here.
    this.#onEnd = function () {
      self.#ended(this);
    };
    this.#onUnusable = function (reason) {
      self.#becameUnusable(this, reason);
    };
    this.#arrive = () => {
      for (const pooled of this.#inTransit.splice(0)) pooled.inTransit = false;
    };
    publish('pool:opened', () => ({
      pool: this.name,
      server: configuration.server,
      database: configuration.options?.database,
      stats: () => this.stats,
    }));
    if (pool.min > 0) this.#planSoon();
  }

  // ---- opening ----

  /** Asks generic-pool for one more physical connection, unless a limit beyond the pool's own allows none now. */
  #open(purpose: Purpose): void {
    const { caller, successorOf } = purpose;
    // A caller may wait for a permit; background work may not.
    const hasPermit = caller === undefined && this.#limit.tryTake();
    if (caller === undefined && !hasPermit) return;
    const pooled = new PooledConnection(purpose);
    pooled.hasPermit = hasPermit;
    this.#connections.add(pooled);
    if (successorOf !== undefined) {
      successorOf.successor = pooled;
      this.#renewing += 1;
    } else this.#dials.add(pooled);
    if (caller !== undefined) caller.dial = pooled;
    this.#toDial.push(pooled);
    void this.#physical.acquire().then((opened) => this.#dialed(opened));
  }

  /** The `create` of generic-pool: resolves with the outcome, good or failed. */
  async #dial(): Promise<PooledConnection> {
    const pooled = this.#toDial.shift() as PooledConnection;
    try {
      if (!pooled.hasPermit) await this.#limit.take();
      pooled.hasPermit = true;
      this.#opening += 1;
      pooled.session = await this.#dialer.open();
    } catch (error) {
      pooled.failure = error as Error;
    }
    if (pooled.hasPermit) this.#opening -= 1;
    return pooled;
  }

  #dialed(pooled: PooledConnection): void {
    const { session, successorOf } = pooled;
    if (successorOf === undefined) this.#dials.delete(pooled);
    else this.#renewing -= 1;
    if (session === undefined) this.#dialFailed(pooled, pooled.failure as Error);
    else {
      this.#logins += 1;
      this.#lastFailure = undefined;
      this.#failures = 0;
      this.#retryAt = 0;
      pooled.lastUsedAt = performance.now();
      this.#connections.move(pooled, 'idle');
      this.#byConnection.set(session.connection, pooled);
      session.connection.on('end', this.#onEnd);
      session.onUnusable = this.#onUnusable;
      if (this.#isClosed) this.#close(pooled, 'pool-closed');
      else if (successorOf !== undefined) this.#succeed(successorOf, pooled);
      else if (this.#isNeeded(pooled)) this.#makeReady(pooled);
      else this.#close(pooled, 'unneeded');
      // It may have been cut between its login and now.
      if (session.connection.closed) this.#ended(session.connection);
    }
    this.#serve();
    this.#planSoon();
  }

  /** What a caller wanted is kept for the next one; the successor of a connection that has been closed is not. */
  #isNeeded({ caller }: PooledConnection): boolean {
    return caller !== undefined || this.#waiters.length > 0 || this.#size <= this.#settings.pool.min;
  }

  #dialFailed(pooled: PooledConnection, error: Error): void {
    const { caller, successorOf } = pooled;
    this.#connections.move(pooled, 'closed');
    this.#gone(pooled);
    if (this.#isClosed) return;
    this.#failedLogins += 1;
    this.#lastFailure = error;
    if (caller !== undefined) this.#waiters.reject(caller, error);
    else this.#pauseBackground();
    if (successorOf === undefined) return;
    successorOf.successor = undefined;
    // A caller may have waited for it to take over.
    if (successorOf.awaitsSuccessor) this.#makeReady(successorOf);
  }

  /** Nothing is left of a physical connection. */
  #gone(pooled: PooledConnection): void {
    pooled.isGone = true;
    if (pooled.hasPermit) this.#limit.give();
    void this.#physical.destroy(pooled);
  }

  /** A successor is open: it takes over at once, or when the connection that it replaces is returned. */
  #succeed(old: PooledConnection, successor: PooledConnection): void {
    if (old.state === 'borrowed' || (old.reserved && !old.awaitsSuccessor)) {
      successor.reserved = true;
      this.#standingBy += 1;
    } else this.#takeOver(old, successor);
  }

  #takeOver(old: PooledConnection, successor: PooledConnection): void {
    if (successor.reserved) this.#standingBy -= 1;
    old.successor = undefined;
    successor.successorOf = undefined;
    successor.lastUsedAt = old.lastUsedAt;
    const position = this.#ready.indexOf(old);
    if (position >= 0) this.#ready[position] = successor;
    this.#renewals += 1;
    publish('connection:renewed', () => ({
      pool: this.name,
      connection: successor.live.id,
      replaced: old.live.id,
      tokenExpiresOn: successor.live.token?.expiresOn,
    }));
    this.#close(old, 'renewed');
    if (position >= 0) successor.reserved = false;
    else this.#makeReady(successor);
  }

  /** Into the ready list, unless a successor stands by for it. Ends with `#serve` in whatever calls it. */
  #makeReady(pooled: PooledConnection): void {
    pooled.reserved = false;
    pooled.awaitsSuccessor = false;
    const { successor } = pooled;
    if (successor?.standsBy === true) this.#takeOver(pooled, successor);
    else this.#ready.push(pooled);
  }

  // ---- checkout ----

  /**
   * A connection whose token has not expired, for the caller alone until `release` or `destroy`.
   *
   * @throws AcquireTimeoutError after `pool.acquireTimeoutMillis`, with the last failure to connect as its cause;
   *   AbortedError; PoolClosedError; and whatever a login or token request failed with, at once
   */
  acquire(options: AcquireOptions = {}): Promise<Connection> {
    const { signal, startedAt } = options;
    if (this.#isClosed) return Promise.reject(poolClosed());
    if (signal?.aborted) return Promise.reject(aborted(signal));
    const pooled = this.#ready.at(-1);
    if (pooled !== undefined && this.#isFit(pooled)) {
      this.#ready.pop();
      return Promise.resolve(this.#checkOut(pooled, startedAt));
    }
    const { waiter, result } = this.#waiters.add(signal, startedAt);
    const pauseMs = this.#size === 0 ? this.#dialer.pauseMs : 0;
    if (performance.now() + pauseMs < waiter.deadline) this.#serve();
    else this.#waiters.reject(waiter, unavailableUntil(pauseMs, this.#lastFailure));
    return result;
  }

  /** Nothing has to be looked at more closely, nor waited for. */
  #isFit({ live: { connection, expiry } }: PooledConnection): boolean {
    return (
      nowFor(expiry, Date.now(), performance.now()) < expiry.checkAt &&
      expiry.unusable === undefined &&
      isReady(connection) &&
      !this.#testsConnections
    );
  }

  #checkOut(pooled: PooledConnection, startedAt: number | undefined): Connection {
    this.#connections.move(pooled, 'borrowed');
    pooled.checkouts += 1;
    if (!pooled.holdsProcess) pooled.holdProcess(true);
    const { id, connection } = pooled.live;
    publish('checkout', () => {
      const waitedMs = startedAt === undefined ? 0 : performance.now() - startedAt;
      return { pool: this.name, connection: id, waitedMs };
    });
    return connection;
  }

  /** Brings waiting callers and ready connections together, and opens what is missing. */
  #serve(): void {
    if (this.#isClosed) return;
    for (let waiter = this.#waiters.first; waiter !== undefined; waiter = this.#waiters.first) {
      const pooled = this.#ready.pop() ?? this.#takeStandby();
      if (pooled === undefined) break;
      if (this.#isFit(pooled)) this.#handOver(pooled, waiter);
      else void this.#check(pooled, waiter);
    }
    for (const waiter of this.#waiters) {
      if (waiter.checking || waiter.dial?.state === 'connecting') continue;
      if (!this.#dialFor(waiter)) return;
    }
  }

  #handOver(pooled: PooledConnection, waiter: Waiter): void {
    const connection = this.#checkOut(pooled, waiter.startedAt);
    // Until the waiting caller runs, a return can only be the second one of the previous borrower.
    pooled.inTransit = true;
    if (this.#inTransit.push(pooled) === 1) queueMicrotask(this.#arrive);
    if (this.#waiters.serve(waiter, connection)) return;
    // It has left in this very moment, from a listener of the event.
    pooled.inTransit = false;
    this.release(connection);
  }

  /** A borrowed connection that is never returned must not hold a second one for itself while a caller waits. */
  #takeStandby(): PooledConnection | undefined {
    if (this.#standingBy === 0 || !this.#mayOpen) return undefined;
    const standby = this.#findStandby() as PooledConnection;
    const old = standby.successorOf as PooledConnection;
    old.successor = undefined;
    standby.successorOf = undefined;
    standby.reserved = false;
    this.#standingBy -= 1;
    return standby;
  }

  #findStandby(): PooledConnection | undefined {
    for (const pooled of this.#connections) if (pooled.standsBy) return pooled;
    return undefined;
  }

  /** A dial whose own caller has been served or has left, or a new one. False where neither is possible. */
  #dialFor(waiter: Waiter): boolean {
    for (const dial of this.#dials) {
      if (dial.caller !== undefined && !dial.caller.settled) continue;
      dial.caller = waiter;
      waiter.dial = dial;
      return true;
    }
    if (!this.#mayOpen) return false;
    this.#open({ caller: waiter });
    return true;
  }

  /** A look that may take time: at the token that is on its way, at the server. */
  async #check(pooled: PooledConnection, waiter: Waiter): Promise<void> {
    pooled.reserved = true;
    waiter.checking = true;
    const verdict = await this.#examine(pooled, waiter);
    waiter.checking = false;
    pooled.reserved = false;
    if (pooled.state === 'closed') {
      // The pool has been closed, or the server has ended the session, meanwhile.
    } else if (verdict === 'broken' || !isReady(pooled.connection)) {
      this.#close(pooled, pooled.live.expiry.unusable ?? 'broken');
    } else if (verdict === 'replace') this.#replace(pooled, waiter);
    else if (verdict === 'fit' && !waiter.settled) this.#handOver(pooled, waiter);
    else {
      if (verdict === 'expired') this.#waiters.reject(waiter, tokenExpired(this.#settings.source));
      this.#makeReady(pooled);
    }
    this.#serve();
    this.#planSoon();
  }

  async #examine(pooled: PooledConnection, waiter: Waiter): Promise<'fit' | 'replace' | 'expired' | 'broken'> {
    const { connection, expiry } = pooled.live;
    const { strictExpiry } = this.#settings;
    const now = (): number => nowFor(expiry, Date.now(), performance.now());
    if (now() >= expiry.checkAt) {
      const timeoutMs = waiter.deadline - performance.now();
      const verdict = await Promise.race([
        assessPatiently(expiry, this.#tokens, now, { strictExpiry, timeoutMs }),
        waiter.done,
      ]);
      if (verdict === 'unusable') return 'broken';
      if (verdict === 'replace' || verdict === 'expired') return verdict;
    }
    if (!this.#testsConnections || waiter.settled || !isReady(connection)) return 'fit';
    // A test that outlasts its caller has failed: nothing may hold a connection for ever.
    const passed = await Promise.race([this.#test(connection), waiter.done]);
    return passed === true ? 'fit' : 'broken';
  }

  async #test(connection: Connection): Promise<boolean> {
    const { validateConnection, pool } = this.#settings;
    try {
      if (pool.validate !== undefined && !(await pool.validate(connection))) return false;
      return validateConnection !== true || (await selectOne(await this.#loadTedious(), connection));
    } catch {
      return false;
    }
  }

  /** Where its successor is being opened already, that is quicker than another dial. */
  #replace(pooled: PooledConnection, waiter: Waiter): void {
    const { successor } = pooled;
    if (successor?.state === 'connecting') {
      pooled.reserved = true;
      pooled.awaitsSuccessor = true;
      waiter.dial = successor;
    } else this.#close(pooled, this.#evictionReason(pooled));
  }

  #timedOut({ startedAt }: Waiter): AcquireTimeoutError {
    const waitedMs = performance.now() - startedAt;
    const error = acquireTimedOut(this.stats, {
      timeoutMs: this.#settings.pool.acquireTimeoutMillis,
      openingForMs: Math.max(0, ...[...this.#dials].map((dial) => performance.now() - dial.startedAt)),
      lastFailure: this.#lastFailure,
    });
    publish('checkout:timed-out', () => ({ pool: this.name, waitedMs, error }));
    return error;
  }

  // ---- return ----

  /**
   * Returns a connection. One that nears its limits, that is closed, in the middle of a request or inside a transaction is
   * closed and not handed out again.
   *
   * @throws NotBorrowedError
   */
  release(connection: Connection): void {
    const pooled = this.#returned(connection);
    const { successor } = pooled;
    const reason = this.#reasonToClose(pooled);
    // Soft eviction (P8): the successor was opened while this one was borrowed.
    if (successor?.standsBy === true && !this.#isClosed) this.#takeOver(pooled, successor);
    else if (reason !== undefined) this.#close(pooled, reason);
    else {
      this.#connections.move(pooled, 'idle');
      pooled.lastUsedAt = performance.now();
      this.#ready.push(pooled);
      this.#planBy(pooled.lastUsedAt + HOLDS_PROCESS_MS);
      if (pooled.dueOnReturn) this.#renewOnReturn(pooled);
    }
    if (this.#waiters.length > 0) this.#serve();
  }

  /**
   * Closes a borrowed connection instead of returning it.
   *
   * @throws NotBorrowedError
   */
  destroy(connection: Connection): void {
    this.#close(this.#returned(connection), 'destroyed-by-caller');
    this.#serve();
  }

  /** Runs `fn` with a connection and returns it afterwards, whatever happens. */
  async use<T>(fn: (connection: Connection) => T | Promise<T>, options?: AcquireOptions): Promise<T> {
    const connection = await this.acquire(options);
    const pooled = this.#byConnection.get(connection);
    const checkout = pooled?.checkouts;
    try {
      return await fn(connection);
    } finally {
      // `fn` may have returned or destroyed it, and another caller may have it by now.
      if (pooled?.checkouts === checkout && this.isBorrowed(connection)) this.release(connection);
    }
  }

  /** True while the connection is borrowed from this pool. */
  isBorrowed(connection: Connection): boolean {
    const pooled = this.#byConnection.get(connection);
    return pooled?.state === 'borrowed' && !pooled.inTransit;
  }

  #returned(connection: Connection): PooledConnection {
    const pooled = this.#byConnection.get(connection);
    if (pooled?.state !== 'borrowed' || pooled.inTransit) {
      throw new NotBorrowedError(
        'This connection is not borrowed from this pool: it was returned before, or belongs to another pool.',
      );
    }
    publish('checkin', () => ({ pool: this.name, connection: pooled.live.id }));
    return pooled;
  }

  #reasonToClose(pooled: PooledConnection): EvictionReason | undefined {
    const { connection, expiry } = pooled.live;
    if (this.#isClosed) return 'pool-closed';
    if (expiry.unusable !== undefined) return expiry.unusable;
    if (!isReady(connection)) return 'broken';
    if ((connection as { inTransaction?: boolean }).inTransaction === true) return 'broken';
    if (!pooled.dueOnReturn) return undefined;
    const now = nowFor(expiry, Date.now(), performance.now());
    const verdict = assess(expiry, this.#tokens.outlook(), now, { strictExpiry: false });
    pooled.dueOnReturn = verdict === 'renew';
    const { overlap, max } = this.#settings.pool;
    const mustGo = verdict === 'replace' || (verdict === 'renew' && overlap === 0 && this.#size >= max);
    return mustGo ? evictionReason(expiry, now) : undefined;
  }

  // ---- eviction ----

  #close(pooled: PooledConnection, reason: EvictionReason): void {
    const { id, connection, openedAt } = pooled.live;
    const { successor, successorOf } = pooled;
    const position = pooled.state === 'idle' ? this.#ready.lastIndexOf(pooled) : -1;
    if (position >= 0) this.#ready.splice(position, 1);
    if (successorOf !== undefined && pooled.reserved) {
      this.#standingBy -= 1;
      successorOf.successor = undefined;
      pooled.successorOf = undefined;
    }
    this.#connections.move(pooled, 'closed');
    this.#evictions[reason] = (this.#evictions[reason] ?? 0) + 1;
    publish('connection:evicted', () => ({ pool: this.name, connection: id, reason, ageMs: Date.now() - openedAt }));
    if (pooled.isGone) this.#byConnection.delete(connection);
    connection.close();
    if (successor?.standsBy === true) this.#close(successor, reason);
    else if (successor !== undefined) {
      // What was to replace it is one dial among the others now.
      successor.successorOf = undefined;
      this.#renewing -= 1;
      this.#dials.add(successor);
    }
    if (this.#size < this.#settings.pool.min) this.#planSoon();
    if (this.#connections.count.borrowed === 0) this.#onAllReturned?.();
  }

  #evictionReason({ live: { expiry } }: PooledConnection): EvictionReason {
    return evictionReason(expiry, nowFor(expiry, Date.now(), performance.now()));
  }

  /** Nothing is left of a connection, whoever closed it. A borrowed one stays until it is returned. */
  #ended(connection: Connection): void {
    const pooled = this.#byConnection.get(connection);
    if (pooled === undefined || pooled.isGone) return;
    this.#gone(pooled);
    if (pooled.state === 'closed') this.#byConnection.delete(connection);
    else if (pooled.state === 'idle' && !this.#isChecked(pooled)) this.#close(pooled, 'broken');
    this.#serve();
  }

  /** Idle, but in the hands of `#check`, which looks at it when it has ended. */
  #isChecked({ reserved, standsBy, awaitsSuccessor }: PooledConnection): boolean {
    return reserved && !standsBy && !awaitsSuccessor;
  }

  /** The server has ended the session, or refused its token before its time (37396). */
  #becameUnusable(connection: Connection, reason: EvictionReason): void {
    const pooled = this.#byConnection.get(connection);
    if (pooled === undefined || pooled.state === 'closed') return;
    const { token } = pooled.live;
    if (reason === 'token-invalidated' && token !== undefined) {
      this.#settings.source?.tokens.invalidate(token);
      this.#evictSessionsOf(token);
    } else this.#evict(pooled, reason);
    this.#serve();
  }

  /** A token was refused before its time. */
  #evictSessionsOf(token: CachedToken): void {
    for (const pooled of this.#connections) {
      if (pooled.session?.token?.id === token.id) this.#evict(pooled, 'token-invalidated');
    }
  }

  /** An idle connection is closed now, any other when it is returned (P8). */
  #evict(pooled: PooledConnection, reason: EvictionReason): void {
    pooled.live.expiry.unusable ??= reason;
    if (pooled.state === 'idle' && !this.#isChecked(pooled)) this.#close(pooled, reason);
  }

  /**
   * Closes the connection that has been idle for longest, to free its permit; false where none is idle.
   *
   * @internal
   */
  closeIdle(): boolean {
    let longest: PooledConnection | undefined;
    for (const pooled of this.#ready) {
      if (longest === undefined || pooled.lastUsedAt < longest.lastUsedAt) longest = pooled;
    }
    if (longest !== undefined) this.#close(longest, 'unneeded');
    return longest !== undefined;
  }

  // ---- housekeeping ----

  #planSoon(): void {
    this.#planBy(performance.now());
  }

  /** Sets the one timer, which never keeps the process alive, unless it fires sooner anyway. `at`: monotonic ms. */
  #planBy(at: number): void {
    if (at >= this.#planAt || this.#isClosed) return;
    clearTimeout(this.#timer);
    this.#planAt = at;
    this.#timer = setTimeout(() => this.#keepHouse(), Math.max(0, at - performance.now()));
    this.#timer.unref();
  }

  #keepHouse(): void {
    this.#planAt = NEVER;
    const { pool } = this.#settings;
    if (this.#isClosed || (this.#connections.isEmpty && pool.min === 0)) return;
    const outlook = this.#tokens.outlook();
    const { evict, renew, dueOnReturn, unref, open, nextAt } = plan(this.#connections, outlook, pool, this.#now());
    for (const { connection, reason } of evict) this.#close(connection, reason);
    for (const connection of unref) connection.holdProcess(false);
    for (const connection of dueOnReturn) connection.dueOnReturn = true;
    for (const connection of renew) this.#renew(connection);
    for (let i = 0; i < open; i += 1) this.#open({});
    this.#planBy(nextAt);
    this.#serve();
  }

  #now(): Instant {
    const monotonic = performance.now();
    return {
      wall: Date.now(),
      monotonic,
      size: this.#size,
      opening: this.#dials.size,
      renewing: this.#renewing,
      free: this.#physical.max - this.#physical.size - this.#toDial.length + this.#standingBy,
      failing: this.#failures > 0,
      pausedUntil: Math.max(this.#retryAt, monotonic + this.#dialer.pauseMs),
    };
  }

  /** At once: a connection that is never idle for long would have no successor otherwise. */
  #renewOnReturn(pooled: PooledConnection): void {
    pooled.dueOnReturn = false;
    if (renewalSlots(this.#now(), this.#settings.pool.maxRenewals) > 0) this.#renew(pooled);
    else this.#planSoon();
  }

  #renew(pooled: PooledConnection): void {
    const standby = this.#standingBy > 0 ? this.#findStandby() : undefined;
    if (standby?.successorOf === undefined) this.#open({ successorOf: pooled });
    else {
      standby.successorOf.successor = undefined;
      this.#takeOver(pooled, standby);
    }
  }

  /** Dials that were in progress together have met one failure, not many. */
  #pauseBackground(): void {
    const now = performance.now();
    if (now < this.#retryAt) return;
    this.#failures += 1;
    this.#retryAt = now + retryPauseMs(this.#failures);
  }

  // ---- state ----

  /** Connections that count against `max`. */
  get #size(): number {
    const { idle, borrowed } = this.#connections.count;
    return idle + borrowed - this.#standingBy;
  }

  get #mayOpen(): boolean {
    return this.#size + this.#dials.size < this.#settings.pool.max;
  }

  /**
   * Resolves when `min` connections are open, at least one: a way to learn at startup that the login works.
   *
   * @throws what opening a connection failed with
   */
  async ready(): Promise<void> {
    // Open ones are acquired too, so that one idle connection is not counted twice.
    const wanted = Math.max(1, this.#settings.pool.min - this.#connections.count.borrowed);
    const acquired = await Promise.allSettled(Array.from({ length: wanted }, () => this.acquire()));
    for (const result of acquired) if (result.status === 'fulfilled') this.release(result.value);
    for (const result of acquired) if (result.status === 'rejected') throw result.reason;
  }

  get stats(): TokenPoolStats {
    const { pool, source } = this.#settings;
    const { borrowed } = this.#connections.count;
    return {
      size: this.#size,
      available: this.#size - borrowed,
      borrowed,
      pending: this.#waiters.length,
      opening: this.#opening,
      min: pool.min,
      max: pool.max,
      tokenExpiresOn: source?.tokens.peek(source.scope)?.expiresOn,
      logins: this.#logins,
      failedLogins: this.#failedLogins,
      renewals: this.#renewals,
      evictions: { ...this.#evictions },
    };
  }

  // ---- close ----

  /**
   * Closes the pool: rejects waiting callers, waits for borrowed connections, then closes everything. Nothing is left open.
   *
   * @param options `timeoutMs`: how long to wait for borrowed connections before they are closed under their users.
   *   Default 10,000
   */
  close({ timeoutMs = CLOSE_TIMEOUT_MS }: { timeoutMs?: number | undefined } = {}): Promise<void> {
    this.#isClosed = true;
    this.#closing ??= this.#shutDown(timeoutMs);
    return this.#closing;
  }

  async #shutDown(timeoutMs: number): Promise<void> {
    // Listeners run from here on; #closing is set when this first awaits.
    await null;
    clearTimeout(this.#timer);
    this.#dialer.close(poolClosed());
    this.#limit.close();
    this.#waiters.rejectAll(poolClosed);
    this.#closeAll('idle');
    const drained = this.#physical.drain();
    await Promise.race([this.#allReturned(), sleep(timeoutMs, { ref: false })]);
    this.#closeAll('borrowed');
    await Promise.race([drained, sleep(this.#settings.pool.destroyTimeoutMillis, { ref: false })]);
    publish('pool:closed', () => ({ pool: this.name }));
  }

  /** Resolves when no connection is borrowed any more. */
  #allReturned(): Promise<void> {
    return new Promise((resolve) => {
      this.#onAllReturned = resolve;
      if (this.#connections.count.borrowed === 0) resolve();
    });
  }

  #closeAll(state: 'idle' | 'borrowed'): void {
    for (const pooled of this.#connections) if (pooled.state === state) this.#close(pooled, 'pool-closed');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

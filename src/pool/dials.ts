import { type EvictionReason, publish } from '../channels.js';
import { Dialer } from '../connections/dialer.js';
import type { Session } from '../connections/session.js';
import type { Settings } from '../connections/settings.js';
import type { CachedToken } from '../tokens/cached-token.js';
import { BackgroundRetries } from './background-retries.js';
import type { ConnectionLimit } from './connection-limit.js';
import { createResourcePool, type ResourceFactory, type ResourcePool } from './generic-pool.js';
import type { Instant } from './housekeeping.js';
import type { LoginPacing } from './login-pacing.js';
import { notNeeded, PacedLogins } from './paced-logins.js';
import { type ConnectionHome, PooledConnection, type Purpose } from './pooled-connection.js';
import { PooledConnections } from './pooled-connections.js';
import type { Waiter } from './wait-queue.js';

const NEVER = Number.POSITIVE_INFINITY;
const NONE: ReadonlyMap<PooledConnection, undefined> = new Map();

/** Why a dial failed; not a field, because most connections have none. */
const failures = new WeakMap<PooledConnection, Error>();

/** The pool that the connections are opened for. */
export interface Demand {
  /** Names the pool in events. */
  readonly name: string;
  /** A connection is ready, has been closed, or could not be opened. */
  changed(): void;
}

export interface DialsOptions {
  pool: Demand;
  settings: Settings;
  limit: ConnectionLimit;
  /** Of many pools together. */
  pacing: LoginPacing | undefined;
  waiters: { readonly length: number; reject(waiter: Waiter, error: Error): void };
}

/**
 * Opens the physical connections of one pool: asks generic-pool for each, waits for permits and its turn, logs in, and backs
 * off when that fails.
 */
export abstract class Dials extends PooledConnections implements ConnectionHome, ResourceFactory<PooledConnection> {
  readonly dialer: Dialer;
  logins = 0;
  failedLogins = 0;
  renewing = 0;
  /** Sessions have ended right after their login, and none has served since. */
  endsEarly = false;
  /** Callers have timed out during a login since a dial last ended. */
  isUnserved = false;
  /** Until the pool is resumed, nothing is opened and no caller is rejected. */
  isSuspended = false;
  protected readonly pool: Demand;
  protected readonly settings: Settings;
  protected readonly limit: ConnectionLimit;
  protected isClosed = false;
  /** Successors that are open and wait for the connection that they replace. */
  protected standingBy = 0;
  protected readonly physical: ResourcePool<PooledConnection>;
  readonly #waiters: DialsOptions['waiters'];
  /** Of many pools together. */
  readonly #pacing: LoginPacing | undefined;
  #logins: PacedLogins | undefined;
  #dials: Map<PooledConnection, Waiter | undefined> | undefined;
  /** Connections for which generic-pool has yet to call `create`; undefined while there are none. */
  #toDial: PooledConnection[] | undefined;
  #lastFailure: Error | undefined;
  /** Undefined while background attempts succeed. */
  #retries: BackgroundRetries | undefined;

  constructor({ pool, settings, limit, pacing, waiters }: DialsOptions) {
    super();
    this.pool = pool;
    this.settings = settings;
    this.limit = limit;
    this.#waiters = waiters;
    this.dialer = new Dialer(settings, pool, this);
    this.#pacing = pacing;
    this.physical = createResourcePool(this, settings.pool.max + settings.pool.overlap);
  }

  /** It has logged in: decides what becomes of it. `forCaller`: a caller waited for it, which may have left. */
  protected abstract opened(pooled: PooledConnection, forCaller: boolean): void;
  /** Its successor could not be opened. */
  protected abstract successorFailed(pooled: PooledConnection): void;
  /** A failover is under way. */
  abstract readonly isFailingOver: boolean;
  abstract readonly keepsReadOnly: boolean;
  abstract ended(pooled: PooledConnection): void;
  abstract becameUnusable(pooled: PooledConnection, reason: EvictionReason): void;
  abstract tokenRefused(token: CachedToken): void;

  /**
   * Connections being opened for callers or for `min`, with the caller that each is for: a failure rejects that caller. The others
   * being opened are successors.
   */
  get dials(): ReadonlyMap<PooledConnection, Waiter | undefined> {
    return this.#dials ?? NONE;
  }

  /** Starts or continues a dial for `caller`. */
  dialFor(pooled: PooledConnection, caller: Waiter | undefined): void {
    this.#dials ??= new Map();
    this.#dials.set(pooled, caller);
    if (caller !== undefined) caller.dial = pooled;
  }

  #deleteDial(pooled: PooledConnection): void {
    this.#dials?.delete(pooled);
    if (this.#dials?.size === 0) this.#dials = undefined;
  }

  /** Logins in progress; other dials wait for their turn or for a permit. */
  get opening(): number {
    return this.#logins?.running ?? 0;
  }

  /** Connections that count against `max`. */
  get size(): number {
    return this.idle + this.borrowed - this.standingBy;
  }

  /** How long the oldest login for a caller or for `min` has taken, ms; 0 if there is none. */
  get openingForMs(): number {
    let oldest = NEVER;
    for (const { lastUsedAt } of this.dials.keys()) oldest = Math.min(oldest, lastUsedAt);
    return Math.max(0, performance.now() - oldest);
  }

  /** What the dials for callers and for `min` wait for while no login is in progress. */
  get dialsWaitFor(): 'permit' | 'turn' | undefined {
    if (this.opening > 0 || this.dials.size === 0) return undefined;
    return [...this.dials.keys()].every(({ hasPermit }) => hasPermit) ? 'turn' : 'permit';
  }

  get mayOpen(): boolean {
    return this.size + this.dials.size < this.settings.pool.max;
  }

  /** No successor can be opened in addition to the existing connections. */
  get isFull(): boolean {
    return this.settings.pool.overlap === 0 && this.size >= this.settings.pool.max;
  }

  /** The state that housekeeping plans from. */
  instant(): Instant {
    const monotonic = performance.now();
    const pausedUntil = this.isSuspended
      ? NEVER
      : Math.max(this.#retries?.pausedUntil ?? 0, monotonic + this.dialer.pauseMs);
    // How many more connections may be opened, including those that would stand by.
    const free = this.physical.max - this.physical.size - (this.#toDial?.length ?? 0) + this.standingBy;
    const { size, renewing, standingBy } = this;
    const counts = { size, opening: this.dials.size, renewing, standingBy, free };
    return { wall: Date.now(), monotonic, ...counts, failing: this.#retries !== undefined, pausedUntil };
  }

  /** Why no connection could be opened, also while attempts continue. */
  get lastFailure(): Error | undefined {
    return this.dialer.lastFailure?.error ?? this.#lastFailure;
  }

  protected get hasWaiters(): boolean {
    return this.#waiters.length > 0;
  }

  /** Asks generic-pool for one more physical connection, unless a shared limit allows none now. */
  open(purpose: Purpose): void {
    const { caller, successorOf } = purpose;
    // A caller may wait for a permit; background work may not.
    const hasPermit = caller === undefined && this.limit.tryTake();
    if (caller === undefined && !hasPermit) return;
    const pooled = new PooledConnection(purpose, this);
    pooled.hasPermit = hasPermit;
    this.add(pooled);
    if (successorOf !== undefined) {
      successorOf.successor = pooled;
      this.renewing += 1;
    } else this.dialFor(pooled, caller);
    this.#toDial ??= [];
    this.#toDial.push(pooled);
    void this.physical.acquire().then((opened) => this.#dialed(opened));
  }

  /** For generic-pool: resolves with the outcome of a dial, good or failed. */
  async create(): Promise<PooledConnection> {
    const pooled = this.#nextToDial() ?? withdrawn();
    try {
      if (pooled.state !== 'closed' && !pooled.hasPermit) {
        await this.limit.take();
        pooled.hasPermit = true;
      }
      if (wasWithdrawn(pooled)) {
        if (pooled.hasPermit) this.limit.give();
        return pooled;
      }
      await this.#logIn(
        () => this.#begins(pooled),
        (session) => {
          pooled.session = session;
        },
      );
    } catch (error) {
      failures.set(pooled, error as Error);
    }
    return pooled;
  }

  /** Its turn to log in has come: false if it is no longer needed. */
  #begins(pooled: PooledConnection): boolean {
    pooled.lastUsedAt = performance.now();
    return this.dials.get(pooled)?.settled !== true || this.hasWaiters;
  }

  #nextToDial(): PooledConnection | undefined {
    const pooled = this.#toDial?.shift();
    if (this.#toDial?.length === 0) this.#toDial = undefined;
    return pooled;
  }

  async #logIn(begins: () => boolean, opened: (session: Session) => void): Promise<void> {
    this.#logins ??= new PacedLogins(this.dialer, this.settings.pool.maxOpening, this.#pacing);
    const logins = this.#logins;
    try {
      await logins.run(begins, opened);
    } finally {
      if (logins.isOver && this.#logins === logins) this.#logins = undefined;
    }
  }

  /** For generic-pool: the socket is already closed. */
  async destroy(): Promise<void> {}

  /** Withdraws a dial that waits for a permit, of generic-pool or of the shared limit; false if there is none. */
  protected withdrawDial(): boolean {
    for (const pooled of this.dials.keys()) {
      const position = this.#toDial?.indexOf(pooled) ?? -1;
      if (position < 0 && pooled.hasPermit) continue;
      if (position >= 0) this.#toDial?.splice(position, 1);
      if (pooled.hasPermit) this.limit.give();
      pooled.hasPermit = false;
      this.#deleteDial(pooled);
      this.move(pooled, 'closed');
      return true;
    }
    return false;
  }

  #dialed(pooled: PooledConnection): void {
    const { session, successorOf } = pooled;
    if (wasWithdrawn(pooled)) {
      void this.physical.destroy(pooled);
      return;
    }
    const caller = this.dials.get(pooled);
    this.isUnserved = false;
    if (successorOf === undefined) this.#deleteDial(pooled);
    else this.renewing -= 1;
    if (session === undefined) this.#failed(pooled, failures.get(pooled) as Error, caller);
    else {
      this.logins += 1;
      this.#lastFailure = undefined;
      this.forgetFailures();
      this.#backOffFromEarlyEnds();
      pooled.lastUsedAt = performance.now();
      this.move(pooled, 'idle');
      this.opened(pooled, caller !== undefined);
    }
    this.pool.changed();
  }

  #failed(pooled: PooledConnection, error: Error, caller: Waiter | undefined): void {
    const { successorOf } = pooled;
    this.move(pooled, 'closed');
    this.gone(pooled);
    if (this.isClosed || error === notNeeded) return;
    this.failedLogins += 1;
    this.#lastFailure = error;
    if (caller === undefined) this.#backOff().dialFailed();
    else if (!this.isSuspended) this.#waiters.reject(caller, error);
    if (successorOf !== undefined) this.successorFailed(successorOf);
  }

  /** Background attempts may start again at once. */
  forgetFailures(): void {
    this.#retries = undefined;
  }

  #backOff(): BackgroundRetries {
    this.#retries ??= new BackgroundRetries();
    return this.#retries;
  }

  /** A session that was opened `ageMs` ago has ended without having served. */
  protected endedEarly(error: Error, ageMs: number): void {
    this.endsEarly = true;
    this.dialer.sessionEndedEarly(error, ageMs);
    this.#backOffFromEarlyEnds();
  }

  /** A connection has been returned in a good state. */
  sessionsLast(): void {
    this.endsEarly = false;
    this.dialer.sessionsLast();
    // The dials that waited for this log in now.
    for (const dial of this.dials.keys()) if (dial.lastUsedAt < NEVER) dial.lastUsedAt = performance.now();
    if (this.#retries?.sessionsLast() === false) this.#retries = undefined;
  }

  /** The first one in a row causes no pause: any session may be cut. From then on, a login alone is not a success. */
  #backOffFromEarlyEnds(): void {
    const repeated = this.dialer.earlyEnds - 1;
    if (repeated > 0) this.#backOff().endedEarly(repeated);
  }

  /** Dials in progress start again; `mark` is called for every session that is open. */
  protected beginGeneration(mark: (session: Session) => void): void {
    this.forgetFailures();
    this.#logins?.beginAgain(mark);
    // A connection that has just logged in may not have been checked yet.
    for (const { session } of this) if (session !== undefined) mark(session);
  }

  /** The socket of a connection is closed. */
  protected gone(pooled: PooledConnection): void {
    pooled.isGone = true;
    if (pooled.hasPermit) this.limit.give();
    void this.physical.destroy(pooled);
  }

  wasReset({ live: { id } }: PooledConnection, roundTrip: boolean): void {
    publish('connection:reset', () => ({ pool: this.pool.name, connection: id, roundTrip }));
  }
}

/** What generic-pool gets for a request whose dial was withdrawn. */
function withdrawn(): PooledConnection {
  const pooled = new PooledConnection({});
  pooled.state = 'closed';
  return pooled;
}

function wasWithdrawn({ state }: PooledConnection): boolean {
  return state === 'closed';
}

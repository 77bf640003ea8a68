import type { Connection } from 'tedious';
import { channelOf, publish } from '../channels.js';
import type { OutlookSource } from '../connections/expiry-policy.js';
import { isReady } from '../connections/session.js';
import type { Settings } from '../connections/settings.js';
import { outlookOf } from '../connections/token-outlook.js';
import type { AcquireTimeoutError } from '../errors.js';
import { sleep } from '../time.js';
import { acquireTimedOut, tokenExpired, unavailableUntil } from './acquire-errors.js';
import { awaitedToken } from './awaited-token.js';
import { closedOn, closeTerms, refusalOf, requireWork } from './call-options.js';
import { carryOut } from './carry-out.js';
import { withCheckout } from './checkout.js';
import type { CheckoutStack } from './checkout-stack.js';
import { ConnectionCheck, isPastLimits } from './connection-check.js';
import { type ConnectionLimit, noFurtherLimit } from './connection-limit.js';
import type { AcquireOptions, ConnectionSource, TokenPoolStats } from './connection-source.js';
import { handOvers } from './hand-overs.js';
import { HOLDS_PROCESS_MS, plan } from './housekeeping.js';
import { LeakDetection } from './leak-detection.js';
import type { LoginPacing } from './login-pacing.js';
import { noteReturn } from './note-return.js';
import { OpenConnections } from './open-connections.js';
import { type OperatedParts, OperatedPool } from './operated-pool.js';
import type { PooledConnection } from './pooled-connection.js';
import { checkedIn, checkedOut, resetOnReturn } from './reset-on-return.js';
import { poolClosed, type Waiter, WaitQueue } from './wait-queue.js';

const NEVER = Number.POSITIVE_INFINITY;
/** The event of each checkout, which must cost nothing without a listener. */
const checkouts = channelOf('checkout');

let pools = 0;

/**
 * A pool of tedious connections that are logged in with fresh tokens: decides who gets a connection, and when. In the
 * order of events: checkout, return, housekeeping, close. How connections are opened and closed is in
 * open-connections.ts, the four states of a connection in pooled-connection.ts.
 *
 * Whatever makes a connection ready or frees a permit ends in `#serve`, which brings waiting callers and ready connections
 * together and opens what is missing.
 */
export class TokenPool extends OperatedPool {
  /** @internal */
  readonly captureStack: ConnectionSource['captureStack'];
  readonly #number: number;
  readonly #settings: Settings;
  readonly #tokens: OutlookSource;
  readonly #connections: OpenConnections;
  readonly #waiters: WaitQueue<Connection>;
  readonly #check: ConnectionCheck;
  readonly #leaks: LeakDetection | undefined;
  readonly #resets: boolean;
  #timer: NodeJS.Timeout | undefined;
  #planAt = NEVER;
  /** The first return since the latest plan, monotonic ms: the next plan is at most {@link HOLDS_PROCESS_MS} later. */
  #firstReturnAt = NEVER;
  #isClosed = false;
  #closing: Promise<void> | undefined;
  #onAllReturned: (() => void) | undefined;

  /** @param beyond limits in addition to the pool's own settings */
  constructor(
    settings: Settings,
    beyond: { limit?: ConnectionLimit | undefined; pacing?: LoginPacing | undefined } = {},
  ) {
    super();
    pools += 1;
    this.#number = pools;
    const { configuration, source, pool } = settings;
    this.#settings = settings;
    this.#tokens = outlookOf(source);
    this.#check = new ConnectionCheck(settings, this.#tokens);
    if (pool.leakDetectionMillis > 0) {
      const leaks = new LeakDetection(this.name, pool.leakDetectionMillis);
      this.#leaks = leaks;
      this.captureStack = (below) => leaks.capture(below);
    }
    this.#resets = pool.resetSession === 'always';
    const waiters = new WaitQueue<Connection>(pool.acquireTimeoutMillis, this);
    this.#waiters = waiters;
    const { limit = noFurtherLimit, pacing } = beyond;
    this.#connections = new OpenConnections({ pool: this, settings, limit, pacing, waiters });
    publish('pool:opened', () => ({
      pool: this.name,
      server: configuration.server,
      port: configuration.options?.port,
      database: configuration.options?.database,
      stats: () => this.stats,
    }));
    if (pool.min > 0) this.#planBy(0);
  }

  /** Names the pool in events: server, database, number. */
  get name(): string {
    const { server, options } = this.#settings.configuration;
    return `${server}/${options?.database ?? ''}#${this.#number}`;
  }

  // ---- checkout ----

  /**
   * A connection whose token has not expired, for the exclusive use of the caller until `release` or `destroy`.
   *
   * @throws AcquireTimeoutError after `pool.acquireTimeoutMillis`, with the last failure to connect as its cause;
   * AbortedError; PoolClosedError; ConfigurationError; and the error of a failed login or token request, at once
   */
  acquire(options?: AcquireOptions): Promise<Connection> {
    const refusal = this.#isClosed ? poolClosed() : refusalOf(options);
    if (refusal !== undefined) return Promise.reject(refusal);
    const startedAt = options?.startedAt;
    const stack = this.#leaks === undefined ? undefined : this.#leaks.capture(TokenPool.prototype.acquire, options);
    const { ready, isSuspended } = this.#connections;
    const pooled = ready.top;
    if (pooled !== undefined && !isSuspended && this.#check.isFit(pooled, Date.now(), performance.now())) {
      ready.pop();
      return Promise.resolve(this.#checkOut(pooled, startedAt, stack));
    }
    const { waiter, result } = this.#waiters.add(options?.signal, startedAt ?? handOvers.now);
    if (stack !== undefined) waiter.stack = stack;
    if (isSuspended || this.#connections.areAllBorrowed) return result;
    const pauseMs = this.#connections.size === 0 ? this.#connections.dialer.pauseMs : 0;
    if (pauseMs === 0 || performance.now() + pauseMs < waiter.deadline) this.#serve();
    else this.#waiters.reject(waiter, unavailableUntil(pauseMs, this.#connections.lastFailure));
    return result;
  }

  #checkOut(pooled: PooledConnection, startedAt: number | undefined, stack: CheckoutStack | undefined): Connection {
    this.#connections.move(pooled, 'borrowed');
    if (this.#resets) checkedOut(pooled);
    pooled.checkouts += 1;
    if (this.#leaks !== undefined) this.#planBy(this.#leaks.borrowed(pooled, stack));
    if (!pooled.holdsProcess) pooled.holdProcess(true);
    const { id, connection } = pooled.live;
    if (checkouts.hasSubscribers) {
      const waitedMs = startedAt === undefined ? 0 : performance.now() - startedAt;
      publish('checkout', () => ({ pool: this.name, connection: id, waitedMs }));
    }
    return connection;
  }

  /** Brings waiting callers and ready connections together, and opens what is missing. */
  #serve(): void {
    for (let waiter = this.#waiters.first; waiter !== undefined && this.#serves; waiter = this.#waiters.first) {
      const pooled = this.#connections.ready.pop() ?? this.#connections.takeStandby();
      if (pooled === undefined) break;
      if (handOvers.isFit(pooled, this.#check)) this.#handOver(pooled, waiter);
      else void this.#examine(pooled, waiter);
    }
    for (const waiter of this.#waiters) {
      if (waiter.checking || waiter.dial?.state === 'connecting') continue;
      if (!this.#serves || !this.#dialFor(waiter)) return;
    }
  }

  /** A listener may suspend or close the pool at any time. */
  get #serves(): boolean {
    return !this.#isClosed && !this.#connections.isSuspended;
  }

  #handOver(pooled: PooledConnection, waiter: Waiter): void {
    const connection = this.#checkOut(pooled, waiter.startedAt, waiter.stack);
    handOvers.add(pooled);
    if (this.#waiters.serve(waiter, connection)) return;
    // The caller has just left, because of a listener of the event.
    pooled.inTransit = false;
    this.release(connection);
  }

  /** Assigns a dial whose own caller has been served or has left, or starts a new one. False if neither is possible. */
  #dialFor(waiter: Waiter): boolean {
    for (const [dial, caller] of this.#connections.dials) {
      if (caller !== undefined && !caller.settled) continue;
      this.#connections.dialFor(dial, waiter);
      return true;
    }
    if (!this.#connections.mayOpen) return false;
    this.#connections.open({ caller: waiter });
    return true;
  }

  async #examine(pooled: PooledConnection, waiter: Waiter): Promise<void> {
    const connections = this.#connections;
    pooled.reserved = true;
    waiter.checking = true;
    const verdict = await this.#check.run(pooled, waiter);
    waiter.checking = false;
    pooled.reserved = false;
    if (pooled.state === 'closed') {
      // In the meantime, the pool was closed or the server ended the session.
    } else if (verdict === 'broken' || !isReady(pooled.connection)) {
      connections.close(pooled, pooled.live.expiry.unusable ?? 'broken');
    } else if (verdict === 'replace') this.#replace(pooled, waiter);
    else if (verdict === 'fit' && !waiter.settled && !connections.isSuspended) this.#handOver(pooled, waiter);
    else {
      if (verdict === 'expired')
        this.#waiters.reject(waiter, tokenExpired(this.#settings.source, this.#settings.strictExpiry));
      connections.makeReady(pooled);
    }
    this.#afterReturn();
  }

  /** If its successor is already being opened, that is quicker than another dial. */
  #replace(pooled: PooledConnection, waiter: Waiter): void {
    const { successor } = pooled;
    if (successor?.state !== 'connecting') {
      this.#connections.expire(pooled);
      return;
    }
    pooled.reserved = true;
    pooled.awaitsSuccessor = true;
    waiter.dial = successor;
  }

  /** @internal */
  timedOut({ startedAt }: Waiter): AcquireTimeoutError {
    const waitedMs = performance.now() - startedAt;
    const error = acquireTimedOut(this.stats, {
      timeoutMs: this.#settings.pool.acquireTimeoutMillis,
      openingForMs: this.#connections.openingForMs,
      lastFailure: this.#connections.lastFailure,
      awaitedToken: awaitedToken(this.#settings.source),
      isSuspended: this.#connections.isSuspended,
      waitsFor: this.#connections.dialsWaitFor,
    });
    this.#connections.isUnserved ||= this.#connections.openingForMs > 0;
    publish('checkout:timed-out', () => ({ pool: this.name, waitedMs, error }));
    return error;
  }

  // ---- return ----

  /**
   * Returns a connection. It is closed instead of reused if it nears its limits, is broken, is in the middle of a
   * request or is inside a transaction.
   *
   * @throws NotBorrowedError if it is not borrowed, unless another caller has borrowed it since; {@link use} returns it
   *   exactly once
   */
  release(connection: Connection): void {
    const pooled = this.#returned(connection);
    if (pooled === undefined) return;
    const reason = this.#isClosed ? 'pool-closed' : this.#check.reasonToClose(pooled, this.#connections.isFull);
    if (reason === undefined && this.#connections.endsEarly) this.#connections.sessionsLast();
    // Soft eviction (P8): a successor was opened while this one was borrowed, or for another that still is.
    const isReplaceable = pooled.successor?.standsBy === true ? !this.#isClosed : isPastLimits(reason);
    if (isReplaceable && this.#connections.replaceWithStandby(pooled)) {
      // The successor has taken over.
    } else if (reason !== undefined) this.#connections.close(pooled, reason);
    else if (this.#resets && !this.#isReset(pooled)) return;
    else {
      this.#connections.move(pooled, 'idle');
      const next = pooled.dueOnReturn || this.#connections.isSuspended ? undefined : this.#waiters.first;
      if (next !== undefined && handOvers.isFit(pooled, this.#check)) {
        this.#handOver(pooled, next);
        return;
      }
      pooled.lastUsedAt = this.#timeOfReturn(pooled);
      this.#connections.ready.push(pooled);
      if (pooled.dueOnReturn && !this.#connections.renewOnReturn(pooled)) this.#planBy(0);
    }
    this.#afterReturn();
  }

  /** False if that takes a separate request or is impossible. */
  #isReset(pooled: PooledConnection): boolean {
    const need = checkedIn(pooled);
    if (need === 'none' || need === 'flag') return true;
    if (need === 'request') {
      pooled.lastUsedAt = this.#timeOfReturn(pooled);
      const isReset = resetOnReturn(this.#connections, pooled);
      void isReset.then(() => (pooled.missedRenewal ? this.changed() : this.#afterReturn()));
    } else this.#connections.close(pooled, 'reset-failed');
    this.#afterReturn();
    return false;
  }

  /**
   * Closes a borrowed connection instead of returning it.
   *
   * @throws NotBorrowedError
   */
  destroy(connection: Connection): void {
    const pooled = this.#returned(connection);
    if (pooled === undefined) return;
    this.#connections.close(pooled, 'destroyed-by-caller');
    this.#afterReturn();
  }

  /** Runs `fn` with a connection and returns it afterwards, whatever happens. */
  async use<T>(fn: (connection: Connection) => T | Promise<T>, options?: AcquireOptions): Promise<T> {
    requireWork('use()', fn);
    return withCheckout(this, await this.acquire(options), fn, options?.onCheckout);
  }

  /** True while the connection is borrowed from this pool. */
  isBorrowed(connection: Connection): boolean {
    const pooled = this.#connections.of(connection);
    return pooled?.state === 'borrowed' && !pooled.inTransit;
  }

  /** The number of its current checkout; undefined while it is not borrowed. @internal */
  checkoutOf(connection: Connection): number | undefined {
    return this.isBorrowed(connection) ? this.#connections.of(connection)?.checkouts : undefined;
  }

  #returned(connection: Connection): PooledConnection | undefined {
    return noteReturn(this, this.#connections.of(connection), this.#leaks);
  }

  #afterReturn(): void {
    const { size, borrowed } = this.#connections;
    if (this.#waiters.length > 0) this.#serve();
    if (size < this.#settings.pool.min) this.#planBy(0);
    if (borrowed === 0) this.#onAllReturned?.();
  }

  /**
   * Monotonic ms. For a connection that is returned again before the next plan, this is the time of the plan, at most a
   * second ahead: a busy connection is not idle, and reading the clock would be a sixth of the cost of a checkout.
   */
  #timeOfReturn({ lastUsedAt }: PooledConnection): number {
    if (lastUsedAt > this.#firstReturnAt) return this.#planAt;
    const now = performance.now();
    if (this.#firstReturnAt === NEVER) {
      this.#firstReturnAt = now;
      this.#planBy(now + HOLDS_PROCESS_MS);
    }
    return now;
  }

  // ---- housekeeping ----

  /** A connection is ready, has been closed, or could not be opened. @internal */
  changed(): void {
    this.#serve();
    this.#planBy(0);
  }

  /** Sets the only timer, unless it fires sooner anyway. It never keeps the process alive. `at`: monotonic ms. */
  #planBy(at: number): void {
    if (at >= this.#planAt || this.#isClosed) return;
    clearTimeout(this.#timer);
    this.#planAt = at;
    this.#timer = setTimeout(() => this.#keepHouse(), Math.max(0, at - performance.now()));
    this.#timer.unref();
  }

  #keepHouse(): void {
    this.#planAt = NEVER;
    this.#firstReturnAt = NEVER;
    const { pool } = this.#settings;
    const connections = this.#connections;
    if (this.#isClosed || (connections.isEmpty && pool.min === 0)) return;
    const planned = plan(connections, this.#tokens.outlook(), pool, connections.instant());
    carryOut(planned, connections, pool.min, () => this.#serves);
    this.#planBy(planned.nextAt);
    if (this.#leaks !== undefined) this.#planBy(this.#leaks.look(performance.now()));
    this.#serve();
  }

  // ---- state ----

  /** @internal */
  protected parts(): OperatedParts {
    return {
      settings: this.#settings,
      connections: this.#connections,
      isClosed: () => this.#isClosed,
      firstWaiter: () => this.#waiters.first,
      wake: () => this.changed(),
    };
  }

  /** Closes the connection that has been idle for longest, to free its permit; false if none is idle. @internal */
  closeIdle(): boolean {
    const closed = this.#connections.closeIdle();
    this.#afterReturn();
    return closed;
  }

  get stats(): TokenPoolStats {
    const { pool, source } = this.#settings;
    const { size, inUse: borrowed, opening, logins, failedLogins, renewals, evictions } = this.#connections;
    return {
      size,
      available: size - borrowed,
      borrowed,
      pending: this.#waiters.length,
      opening,
      min: pool.min,
      max: pool.max,
      tokenExpiresOn: source?.tokens.peek(source.scope)?.expiresOn,
      logins,
      failedLogins,
      renewals,
      evictions: { ...evictions },
      isSuspended: this.#connections.isSuspended,
      leaks: this.#leaks?.count ?? 0,
      borrowers: this.#leaks?.borrowers ?? [],
    };
  }

  // ---- close ----

  /**
   * Closes the pool: rejects waiting callers, waits for borrowed connections, then closes everything. Nothing is left open.
   *
   * @param options `timeoutMs`: how long to wait for borrowed connections before they are closed while in use. Default 10,000
   *   ms. What a shutdown hook passes instead, such as the name of a signal, is ignored
   * @throws ConfigurationError for invalid options, once the pool is closed
   */
  close(options?: { timeoutMs?: number | undefined }): Promise<void> {
    const { timeoutMs, refusal } = closeTerms(options);
    this.#isClosed = true;
    this.#closing ??= this.#shutDown(timeoutMs);
    return refusal === undefined ? this.#closing : closedOn(this.#closing, refusal);
  }

  async #shutDown(timeoutMs: number): Promise<void> {
    // Listeners run from here on; #closing is set when this first awaits.
    await null;
    clearTimeout(this.#timer);
    this.#waiters.rejectAll(poolClosed);
    const replicaClosed = this.closeReplica(timeoutMs);
    const drained = this.#connections.shutDown(poolClosed());
    const returned = new Promise<void>((resolve) => {
      this.#onAllReturned = resolve;
      if (this.#connections.borrowed === 0) resolve();
    });
    await Promise.race([returned, sleep(timeoutMs, { ref: false })]);
    this.#connections.closeAll('borrowed');
    await Promise.race([drained, sleep(this.#settings.pool.destroyTimeoutMillis, { ref: false })]);
    await replicaClosed;
    publish('pool:closed', () => ({ pool: this.name }));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

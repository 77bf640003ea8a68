import type { Connection } from 'tedious';
import { type EvictionReason, publish } from '../channels.js';
import type { TediousModule } from '../connections/dial.js';
import { Dialer } from '../connections/dialer.js';
import { type ServerMessage, saysTokenExpired } from '../connections/login-failure.js';
import { isReady, type Session, sessionOf } from '../connections/session.js';
import type { Settings } from '../connections/settings.js';
import { AcquireTimeoutError, NotBorrowedError, TokenExpiredError } from '../errors.js';
import type { CachedToken } from '../tokens/cached-token.js';
import { Capacity, type ConnectionBound } from './capacity.js';
import { createResourcePool, type ResourcePool } from './generic-pool.js';
import { Place } from './place.js';
import { selectOne } from './select-one.js';
import { judgeNearEnd, laterToken } from './token-expiry.js';
import { Upkeep, wake } from './upkeep.js';
import { aborted, poolClosed, WaitingCaller } from './waiting-caller.js';

/** How long `close` waits for connections on loan where the caller does not say, ms. */
const CLOSE_TIMEOUT_MS = 10_000;
/** Before all others: a caller whose connection turned out unusable has waited its turn already. */
const AGAIN = 0;
const IN_TURN = 1;

export interface AcquireOptions {
  /** Gives up waiting; the error is an `AbortedError` whose `cause` is the signal's reason. */
  signal?: AbortSignal | undefined;
  /**
   * Since when the caller has been waiting elsewhere, monotonic ms: he has the rest of the time here.
   *
   * @internal
   */
  startedAt?: number | undefined;
}

/** A snapshot of a pool. Times are epoch ms. */
export interface TokenPoolStats {
  /** Connections open, on loan or not. */
  size: number;
  /** Connections that can be handed out now. */
  available: number;
  /** Connections on loan. */
  borrowed: number;
  /** Callers waiting. */
  pending: number;
  /** Connections being opened. */
  opening: number;
  min: number;
  max: number;
  /** End of the current token; undefined before the first, and for SQL login. */
  tokenExpiresOn: number | undefined;
  /** Logins that succeeded and failed since the start. */
  logins: number;
  failedLogins: number;
  /** Connections replaced before they were closed. */
  renewals: number;
  /** Connections closed, by reason. */
  evictions: Readonly<Partial<Record<EvictionReason, number>>>;
}

let pools = 0;

/**
 * A pool of tedious connections that are logged in with fresh tokens. This file is a pool's whole life, in the order in
 * which things happen: opening, checkout, return, background work, close.
 *
 * generic-pool queues callers and bounds places; a place holds a connection (see place.ts). Creating never rejects and
 * destroying never hangs, which is what generic-pool needs to be reliable.
 */
export class TokenPool {
  /** Names the pool in events: server, database, number. */
  readonly name: string;
  readonly #settings: Settings;
  readonly #loadTedious: () => Promise<TediousModule>;
  readonly #dialer: Dialer;
  readonly #capacity: ConnectionBound;
  readonly #places: ResourcePool<Place>;
  readonly #everyPlace = new Set<Place>();
  /** The place of each connection that has one, on loan or not. */
  readonly #placeOf = new Map<Connection, Place>();
  readonly #waiting = new Set<WaitingCaller>();
  readonly #forgetCaller = (caller: WaitingCaller): unknown => this.#waiting.delete(caller);
  /** A caller who left at the last moment has it on loan without knowing. */
  readonly #takeFromLateCaller = (loan: Connection): unknown => this.isOnLoan(loan) && this.release(loan);
  readonly #onEnd: (this: Connection) => void;
  readonly #onErrorMessage: (this: Connection, message: ServerMessage) => void;
  #loans = 0;
  readonly #upkeep: Upkeep;
  #closed: Promise<void> | undefined;
  #open = 0;
  #opening = 0;
  #logins = 0;
  #failedLogins = 0;
  #renewals = 0;
  readonly #evictions: Partial<Record<EvictionReason, number>> = {};
  #lastFailure: Error | undefined;

  /** @param capacity what bounds its connections, where that is more than its own settings */
  constructor(settings: Settings, tedious: () => Promise<TediousModule>, capacity?: ConnectionBound) {
    pools += 1;
    const { configuration, source, pool, beforeConnect } = settings;
    this.#loadTedious = tedious;
    this.name = `${configuration.server}/${configuration.options?.database ?? ''}#${pools}`;
    this.#settings = settings;
    this.#capacity = capacity ?? new Capacity(pool.max + pool.overlap);
    this.#dialer = new Dialer({
      pool: this.name,
      tedious,
      configuration,
      source,
      createTimeoutMs: pool.createTimeoutMillis,
      beforeConnect,
      onTokenRefused: (token) => this.#doomSessionsOf(token),
    });
    const self = this;
    // One function for all connections: a closure each would be most of what a connection costs here.
    this.#onEnd = function () {
      self.#ended(this);
    };
    this.#onErrorMessage = function (message) {
      if (saysTokenExpired(message)) self.#refuseTokenOf(this);
    };
    this.#upkeep = new Upkeep({
      settings,
      places: this.#everyPlace,
      open: () => this.#open,
      pauseMs: () => this.#dialer.pauseMs,
      tryOpen: () => (this.#capacity.tryTake() ? this.#openTaken() : undefined),
      install: (place, session) => this.#install(place, session),
      evict: (place, reason) => this.#vacate(place, reason),
      discard: (session, reason) => this.#hangUp(session, reason),
    });
    this.#places = createResourcePool<Place>(
      { create: () => this.#createPlace(), destroy: (place) => this.#destroyPlace(place) },
      { max: pool.max, min: pool.min, acquireTimeoutMillis: pool.acquireTimeoutMillis },
    );
    publish('pool:opened', () => ({
      pool: this.name,
      server: configuration.server,
      database: configuration.options?.database,
      stats: () => this.stats,
    }));
  }

  // ---- opening ----

  async #createPlace(): Promise<Place> {
    const place = new Place();
    this.#everyPlace.add(place);
    // Where nobody waits for it, it is for `min`, and upkeep knows when to try.
    if (this.#places === undefined || this.#places.pending === 0) this.#upkeep.attendSoon(place);
    else await this.#fill(place);
    return place;
  }

  /** Opens a connection for an empty place. Never rejects: a failure becomes a place that tells its waiter why. */
  #fill(place: Place): Promise<void> {
    place.opening = this.#openInTurn()
      .then(
        (session) => (place.gone ? this.#hangUp(session, 'unneeded') : this.#install(place, session)),
        (error: Error) => {
          // When nobody waits for it, it is not the fault of somebody who comes later.
          if (place.borrowed || this.#places.pending > 0) place.failure = error;
        },
      )
      .finally(() => {
        place.opening = undefined;
        // Whoever asked for it may be gone.
        this.#upkeep.restoreSoon(place);
      });
    return place.opening;
  }

  async #openInTurn(): Promise<Session> {
    const spare = this.#upkeep.takeSpare();
    if (spare !== undefined) return spare;
    await this.#capacity.take();
    return this.#openTaken();
  }

  /** Opens a connection for which capacity has been taken. */
  async #openTaken(): Promise<Session> {
    this.#opening += 1;
    try {
      const session = await this.#dialer.open();
      this.#logins += 1;
      this.#lastFailure = undefined;
      session.connection.on('end', this.#onEnd);
      return session;
    } catch (error) {
      this.#failedLogins += 1;
      this.#lastFailure = error as Error;
      this.#capacity.give();
      throw error;
    } finally {
      this.#opening -= 1;
    }
  }

  #install(place: Place, session: Session): void {
    const replaced = place.fill(session, this.#settings.pool.maxAgeMillis);
    if (replaced === undefined) this.#open += 1;
    else this.#renewed(replaced, session);
    const { connection } = session;
    this.#placeOf.set(connection, place);
    if (session.token !== undefined) connection.on('errorMessage', this.#onErrorMessage);
    this.#upkeep.installed(place);
  }

  #renewed(replaced: Session, { id, token }: Session): void {
    this.#renewals += 1;
    publish('connection:renewed', () => ({
      pool: this.name,
      connection: id,
      replaced: replaced.id,
      tokenExpiresOn: token?.expiresOn,
    }));
    this.#hangUp(replaced, 'renewed');
  }

  /** Nothing is left of a connection, whoever closed it. */
  #ended(connection: Connection): void {
    this.#capacity.give();
    const place = this.#placeOf.get(connection);
    if (place?.session?.connection === connection && !place.borrowed) this.#upkeep.attendSoon(place);
  }

  /** The server will not have the token of a session any more (37396), before its time or after. */
  #refuseTokenOf(connection: Connection): void {
    const place = this.#placeOf.get(connection);
    const token = sessionOf(connection)?.token;
    if (token === undefined) return;
    if (place?.session?.connection === connection) place.doomed = 'token-invalidated';
    this.#settings.source?.tokens.invalidate(token);
    this.#doomSessionsOf(token);
  }

  // ---- checkout ----

  /**
   * A connection whose token has not run out, for the caller alone until `release` or `destroy`.
   *
   * @throws AcquireTimeoutError after `pool.acquireTimeoutMillis`, with the last failure to connect as its cause;
   *   AbortedError; PoolClosedError; and whatever a login or token request failed with, at once
   */
  acquire(options: AcquireOptions = {}): Promise<Connection> {
    const { signal, startedAt } = options;
    if (this.#closed !== undefined) return Promise.reject(poolClosed());
    if (signal?.aborted) return Promise.reject(aborted(signal));
    const caller = new WaitingCaller(signal, startedAt);
    if (this.#places.available === 0) {
      if (startedAt !== undefined) this.#limit(caller);
      return this.#wait(caller, this.#serveInTurn(caller));
    }
    // A place is free: most often its connection is good, and nothing has to be waited for.
    return this.#places.acquire(IN_TURN).then(
      (place) => this.#lendAtOnce(place, caller) ?? this.#wait(caller, this.#serve(caller, place)),
      () => this.#turnAway(caller),
    );
  }

  #serveInTurn(caller: WaitingCaller): Promise<Connection> {
    return this.#places.acquire(IN_TURN).then(
      (place) => this.#lendAtOnce(place, caller) ?? this.#serve(caller, place),
      () => this.#turnAway(caller),
    );
  }

  /** generic-pool has a timer of its own for those who stand in its queue, from the moment they came to it. */
  #limit(caller: WaitingCaller): void {
    caller.leaveAfter(this.#settings.pool.acquireTimeoutMillis, () => this.#timedOut(caller));
  }

  #wait(caller: WaitingCaller, served: Promise<Connection>): Promise<Connection> {
    this.#waiting.add(caller);
    return caller.wait(served, this.#takeFromLateCaller, this.#forgetCaller);
  }

  /** Tries one place after the other until a connection is good. After the first, the caller goes before all others. */
  async #serve(caller: WaitingCaller, first: Place): Promise<Connection> {
    this.#limit(caller);
    let connection = await this.#lendAfterCloserLook(first, caller);
    while (connection === undefined) {
      const place = await this.#places.acquire(AGAIN).catch(() => this.#turnAway(caller));
      connection = this.#lendAtOnce(place, caller) ?? (await this.#lendAfterCloserLook(place, caller));
    }
    return connection;
  }

  /** generic-pool has none for him any more: it is closing, or its timer has run out. */
  #turnAway(caller: WaitingCaller): never {
    throw this.#closed !== undefined || caller.hasLeft ? poolClosed() : this.#timedOut(caller);
  }

  /** The connection of a place that needs no closer look. */
  #lendAtOnce(place: Place, caller: WaitingCaller): Connection | undefined {
    // From here on upkeep leaves it alone.
    place.borrowed = true;
    if (place.session === undefined && place.opening === undefined) this.#takeOverIdle(place);
    const { session } = place;
    const good =
      session !== undefined &&
      place.doomed === undefined &&
      Date.now() < place.lookAt &&
      isReady(session.connection) &&
      !this.#needsTest &&
      !caller.hasLeft &&
      this.#closed === undefined;
    return good ? this.#lend(place, session, caller) : undefined;
  }

  /** generic-pool may give an empty place although another one holds an idle connection: nobody waits for a login then. */
  #takeOverIdle(place: Place): void {
    if (this.#open <= this.#loans) return;
    for (const other of this.#everyPlace) {
      if (other.borrowed || other.session === undefined || !isReady(other.session.connection)) continue;
      this.#placeOf.set(other.session.connection, place);
      place.takeFrom(other);
      this.#upkeep.moved(place, other);
      return;
    }
  }

  /** Undefined where the place was no good; it is given up then. */
  async #lendAfterCloserLook(place: Place, caller: WaitingCaller): Promise<Connection | undefined> {
    await this.#awaitLogin(place, caller);
    const verdict = await this.#judge(place, caller);
    if (verdict === 'serve' && !(await this.#works(place, caller))) place.doomed ??= 'broken';
    // Much may have happened meanwhile.
    if (this.#closed !== undefined || caller.hasLeft) {
      this.#comeBack(place);
      throw poolClosed();
    }
    const { session } = place;
    if (session === undefined) {
      const { failure } = place;
      this.#drop(place, 'broken');
      if (failure !== undefined) throw failure;
      return undefined;
    }
    if (verdict === 'refuse') {
      this.#putBack(place);
      throw new TokenExpiredError('The token of every connection is near its end and no later one can be had.', {
        hint: 'strictExpiry is on: without it the session would have gone on serving.',
      });
    }
    if (!isReady(session.connection)) place.doomed ??= 'broken';
    if (verdict === 'serve' && place.doomed === undefined) return this.#lend(place, session, caller);
    this.#drop(place, place.doomed ?? (place.isTooOld ? 'max-age' : 'token-expiry'));
    return undefined;
  }

  /** Where a login for this very place is under way, that is quicker than another one; an empty place gets one. */
  async #awaitLogin(place: Place, caller: WaitingCaller): Promise<void> {
    const empty = place.session === undefined && place.failure === undefined;
    if (empty && place.opening === undefined && this.#closed === undefined && !caller.hasLeft) void this.#fill(place);
    if (place.opening === undefined || !this.#isDueForReplacement(place)) return;
    await caller.outlast(place.opening);
    this.#letSuccessorTakeOver(place);
  }

  /** P2: inside the eviction margin only where no later token can be had, and never with `strictExpiry`. */
  async #judge(place: Place, caller: WaitingCaller): Promise<'serve' | 'replace' | 'refuse'> {
    const { source, strictExpiry } = this.#settings;
    if (place.isTooOld) return 'replace';
    if (place.session === undefined || source === undefined || Date.now() < place.lookAt) return 'serve';
    let verdict: 'serve' | 'replace' | 'refuse' = 'serve';
    const judging = judgeNearEnd(source, place.session, { strictExpiry, signal: caller.signal }).then((found) => {
      verdict = found;
    });
    // Nobody's wait for a token holds a place once he has left.
    await caller.outlast(judging);
    return verdict;
  }

  #isDueForReplacement({ session, lookAt }: Place): boolean {
    if (session === undefined) return true;
    const { source } = this.#settings;
    const now = Date.now();
    return now >= lookAt && source !== undefined && laterToken(source, session, now) !== undefined;
  }

  get #needsTest(): boolean {
    return this.#settings.validateConnection === true || this.#settings.pool.validate !== undefined;
  }

  /** A test that outlasts its caller has failed: nothing may hold a place for ever. */
  async #works({ session }: Place, caller: WaitingCaller): Promise<boolean> {
    if (session === undefined || !this.#needsTest || caller.hasLeft) return true;
    let passed = false;
    const test = this.#test(session.connection).then((result) => {
      passed = result;
    });
    await caller.outlast(test);
    return passed;
  }

  async #test(connection: Connection): Promise<boolean> {
    const { validateConnection, pool } = this.#settings;
    if (pool.validate !== undefined && !(await pool.validate(connection))) return false;
    return validateConnection !== true || (await selectOne(await this.#loadTedious(), connection));
  }

  #lend(place: Place, session: Session, { startedAt }: WaitingCaller): Connection {
    if (place.resting) wake(place);
    place.isLent = true;
    this.#loans += 1;
    publish('checkout', () => ({ pool: this.name, connection: session.id, waitedMs: performance.now() - startedAt }));
    return session.connection;
  }

  #timedOut({ startedAt }: WaitingCaller): AcquireTimeoutError {
    const waitedMs = performance.now() - startedAt;
    const { max, acquireTimeoutMillis } = this.#settings.pool;
    const error = new AcquireTimeoutError(
      `No connection became free within ${acquireTimeoutMillis} ms: ${this.#loans} of ${max} on loan, ${this.#places.pending} callers waiting.`,
      {
        cause: this.#lastFailure,
        hint:
          this.#lastFailure === undefined
            ? 'Return connections sooner, look for one that is never returned, or raise pool.max.'
            : 'No new connection could be opened; the cause says why.',
      },
    );
    publish('checkout:timed-out', () => ({ pool: this.name, waitedMs, error }));
    return error;
  }

  // ---- return ----

  /**
   * Takes a connection back. One whose token nears its end, that is closed, in the middle of a request or inside a
   * transaction is closed and not handed out again.
   *
   * @throws NotBorrowedError
   */
  release(connection: Connection): void {
    this.#comeBack(this.#takeBack(connection));
  }

  #comeBack(place: Place): void {
    this.#letSuccessorTakeOver(place);
    const reason = this.#reasonToDrop(place);
    if (reason === undefined) this.#putBack(place);
    else this.#drop(place, reason);
  }

  /** Soft eviction (P8): the successor was opened while this one was on loan. */
  #letSuccessorTakeOver(place: Place): void {
    const { replacement } = place;
    if (replacement === undefined || this.#closed !== undefined) return;
    place.replacement = undefined;
    if (isReady(replacement.connection)) this.#install(place, replacement);
    else this.#hangUp(replacement, 'broken');
  }

  #reasonToDrop(place: Place): EvictionReason | undefined {
    const { session, doomed, opening } = place;
    if (this.#closed !== undefined) return 'pool-closed';
    if (session === undefined) return opening === undefined ? 'broken' : undefined;
    if (!isReady(session.connection)) return 'broken';
    if ((session.connection as { inTransaction?: boolean }).inTransaction === true) return 'broken';
    if (doomed !== undefined) return doomed;
    if (opening !== undefined || (Date.now() < place.lookAt && !place.renewWhenBack)) return undefined;
    if (place.isTooOld) return 'max-age';
    if (place.renewWhenBack && !this.#upkeep.hasRoom) return place.isRipe ? 'max-age' : 'token-expiry';
    return this.#isDueForReplacement(place) ? 'token-expiry' : undefined;
  }

  /**
   * Closes a connection on loan instead of taking it back.
   *
   * @throws NotBorrowedError
   */
  destroy(connection: Connection): void {
    this.#drop(this.#takeBack(connection), 'destroyed-by-caller');
  }

  /** Runs `fn` with a connection and returns it afterwards, whatever happens. */
  async use<T>(fn: (connection: Connection) => T | Promise<T>, options?: AcquireOptions): Promise<T> {
    const connection = await this.acquire(options);
    try {
      return await fn(connection);
    } finally {
      // The caller may have returned or destroyed it himself.
      if (this.isOnLoan(connection)) this.release(connection);
    }
  }

  /** True while the connection is on loan from this pool. */
  isOnLoan(connection: Connection): boolean {
    return this.#lentPlace(connection) !== undefined;
  }

  #lentPlace(connection: Connection): Place | undefined {
    const place = this.#placeOf.get(connection);
    return place?.isLent === true && place.session?.connection === connection ? place : undefined;
  }

  #takeBack(connection: Connection): Place {
    const place = this.#lentPlace(connection);
    if (place === undefined) {
      throw new NotBorrowedError(
        'This connection is not on loan from this pool: it was returned before, or is not of this pool.',
      );
    }
    place.isLent = false;
    this.#loans -= 1;
    publish('checkin', () => ({ pool: this.name, connection: place.session?.id ?? 0 }));
    return place;
  }

  #putBack(place: Place): void {
    if (place.gone) return;
    this.#letSuccessorTakeOver(place);
    place.borrowed = false;
    place.idleSince = performance.now();
    void this.#places.release(place);
    this.#upkeep.cameBack(place);
  }

  // ---- eviction ----

  /** A token was refused before its time: idle connections that live on it go now, those on loan when they come back. */
  #doomSessionsOf(token: CachedToken): void {
    for (const place of this.#everyPlace) {
      const { replacement } = place;
      if (replacement?.token?.id === token.id) {
        place.replacement = undefined;
        this.#hangUp(replacement, 'token-invalidated');
      }
      if (place.session?.token?.id !== token.id) continue;
      if (place.borrowed) place.doomed = 'token-invalidated';
      else this.#vacate(place, 'token-invalidated');
    }
  }

  /** Closes the connection of an idle place. The place stays with generic-pool, empty, until somebody meets it. */
  #vacate(place: Place, reason: EvictionReason): void {
    const session = place.vacate();
    if (session === undefined) return;
    this.#open -= 1;
    this.#hangUp(session, reason);
    this.#upkeep.attendSoon(place);
  }

  /**
   * Closes the connection that is idle longest, to make room elsewhere; false where none is idle.
   *
   * @internal
   */
  closeIdle(): boolean {
    const idle = [...this.#everyPlace].filter((place) => place.session !== undefined && !place.borrowed);
    const [longest] = idle.sort((a, b) => a.idleSince - b.idleSince);
    if (longest !== undefined) this.#vacate(longest, 'unneeded');
    return longest !== undefined;
  }

  /** Gives up a place that generic-pool has lent us. */
  #drop(place: Place, reason: EvictionReason): void {
    if (place.gone) return;
    place.doomed = reason;
    void this.#places.destroy(place);
  }

  async #destroyPlace(place: Place): Promise<void> {
    const reason = place.doomed ?? 'pool-closed';
    place.gone = true;
    this.#everyPlace.delete(place);
    const { replacement } = place;
    place.replacement = undefined;
    const session = place.vacate();
    if (session !== undefined) {
      this.#open -= 1;
      this.#hangUp(session, reason);
    }
    if (replacement !== undefined) this.#hangUp(replacement, reason);
    if (this.#open < this.#settings.pool.min) for (const other of this.#everyPlace) this.#upkeep.restoreSoon(other);
  }

  #hangUp(session: Session, reason: EvictionReason): void {
    this.#evictions[reason] = (this.#evictions[reason] ?? 0) + 1;
    publish('connection:evicted', () => ({
      pool: this.name,
      connection: session.id,
      reason,
      ageMs: Date.now() - session.openedAt,
    }));
    this.#placeOf.delete(session.connection);
    session.connection.close();
  }

  // ---- state ----

  /**
   * Resolves when `min` connections are open, at least one: a way to learn at the start that the login works.
   *
   * @throws what opening a connection failed with
   */
  async ready(): Promise<void> {
    // Those that are open are acquired too, so that the others are not found idle twice.
    const wanted = Math.max(1, this.#settings.pool.min - this.#loans);
    const acquired = await Promise.allSettled(Array.from({ length: wanted }, () => this.acquire()));
    for (const result of acquired) if (result.status === 'fulfilled') this.release(result.value);
    for (const result of acquired) if (result.status === 'rejected') throw result.reason;
  }

  get stats(): TokenPoolStats {
    const { pool, source } = this.#settings;
    return {
      size: this.#open,
      available: this.#open - this.#loans,
      borrowed: this.#loans,
      pending: this.#places.pending,
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
   * Closes the pool: turns callers away, waits for connections on loan, then closes everything. Nothing is left open.
   *
   * @param options `timeoutMs`: how long to wait for connections on loan before they are closed under their users. Default 10,000
   */
  close({ timeoutMs = CLOSE_TIMEOUT_MS }: { timeoutMs?: number | undefined } = {}): Promise<void> {
    this.#closed ??= this.#shutDown(timeoutMs);
    return this.#closed;
  }

  async #shutDown(timeoutMs: number): Promise<void> {
    // Callers and dials are let go now; #closed is set when this first awaits.
    await null;
    this.#upkeep.stop();
    this.#dialer.close(poolClosed());
    for (const caller of this.#waiting) caller.leave(poolClosed());
    this.#capacity.close();
    const drained = this.#places.drain();
    await Promise.race([drained, timeout(timeoutMs)]);
    for (const place of this.#everyPlace) place.isLent = false;
    this.#loans = 0;
    for (const place of [...this.#everyPlace]) if (place.borrowed) this.#drop(place, 'pool-closed');
    await drained;
    await this.#places.clear();
    await Promise.race([this.#capacity.empty(), timeout(this.#settings.pool.destroyTimeoutMillis)]);
    publish('pool:closed', () => ({ pool: this.name }));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function timeout(ms: number): Promise<void> {
  // Node fires a longer timer at once.
  return new Promise((resolve) => setTimeout(resolve, Math.min(ms, 2 ** 31 - 1)).unref());
}

import { setMaxListeners } from 'node:events';
import type { Connection } from 'tedious';
import { type EvictionReason, publish } from '../channels.js';
import type { TediousModule } from '../connections/dial.js';
import { Dialer } from '../connections/dialer.js';
import { type ServerMessage, saysTokenExpired } from '../connections/login-failure.js';
import { isReady, type Session } from '../connections/session.js';
import type { Settings } from '../connections/settings.js';
import { AbortedError, AcquireTimeoutError, NotOnLoanError, PoolClosedError, TokenExpiredError } from '../errors.js';
import type { HeldToken } from '../tokens/held-token.js';
import { Capacity } from './capacity.js';
import { createResourcePool, type ResourcePool } from './generic-pool.js';
import { Place } from './place.js';
import { selectOne } from './select-one.js';
import { judgeNearEnd, laterToken } from './token-expiry.js';
import { Upkeep, wake } from './upkeep.js';

/** How long `close` waits for connections on loan where the caller does not say, ms. */
const CLOSE_TIMEOUT_MS = 10_000;
/** Before all others: a caller whose connection turned out unusable has waited its turn already. */
const AGAIN = 0;
const IN_TURN = 1;

export interface AcquireOptions {
  /** Gives up waiting; the error is an `AbortedError` whose `cause` is the signal's reason. */
  signal?: AbortSignal | undefined;
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
  readonly #capacity: Capacity;
  readonly #places: ResourcePool<Place>;
  readonly #everyPlace = new Set<Place>();
  readonly #loans = new Map<Connection, Place>();
  readonly #upkeep: Upkeep;
  readonly #closing = new AbortController();
  #closed: Promise<void> | undefined;
  #open = 0;
  #opening = 0;
  #logins = 0;
  #failedLogins = 0;
  readonly #evictions: Partial<Record<EvictionReason, number>> = {};
  #lastFailure: Error | undefined;

  constructor(settings: Settings, tedious: () => Promise<TediousModule>) {
    pools += 1;
    const { configuration, source, pool, beforeConnect } = settings;
    this.#loadTedious = tedious;
    this.name = `${configuration.server}/${configuration.options?.database ?? ''}#${pools}`;
    this.#settings = settings;
    // One listener for each dial and each waiting caller.
    setMaxListeners(0, this.#closing.signal);
    this.#capacity = new Capacity(pool.max + pool.overlap);
    this.#dialer = new Dialer({
      pool: this.name,
      tedious,
      configuration,
      source,
      createTimeoutMs: pool.createTimeoutMillis,
      beforeConnect,
      onTokenRefused: (token) => this.#doomSessionsOf(token),
      signal: this.#closing.signal,
    });
    const self = this;
    this.#upkeep = new Upkeep({
      name: this.name,
      settings,
      get open() {
        return self.#open;
      },
      get pauseMs() {
        return self.#dialer.pauseMs;
      },
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

  /** Never rejects: a failure becomes a place that tells its waiter why. */
  async #createPlace(): Promise<Place> {
    const place = new Place();
    this.#everyPlace.add(place);
    try {
      await this.#capacity.take();
      this.#install(place, await this.#openTaken());
    } catch (error) {
      // Told to whoever waits for it; when nobody does, it is not the fault of somebody who comes later.
      if (this.#places.pending > 0) place.failure = error as Error;
      else this.#upkeep.attendSoon(place);
    }
    return place;
  }

  /** Opens a connection for which capacity has been taken. */
  async #openTaken(): Promise<Session> {
    this.#opening += 1;
    try {
      const session = await this.#dialer.open();
      this.#logins += 1;
      this.#lastFailure = undefined;
      session.connection.once('end', () => this.#capacity.give());
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
    place.idleSince = Date.now();
    if (replaced === undefined) this.#open += 1;
    else this.#hangUp(replaced, 'renewed');
    const { connection, token } = session;
    connection.once('end', () => {
      if (place.session === session && !place.borrowed) this.#upkeep.attendSoon(place);
    });
    connection.on('errorMessage', (message: ServerMessage) => {
      if (token === undefined || !saysTokenExpired(message)) return;
      if (place.session === session) place.doomed = 'token-invalidated';
      this.#settings.source?.tokens.invalidate(token);
      this.#doomSessionsOf(token);
    });
    this.#upkeep.watch(place);
  }

  // ---- checkout ----

  /**
   * A connection whose token has not run out, for the caller alone until `release` or `destroy`.
   *
   * @throws AcquireTimeoutError after `pool.acquireTimeoutMillis`, with the last failure to connect as its cause;
   *   AbortedError; PoolClosedError; and whatever a login or token request failed with, at once
   */
  acquire({ signal }: AcquireOptions = {}): Promise<Connection> {
    if (this.#closed !== undefined) return Promise.reject(poolClosed());
    if (signal?.aborted) return Promise.reject(aborted(signal));
    const startedAt = performance.now();
    const immediate = signal === undefined && this.#places.available > 0;
    const place = this.#places.acquire(IN_TURN);
    if (immediate) return place.then((p) => this.#handOver(p, startedAt, signal));
    return this.#wait(place, startedAt, signal).then((p) => this.#handOver(p, startedAt, signal));
  }

  /** Waits for a place, but not longer than the caller or the pool wants; a place that comes too late goes back. */
  #wait(place: Promise<Place>, startedAt: number, signal: AbortSignal | undefined): Promise<Place> {
    return new Promise((resolve, reject) => {
      const closing = this.#closing.signal;
      let waiting = true;
      const settle = (): void => {
        waiting = false;
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        closing.removeEventListener('abort', onClosing);
      };
      const giveUp = (error: Error): void => {
        settle();
        reject(error);
      };
      const onAbort = (): void => giveUp(aborted(signal as AbortSignal));
      const onClosing = (): void => giveUp(poolClosed());
      const left = this.#settings.pool.acquireTimeoutMillis - (performance.now() - startedAt);
      const timer = setTimeout(() => giveUp(this.#timedOut(startedAt)), Math.max(0, left));
      signal?.addEventListener('abort', onAbort, { once: true });
      closing.addEventListener('abort', onClosing, { once: true });
      place.then(
        (p) => {
          if (waiting) {
            settle();
            resolve(p);
          } else this.#putBack(p);
        },
        // generic-pool's own timer, a moment before or after ours.
        () => waiting && giveUp(this.#timedOut(startedAt)),
      );
    });
  }

  /** The last look before a caller gets a connection. */
  #handOver(place: Place, startedAt: number, signal: AbortSignal | undefined): Connection | Promise<Connection> {
    const { session } = place;
    // From here on upkeep leaves it alone.
    place.borrowed = true;
    if (this.#closed !== undefined) {
      this.#drop(place, 'pool-closed');
      throw poolClosed();
    }
    if (session === undefined) {
      const { failure } = place;
      this.#drop(place, 'broken');
      if (failure !== undefined) throw failure;
      return this.#again(startedAt, signal);
    }
    if (place.doomed !== undefined || !isReady(session.connection)) {
      this.#drop(place, place.doomed ?? 'broken');
      return this.#again(startedAt, signal);
    }
    if (Date.now() >= place.lookAt) return this.#handOverNearEnd(place, session, startedAt, signal);
    return this.#needsTest
      ? this.#lendIfItWorks(place, session, startedAt, signal)
      : this.#lend(place, session, startedAt);
  }

  /** P2: inside the eviction margin only where no later token can be had, and never with `strictExpiry`. */
  async #handOverNearEnd(
    place: Place,
    session: Session,
    startedAt: number,
    signal: AbortSignal | undefined,
  ): Promise<Connection> {
    const { source, strictExpiry } = this.#settings;
    if (Date.now() >= place.retireAt) {
      this.#drop(place, 'max-age');
      return this.#again(startedAt, signal);
    }
    const verdict = source === undefined ? 'serve' : await judgeNearEnd(source, session, { strictExpiry, signal });
    if (signal?.aborted) {
      this.#putBack(place);
      throw aborted(signal);
    }
    if (verdict === 'replace' && place.opening !== undefined) return this.#handOverSuccessor(place, startedAt, signal);
    if (verdict !== 'serve') this.#drop(place, 'token-expiry');
    if (verdict === 'replace') return this.#again(startedAt, signal);
    if (verdict === 'refuse') {
      throw new TokenExpiredError('The token of every connection is near its end and no later one can be had.', {
        hint: 'strictExpiry is on: without it the session would have gone on serving.',
      });
    }
    return this.#needsTest
      ? this.#lendIfItWorks(place, session, startedAt, signal)
      : this.#lend(place, session, startedAt);
  }

  /** Its successor is being opened already: quicker than another login. */
  async #handOverSuccessor(place: Place, startedAt: number, signal: AbortSignal | undefined): Promise<Connection> {
    await this.#wait(
      (place.opening as Promise<void>).then(() => place),
      startedAt,
      signal,
    );
    const arrived = place.replacement !== undefined;
    this.#letSuccessorTakeOver(place);
    if (arrived) return this.#handOver(place, startedAt, signal);
    this.#drop(place, 'token-expiry');
    return this.#again(startedAt, signal);
  }

  get #needsTest(): boolean {
    return this.#settings.validateConnection === true || this.#settings.pool.validate !== undefined;
  }

  async #lendIfItWorks(
    place: Place,
    session: Session,
    startedAt: number,
    signal: AbortSignal | undefined,
  ): Promise<Connection> {
    const { validateConnection, pool } = this.#settings;
    const { connection } = session;
    let good = false;
    try {
      good = pool.validate === undefined || (await pool.validate(connection)) === true;
      if (good && validateConnection === true) good = await selectOne(await this.#loadTedious(), connection);
    } catch {
      good = false;
    }
    if (good && isReady(connection) && place.doomed === undefined) return this.#lend(place, session, startedAt);
    this.#drop(place, place.doomed ?? 'broken');
    return this.#again(startedAt, signal);
  }

  /** Next try of a caller whose place was no good: before everybody else, within the time that is left. */
  #again(startedAt: number, signal: AbortSignal | undefined): Promise<Connection> {
    return this.#wait(this.#places.acquire(AGAIN), startedAt, signal).then((p) => this.#handOver(p, startedAt, signal));
  }

  #lend(place: Place, session: Session, startedAt: number): Connection {
    if (place.resting) wake(place);
    this.#loans.set(session.connection, place);
    publish('checkout', () => ({ pool: this.name, connection: session.id, waitedMs: performance.now() - startedAt }));
    return session.connection;
  }

  #timedOut(startedAt: number): AcquireTimeoutError {
    const waitedMs = performance.now() - startedAt;
    const { max, acquireTimeoutMillis } = this.#settings.pool;
    const error = new AcquireTimeoutError(
      `No connection became free within ${acquireTimeoutMillis} ms: ${this.#loans.size} of ${max} on loan, ${this.#places.pending} callers waiting.`,
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
   * @throws NotOnLoanError
   */
  release(connection: Connection): void {
    const place = this.#takeBack(connection);
    this.#letSuccessorTakeOver(place);
    const reason = this.#reasonToDrop(place);
    if (reason !== undefined) {
      this.#drop(place, reason);
      return;
    }
    if (place.renewWhenBack) this.#upkeep.renew(place);
    this.#putBack(place);
  }

  /** Soft eviction (P8): the successor was opened while this one was on loan. */
  #letSuccessorTakeOver(place: Place): void {
    const { replacement } = place;
    if (replacement === undefined || this.#closed !== undefined) return;
    place.replacement = undefined;
    if (isReady(replacement.connection)) this.#install(place, replacement);
  }

  #reasonToDrop({ session, doomed, lookAt, retireAt, opening }: Place): EvictionReason | undefined {
    if (this.#closed !== undefined) return 'pool-closed';
    if (session === undefined || !isReady(session.connection)) return 'broken';
    if ((session.connection as { inTransaction?: boolean }).inTransaction === true) return 'broken';
    if (doomed !== undefined) return doomed;
    const now = Date.now();
    if (now < lookAt) return undefined;
    if (now >= retireAt) return 'max-age';
    if (opening !== undefined) return undefined;
    const { source } = this.#settings;
    return source !== undefined && laterToken(source, session, now) !== undefined ? 'token-expiry' : undefined;
  }

  /**
   * Closes a connection on loan instead of taking it back.
   *
   * @throws NotOnLoanError
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
      if (this.#loans.has(connection)) this.release(connection);
    }
  }

  /** True while the connection is on loan from this pool. */
  isOnLoan(connection: Connection): boolean {
    return this.#loans.has(connection);
  }

  #takeBack(connection: Connection): Place {
    const place = this.#loans.get(connection);
    if (place === undefined) {
      throw new NotOnLoanError(
        'This connection is not on loan from this pool: it was returned before, or is not of this pool.',
      );
    }
    this.#loans.delete(connection);
    publish('checkin', () => ({ pool: this.name, connection: place.session?.id ?? 0 }));
    return place;
  }

  #putBack(place: Place): void {
    this.#letSuccessorTakeOver(place);
    place.borrowed = false;
    place.idleSince = Date.now();
    void this.#places.release(place);
  }

  // ---- eviction ----

  /** A token was refused before its time: idle connections that live on it go now, those on loan when they come back. */
  #doomSessionsOf(token: HeldToken): void {
    for (const place of this.#everyPlace) {
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

  /** Gives up a place that generic-pool has lent us. */
  #drop(place: Place, reason: EvictionReason): void {
    place.doomed = reason;
    void this.#places.destroy(place);
  }

  async #destroyPlace(place: Place): Promise<void> {
    const reason = place.doomed ?? 'pool-closed';
    place.gone = true;
    this.#everyPlace.delete(place);
    const { replacement } = place;
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
    session.connection.close();
  }

  // ---- state ----

  /**
   * Resolves when `min` connections are open, at least one: a way to learn at the start that the login works.
   *
   * @throws what opening a connection failed with
   */
  async ready(): Promise<void> {
    const wanted = Math.max(1, this.#settings.pool.min) - this.#open;
    const acquired = await Promise.allSettled(Array.from({ length: Math.max(1, wanted) }, () => this.acquire()));
    for (const result of acquired) if (result.status === 'fulfilled') this.release(result.value);
    for (const result of acquired) if (result.status === 'rejected') throw result.reason;
  }

  get stats(): TokenPoolStats {
    const { pool, source } = this.#settings;
    return {
      size: this.#open,
      available: this.#open - this.#loans.size,
      borrowed: this.#loans.size,
      pending: this.#places.pending,
      opening: this.#opening,
      min: pool.min,
      max: pool.max,
      tokenExpiresOn: source?.tokens.peek(source.scope)?.expiresOn,
      logins: this.#logins,
      failedLogins: this.#failedLogins,
      renewals: this.#upkeep.renewals,
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
    this.#closing.abort(poolClosed());
    this.#capacity.close();
    const drained = this.#places.drain();
    await Promise.race([drained, timeout(timeoutMs)]);
    for (const connection of [...this.#loans.keys()]) this.#drop(this.#takeBack(connection), 'pool-closed');
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
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}

function poolClosed(): PoolClosedError {
  return new PoolClosedError('The pool is closed.');
}

function aborted(signal: AbortSignal): AbortedError {
  return new AbortedError('The wait for a connection was aborted.', { cause: signal.reason });
}

import type { EvictionReason } from '../channels.js';
import { isReady, type Session } from '../connections/session.js';
import type { Settings } from '../connections/settings.js';
import { Deadlines } from './deadlines.js';
import type { Place } from './place.js';
import { laterToken } from './token-expiry.js';

/** A connection unused for longer than this is not worth a new login; it is closed, and opened again when needed. */
const IN_USE_LATELY_MS = 30_000;
/** Longest sleep of the timer: a jump of the clock is noticed after this at the latest. */
const LONGEST_SLEEP_MS = 30_000;
/** A difference between wall and monotonic time that is no mere adjustment. */
const JUMP_MS = 1_000;
/** First and longest pause after a failure to open a connection that nobody waits for: a server that refuses is not pestered. */
const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 60_000;

const NEVER = Number.POSITIVE_INFINITY;

/** What upkeep needs of the pool it works for. */
export interface UpkeepHost {
  readonly settings: Settings;
  readonly places: Iterable<Place>;
  /** Places that hold a connection. */
  open(): number;
  /** Starts a connection if the bound on physical connections allows one now. */
  tryOpen(): Promise<Session> | undefined;
  /** Puts a connection into a place, closing the one that was there. */
  install(place: Place, session: Session): void;
  /** Closes the connection of a place that is not on loan. */
  evict(place: Place, reason: EvictionReason): void;
  /** Closes a connection that has no place. */
  discard(session: Session, reason: EvictionReason): void;
  /** Milliseconds until the server is worth asking again. */
  pauseMs(): number;
}

/**
 * The background work on a pool: closes what is idle, replaces what nears its end before it is closed, restores `min`.
 * One timer, set to the next deadline, which never keeps the process alive. It runs on monotonic time; tokens run on wall
 * time, so a jump of the wall clock makes everything due at once.
 */
export class Upkeep {
  readonly #host: UpkeepHost;
  readonly #deadlines = new Deadlines<Place>();
  /** Places that want to be renewed and wait for their turn. */
  #queue: Set<Place> | undefined;
  /** Places whose successor waits for them to come back from their loan. */
  #withSpare: Set<Place> | undefined;
  #renewing = 0;
  #restoring = 0;
  #failures = 0;
  #retryAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #wakeAt = NEVER;
  #wallOffset = Date.now() - performance.now();
  #stopped = false;

  constructor(host: UpkeepHost) {
    this.#host = host;
  }

  /** Call it when a place has got a connection. */
  installed(place: Place): void {
    this.#failures = 0;
    this.#retryAt = 0;
    this.#withSpare?.delete(place);
    this.#queue?.delete(place);
    this.#watch(place);
  }

  /** Call it when a connection has gone from one place, empty now, to another. */
  moved(to: Place, from: Place): void {
    this.#watch(to);
    this.#queue?.delete(from);
    this.restoreSoon(from);
  }

  /** Call it when a place has come back from its loan. */
  cameBack(place: Place): void {
    if (place.session === undefined) this.restoreSoon(place);
    else if (place.renewWhenBack && this.#canImprove(place)) this.#renew(place);
    else {
      const idleAt = place.idleSince + this.#host.settings.pool.idleTimeoutMillis;
      if (place.dueAt > idleAt) this.#schedule(place, idleAt);
    }
  }

  /** Looks at a place as soon as possible. */
  attendSoon(place: Place): void {
    this.#schedule(place, performance.now());
  }

  /** Fills an empty idle place, if connections are missing. */
  restoreSoon(place: Place): void {
    const { session, borrowed, opening, gone } = place;
    if (session === undefined && opening === undefined && !borrowed && !gone) this.attendSoon(place);
  }

  /** A connection can be opened beside the one that it replaces. */
  get hasRoom(): boolean {
    const { pool } = this.#host.settings;
    return pool.overlap > 0 || this.#host.open() < pool.max;
  }

  /**
   * A successor that waits for its place to come back, for somebody who needs a connection now: a loan that never ends must
   * not hold two of the pool's connections.
   */
  takeSpare(): Session | undefined {
    for (const place of this.#withSpare ?? []) {
      this.#withSpare?.delete(place);
      const { replacement } = place;
      if (replacement === undefined) continue;
      place.replacement = undefined;
      if (isReady(replacement.connection)) {
        this.#watch(place);
        return replacement;
      }
      this.#host.discard(replacement, 'broken');
    }
    return undefined;
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#deadlines.clear();
    this.#queue?.clear();
    this.#withSpare?.clear();
  }

  // ---- when ----

  #watch(place: Place): void {
    const wait = this.#dueIn(place);
    this.#schedule(place, performance.now() + wait);
  }

  /** `at` is monotonic. */
  #schedule(place: Place, at: number): void {
    place.dueAt = at;
    if (this.#stopped || at === NEVER) return;
    this.#deadlines.add(place, at);
    if (at < this.#wakeAt) this.#setTimer(at);
  }

  #setTimer(at: number): void {
    clearTimeout(this.#timer);
    this.#wakeAt = at;
    if (at === NEVER) return;
    const sleep = Math.min(Math.max(0, at - performance.now()), LONGEST_SLEEP_MS);
    this.#timer = setTimeout(() => this.#sweep(), sleep);
    this.#timer.unref();
  }

  #sweep(): void {
    const now = performance.now();
    this.#wakeAt = NEVER;
    this.#noticeClockJump(now);
    for (let due = this.#deadlines.takeDue(now); due !== undefined; due = this.#deadlines.takeDue(now)) {
      const place = due.item;
      if (place.dueAt !== due.at || place.gone) continue;
      place.dueAt = NEVER;
      this.#attend(place);
    }
    this.#setTimer(this.#deadlines.next);
  }

  #noticeClockJump(now: number): void {
    const offset = Date.now() - now;
    if (Math.abs(offset - this.#wallOffset) < JUMP_MS) return;
    this.#wallOffset = offset;
    for (const place of this.#host.places) this.#schedule(place, now);
  }

  /** Ms until a place that holds a connection should be looked at. */
  #dueIn(place: Place): number {
    const now = Date.now();
    const { idleTimeoutMillis } = this.#host.settings.pool;
    const sinceReturn = performance.now() - place.idleSince;
    // A loan's return and the end of its connection come by themselves; nothing has to be looked for.
    const idleIn = place.borrowed || place.resting ? NEVER : idleTimeoutMillis - sinceReturn;
    const settled = place.renewWhenBack || place.replacement !== undefined;
    const recheck = settled ? LONGEST_SLEEP_MS : recheckMs(place.session);
    const renewIn = now < place.renewAt ? place.renewAt - now : recheck;
    return Math.max(1, Math.min(idleIn, renewIn));
  }

  // ---- what ----

  #attend(place: Place): void {
    if (place.opening !== undefined) return;
    const { session } = place;
    if (session === undefined) {
      this.#restore(place);
      return;
    }
    const { pool } = this.#host.settings;
    if (!place.borrowed) {
      if (!isReady(session.connection)) {
        this.#host.evict(place, 'broken');
        return;
      }
      if (performance.now() - place.idleSince >= pool.idleTimeoutMillis) {
        if (this.#host.open() > pool.min) {
          this.#host.evict(place, 'idle');
          return;
        }
        rest(place);
      }
    }
    // Looking for a later token is also what has the token refreshed.
    const improvable = Date.now() >= place.renewAt && place.replacement === undefined && this.#canImprove(place);
    if (improvable) place.spreadAgain();
    else if (Date.now() >= place.renewAt) place.waitsForToken = true;
    if (!improvable || Date.now() < place.renewAt) this.#watch(place);
    else if (place.borrowed) {
      place.renewWhenBack = true;
      this.#watch(place);
    } else if (this.#isWorthRenewing(place)) this.#renew(place);
    else this.#host.evict(place, place.isRipe ? 'max-age' : 'token-expiry');
  }

  /** A place past its age is always better replaced; one near the end of its token only by a later token. */
  #canImprove({ session, isRipe }: Place): boolean {
    if (isRipe) return true;
    const { source } = this.#host.settings;
    return source !== undefined && session !== undefined && laterToken(source, session, Date.now()) !== undefined;
  }

  #isWorthRenewing(place: Place): boolean {
    if (!this.hasRoom) return false;
    const { pool } = this.#host.settings;
    return this.#host.open() <= pool.min || performance.now() - place.idleSince < IN_USE_LATELY_MS;
  }

  // ---- opening in the background ----

  /** Opens a connection if now is the time. After a failure one tries, and the others wait for what it finds. */
  #tryOpen(): Promise<Session> | undefined {
    if (this.#pauseMs > 0 || (this.#failures > 0 && this.#renewing + this.#restoring > 0)) return undefined;
    return this.#host.tryOpen();
  }

  get #pauseMs(): number {
    return Math.max(0, this.#retryAt - performance.now(), this.#host.pauseMs());
  }

  #failed(): void {
    const now = performance.now();
    // Those that were under way together have met one failure, not many.
    if (now < this.#retryAt) return;
    this.#failures += 1;
    this.#retryAt = now + Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** (this.#failures - 1));
  }

  // ---- renewal ----

  /** Opens the successor of a place's connection; it takes over at once, or when the old one comes back from its loan. */
  #renew(place: Place): void {
    if (place.opening !== undefined || place.replacement !== undefined) return;
    const spare = this.takeSpare();
    if (spare !== undefined) {
      this.#replace(place, spare);
      return;
    }
    const opening = this.#renewing < this.#host.settings.pool.maxRenewals ? this.#tryOpen() : undefined;
    if (opening === undefined) {
      // Past its margin nobody will be given it; only while the server is in trouble there may be nothing better.
      if (!place.borrowed && Date.now() >= place.lookAt && this.#pauseMs === 0) {
        this.#queue?.delete(place);
        this.#host.evict(place, place.isRipe ? 'max-age' : 'token-expiry');
        return;
      }
      this.#queue ??= new Set();
      this.#queue.add(place);
      // The end of another renewal takes the next from the queue; this is for a bound that other connections have reached.
      this.#schedule(place, performance.now() + Math.max(recheckMs(place.session), this.#pauseMs));
      return;
    }
    this.#queue?.delete(place);
    this.#renewing += 1;
    place.opening = opening.then(
      (session) => {
        this.#renewing -= 1;
        place.opening = undefined;
        this.#replace(place, session);
        this.#nextInQueue();
      },
      () => {
        // The dialer has published the cause. The old connection serves on.
        this.#renewing -= 1;
        place.opening = undefined;
        this.#failed();
        const wait = Math.max(recheckMs(place.session), this.#pauseMs);
        if (!place.gone) this.#schedule(place, performance.now() + wait);
        this.#nextInQueue();
      },
    );
  }

  #replace(place: Place, session: Session): void {
    if (this.#stopped || place.gone) {
      this.#host.discard(session, this.#stopped ? 'pool-closed' : 'unneeded');
      return;
    }
    if (place.borrowed && place.session !== undefined) {
      place.replacement = session;
      this.#withSpare ??= new Set();
      this.#withSpare.add(place);
      this.#watch(place);
    } else this.#host.install(place, session);
  }

  #nextInQueue(): void {
    for (const place of this.#queue ?? []) {
      this.#queue?.delete(place);
      if (place.gone) continue;
      this.attendSoon(place);
      return;
    }
  }

  // ---- min ----

  /** Opens a connection for an empty place while there are fewer than `min`. */
  #restore(place: Place): void {
    if (place.borrowed || this.#host.open() + this.#restoring >= this.#host.settings.pool.min) return;
    const opening = this.#tryOpen();
    if (opening === undefined) {
      this.#schedule(place, performance.now() + Math.max(FIRST_RETRY_MS, this.#pauseMs));
      return;
    }
    this.#restoring += 1;
    place.opening = opening.then(
      (session) => {
        this.#restoring -= 1;
        place.opening = undefined;
        if (this.#stopped || place.gone) this.#host.discard(session, this.#stopped ? 'pool-closed' : 'unneeded');
        else this.#host.install(place, session);
      },
      (error: Error) => {
        this.#restoring -= 1;
        place.opening = undefined;
        if (place.borrowed) place.failure = error;
        this.#failed();
        if (!place.gone) this.#schedule(place, performance.now() + Math.max(FIRST_RETRY_MS, this.#pauseMs));
      },
    );
  }
}

/** How soon to ask again for a later token where there was none: a fraction of the token's life, at most 5 s. */
function recheckMs(session: Session | undefined): number {
  const token = session?.token;
  if (token === undefined) return 1_000;
  return Math.min(5_000, Math.max(50, (token.expiresOn - token.obtainedAt) / 40));
}

/** Lets the process end although this connection is open: `min` connections must not keep an idle process alive (P6). */
function rest(place: Place): void {
  if (place.session === undefined || place.resting) return;
  place.resting = true;
  socketOf(place.session)?.unref();
}

/** The reverse of resting, when the connection is handed out. */
export function wake(place: Place): void {
  place.resting = false;
  if (place.session !== undefined) socketOf(place.session)?.ref();
}

function socketOf({ connection }: Session): import('node:net').Socket | undefined {
  return (connection as unknown as { socket?: import('node:net').Socket }).socket;
}

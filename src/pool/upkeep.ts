import { type EvictionReason, publish } from '../channels.js';
import { isReady, type Session } from '../connections/session.js';
import type { Settings } from '../connections/settings.js';
import { Deadlines } from './deadlines.js';
import type { Place } from './place.js';
import { laterToken } from './token-expiry.js';

/** A connection unused for longer than this is not worth a new login; it is closed, and opened again when needed. */
const IN_USE_LATELY_MS = 30_000;
/** Longest sleep of the timer: after a jump of the clock the next look is never further away. */
const LONGEST_SLEEP_MS = 30_000;
/** Pause before the next try to open a connection in the background, beside the dialer's own back-off. */
const RETRY_MS = 1_000;

const NEVER = Number.POSITIVE_INFINITY;

/** What upkeep needs of the pool it works for. */
export interface UpkeepHost {
  readonly name: string;
  readonly settings: Settings;
  /** Places that hold a connection. */
  readonly open: number;
  /** Starts a connection if the bound on physical connections allows one now. */
  tryOpen(): Promise<Session> | undefined;
  /** Puts a connection into a place that is not on loan, closing the one that was there. */
  install(place: Place, session: Session): void;
  /** Closes the connection of a place that is not on loan. */
  evict(place: Place, reason: EvictionReason): void;
  /** Closes a connection that has no place. */
  discard(session: Session, reason: EvictionReason): void;
  /** Milliseconds until the server is worth asking again. */
  readonly pauseMs: number;
}

/**
 * The background work on a pool: closes what is idle, replaces what nears its end before it is closed, restores `min`.
 * One timer, set to the next deadline, which never keeps the process alive.
 */
export class Upkeep {
  readonly #host: UpkeepHost;
  readonly #deadlines = new Deadlines<Place>();
  /** Places that want to be renewed and wait for their turn. */
  readonly #queue = new Set<Place>();
  #renewing = 0;
  #restoring = 0;
  #timer: NodeJS.Timeout | undefined;
  #wakeAt = NEVER;
  #stopped = false;
  renewals = 0;

  constructor(host: UpkeepHost) {
    this.#host = host;
  }

  /** Looks at a place when it is next due. Call it when its connection has changed. */
  watch(place: Place): void {
    this.#schedule(place, this.#dueAt(place));
  }

  /** Looks at a place as soon as possible. */
  attendSoon(place: Place): void {
    this.#schedule(place, Date.now());
  }

  /** Fills an empty idle place, if connections are missing. */
  restoreSoon(place: Place): void {
    if (place.session === undefined && !place.borrowed && place.opening === undefined) this.attendSoon(place);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#deadlines.clear();
    this.#queue.clear();
  }

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
    const sleep = Math.min(Math.max(0, at - Date.now()), LONGEST_SLEEP_MS);
    this.#timer = setTimeout(() => this.#sweep(), sleep);
    this.#timer.unref();
  }

  #sweep(): void {
    const now = Date.now();
    this.#wakeAt = NEVER;
    for (let due = this.#deadlines.takeDue(now); due !== undefined; due = this.#deadlines.takeDue(now)) {
      const place = due.item;
      if (place.dueAt !== due.at || place.gone) continue;
      place.dueAt = NEVER;
      this.#attend(place, now);
    }
    this.#setTimer(this.#deadlines.next);
  }

  #attend(place: Place, now: number): void {
    if (place.opening !== undefined) return;
    const { session } = place;
    if (session === undefined) {
      this.#restore(place);
      return;
    }
    if (!place.borrowed) {
      if (!isReady(session.connection)) {
        this.#host.evict(place, 'broken');
        return;
      }
      if (now - place.idleSince >= this.#host.settings.pool.idleTimeoutMillis) {
        if (this.#host.open > this.#host.settings.pool.min) {
          this.#host.evict(place, 'idle');
          return;
        }
        rest(place);
      }
    }
    if (now < place.renewAt || place.replacement !== undefined || !this.#canImprove(place, now)) this.watch(place);
    else if (place.borrowed) place.renewWhenBack = true;
    else if (this.#isWorthRenewing(place, now)) this.renew(place);
    else this.#host.evict(place, now >= place.retireAt ? 'max-age' : 'token-expiry');
  }

  /** A place past its age is always better replaced; one near the end of its token only by a later token. */
  #canImprove(place: Place, now: number): boolean {
    if (now >= place.retireAt) return true;
    const { source } = this.#host.settings;
    return source !== undefined && place.session !== undefined && laterToken(source, place.session, now) !== undefined;
  }

  #isWorthRenewing(place: Place, now: number): boolean {
    const { pool } = this.#host.settings;
    if (pool.overlap === 0 && this.#host.open >= pool.max) return false;
    return this.#host.open <= pool.min || now - place.idleSince < IN_USE_LATELY_MS;
  }

  /** Opens the successor of a place's connection; it takes over at once, or when the old one comes back from its loan. */
  renew(place: Place): void {
    if (place.opening !== undefined || place.replacement !== undefined) return;
    const opening = this.#renewing < this.#host.settings.pool.maxRenewals ? this.#host.tryOpen() : undefined;
    if (opening === undefined) {
      this.#queue.add(place);
      // The end of another renewal takes the next from the queue; this is for a bound that other connections have reached.
      this.#schedule(place, Date.now() + recheckMs(place.session));
      return;
    }
    this.#queue.delete(place);
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
        if (!place.gone) this.#schedule(place, Date.now() + Math.max(recheckMs(place.session), this.#host.pauseMs));
        this.#nextInQueue();
      },
    );
  }

  #replace(place: Place, session: Session): void {
    if (this.#stopped || place.gone) {
      this.#host.discard(session, this.#stopped ? 'pool-closed' : 'unneeded');
      return;
    }
    const replaced = place.session;
    if (place.borrowed) place.replacement = session;
    else this.#host.install(place, session);
    this.renewals += 1;
    publish('connection:renewed', () => ({
      pool: this.#host.name,
      connection: session.id,
      replaced: replaced?.id ?? 0,
      tokenExpiresOn: session.token?.expiresOn,
    }));
  }

  #nextInQueue(): void {
    for (const place of this.#queue) {
      this.#queue.delete(place);
      if (place.gone) continue;
      this.attendSoon(place);
      return;
    }
  }

  /** Opens a connection for an empty place while there are fewer than `min`. */
  #restore(place: Place): void {
    if (place.borrowed || this.#host.open + this.#restoring >= this.#host.settings.pool.min) return;
    const opening = this.#host.pauseMs > 0 ? undefined : this.#host.tryOpen();
    if (opening === undefined) {
      this.#schedule(place, Date.now() + Math.max(RETRY_MS, this.#host.pauseMs));
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
      () => {
        this.#restoring -= 1;
        place.opening = undefined;
        if (!place.gone) this.#schedule(place, Date.now() + Math.max(RETRY_MS, this.#host.pauseMs));
      },
    );
  }

  #dueAt(place: Place): number {
    const now = Date.now();
    const { session } = place;
    if (session === undefined) return now;
    const { idleTimeoutMillis } = this.#host.settings.pool;
    const idleAt = place.borrowed || place.resting ? now + idleTimeoutMillis : place.idleSince + idleTimeoutMillis;
    const renewAt =
      place.replacement !== undefined ? NEVER : now < place.renewAt ? place.renewAt : now + recheckMs(session);
    return Math.max(now + 1, Math.min(idleAt, renewAt));
  }
}

/** How soon to ask again for a later token where there was none: a fraction of the token's life, at most 5 s. */
function recheckMs(session: Session | undefined): number {
  const token = session?.token;
  if (token === undefined) return RETRY_MS;
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

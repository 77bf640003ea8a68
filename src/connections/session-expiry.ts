import type { EvictionReason } from '../channels.js';
import { renewalShares } from './renewal-share.js';

/** Sessions are renewed up to this share of their age limit early, so that those opened together do not end together (P11). */
const AGE_JITTER = 0.1;
const NEVER = Number.POSITIVE_INFINITY;
/** Instants are stored relative to the start of the process. */
const EPOCH = Date.now();
/** Stored for a limit that a session does not have. */
const NO_LIMIT = -(2 ** 31);
/** {@link SessionExpiry.share} is stored as a multiple of one part of this. */
const SHARES = 2 ** 16;

/** The times of an access token, epoch ms. */
export interface TokenTimes {
  readonly id: string;
  readonly obtainedAt: number;
  readonly expiresOn: number;
  readonly refreshOn: number;
  readonly loginBefore: number;
  readonly evictAt: number;
  /** The token's own clock, epoch ms: it does not go back when the wall clock is set back. */
  now(): number;
  /** For comparing two tokens: `expiresOn` moves with the wall clock. */
  remainingMs(): number;
}

/** How a session was opened. */
export interface Opening<T extends TokenTimes = TokenTimes> {
  /** The token it logged in with; undefined for SQL login and NTLM. */
  token: T | undefined;
  /** Epoch ms. */
  openedAt: number;
  /** The same instant in monotonic ms. Default: now. */
  openedAtMonotonic?: number | undefined;
  /** How long its login took. */
  dialMs?: number | undefined;
}

/**
 * The limits of one session, epoch ms. Created when it has logged in.
 *
 * A pool may have thousands of sessions, and V8 allocates 16 bytes for each number that is not a small integer. So the start
 * of a session is stored in whole ms from the start of the process, its limits from its own start: small integers for 24 days.
 */
export class SessionExpiry<T extends TokenTimes = TokenTimes> {
  /** The token it logged in with; undefined for SQL login and NTLM. */
  readonly token: T | undefined;
  readonly #openedAt: number;
  readonly #openedAtMonotonic: number;
  readonly #share: number;
  readonly #renewBefore: number;
  #renewAt: number;
  #agedAt: number;
  readonly #retireAt: number;
  readonly #checkAt: number;
  /** The pool has another credential by now. */
  isSuperseded = false;
  /** Set when the server has ended the session or refused its token. */
  unusable: EvictionReason | undefined = undefined;

  /** @param maxAgeMillis 0 for no limit @param random for tests: what spreads renewals */
  constructor(
    { token, openedAt, openedAtMonotonic = performance.now(), dialMs = 0 }: Opening<T>,
    maxAgeMillis: number,
    random?: () => number,
  ) {
    const start = Math.ceil(Math.max(openedAt, token?.now() ?? 0));
    const limited = maxAgeMillis > 0;
    const ageShare = random?.() ?? Math.random();
    const agedAt = limited ? start + Math.round(maxAgeMillis * (1 - AGE_JITTER * (1 - ageShare))) : NEVER;
    const retireAt = limited ? start + maxAgeMillis : NEVER;
    const share = Math.round((random?.() ?? renewalShares.next(token)) * SHARES);
    const renewBefore = token === undefined ? NEVER : lastRenewal(token, start, dialMs);
    const renewAt = token === undefined ? NEVER : renewalTime(token, start, renewBefore, share / SHARES);
    this.token = token;
    this.#openedAt = start - EPOCH;
    // Rounded down: the session's clock may be ahead by a fraction of a millisecond, never behind.
    this.#openedAtMonotonic = Math.floor(openedAtMonotonic);
    this.#share = share;
    this.#renewBefore = after(start, renewBefore);
    this.#agedAt = after(start, agedAt);
    this.#retireAt = after(start, retireAt);
    this.#renewAt = after(start, Math.min(agedAt, renewAt));
    this.#checkAt = after(start, Math.min(retireAt, token?.evictAt ?? NEVER));
  }

  /** When it was opened. */
  get openedAt(): number {
    return EPOCH + this.#openedAt;
  }

  /** Where in the renewal period this session is renewed, 0 to 1 (P11). */
  get share(): number {
    return this.#share / SHARES;
  }

  /** The latest instant at which its successor should be dialed, if there is a later token. */
  get renewBefore(): number {
    return this.#instant(this.#renewBefore);
  }

  /** The earliest instant at which a successor is opened in the background. */
  get renewAt(): number {
    return this.#instant(this.#renewAt);
  }

  /** From here on, its age alone is a reason to renew it. */
  get agedAt(): number {
    return this.#instant(this.#agedAt);
  }

  /** From here on, it is past its maximum age. */
  get retireAt(): number {
    return this.#instant(this.#retireAt);
  }

  /** Before this instant only `unusable` has to be checked: the earlier of eviction margin and maximum age. */
  get checkAt(): number {
    return this.#instant(this.#checkAt);
  }

  #instant(ms: number): number {
    return ms === NO_LIMIT ? NEVER : this.openedAt + ms;
  }

  /**
   * The time on this session's clock, epoch ms: wall time, but never behind the time that has passed since the session was
   * opened. A wall clock that is set back does not lengthen any limit.
   *
   * @param wall `Date.now()`, if the caller has already read it
   * @param monotonic `performance.now()`, likewise
   */
  now(wall = Date.now(), monotonic = performance.now()): number {
    return Math.max(wall, this.openedAt + monotonic - this.#openedAtMonotonic);
  }

  /** Makes a session that still works due for renewal, as soon as there is a permit for it. `now`: epoch ms. */
  supersede(now = this.now()): void {
    this.isSuperseded = true;
    this.#renewAt = after(this.openedAt, Math.min(this.renewAt, now));
    this.#agedAt = after(this.openedAt, Math.min(this.agedAt, now));
  }
}

function after(start: number, instant: number): number {
  return instant === NEVER ? NO_LIMIT : Math.floor(instant - start);
}

/**
 * The end of the time in which a session is renewed: its successor must be there before the eviction margin begins.
 * If logins are slow and tokens short-lived, at least a quarter of that time is kept for spreading renewals.
 */
function lastRenewal({ refreshOn, evictAt }: TokenTimes, openedAt: number, dialMs: number): number {
  const window = Math.max(0, evictAt - Math.max(refreshOn, openedAt));
  return evictAt - Math.min(2 * dialMs, 0.75 * window);
}

/** An instant between refresh and eviction margin, not quite at either end (P11). */
function renewalTime({ refreshOn }: TokenTimes, openedAt: number, renewBefore: number, share: number): number {
  const from = Math.max(refreshOn, openedAt);
  return from + Math.max(0, renewBefore - from) * (0.1 + 0.8 * share);
}

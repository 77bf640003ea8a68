import type { AccessToken } from '../credentials/credential.js';
import { readJwtClaims } from '../credentials/entra/jwt-claims.js';
import { fingerprint } from '../credentials/identity.js';
import { principalOf } from './principal.js';

/** A token this close to its expiry is not used for a login (P1): handshake plus clock skew. */
const LOGIN_MARGIN_MS = 60_000;
/** A pooled connection whose token is this close to its expiry is not handed out again (P2), as in mssql-python. */
const EVICTION_MARGIN_MS = 300_000;
/** If the issuer names no time, a refresh is due halfway, or this long before the expiry if that is later. */
const REFRESH_BEFORE_EXPIRY_MS = 600_000;
/**
 * The refresh is brought forward at random by up to this share of the time until then, so that a fleet does not refresh in
 * lockstep.
 */
const REFRESH_JITTER = 0.1;

/**
 * No access token of Entra lives longer: 28 h with continuous access evaluation, 24 h otherwise. A later expiry is a mistake,
 * such as one in another unit, and the token would never be renewed.
 */
const LONGEST_LIFE_MS = 28 * 3_600_000;

/**
 * When a token that has just been received expires, epoch ms: as given, but no later than its own `exp`. Its remaining life
 * cannot exceed its total life either: on a slow clock, a token appears to be issued in the future (P1).
 */
function earliestExpiry({ token, expiresOnTimestamp }: AccessToken, wall: number): number {
  const { expiresOn = Number.POSITIVE_INFINITY, issuedAt } = readJwtClaims(token) ?? {};
  const lifeMs = issuedAt !== undefined && expiresOn > issuedAt ? expiresOn - issuedAt : Number.POSITIVE_INFINITY;
  return Math.min(expiresOnTimestamp, expiresOn, wall + Math.min(lifeMs, LONGEST_LIFE_MS));
}

/** Margins as a share of the token's life, so that tokens shorter than Entra's usual hour work too. */
export function marginsFor(lifeMs: number): { loginMarginMs: number; evictionMarginMs: number } {
  return {
    loginMarginMs: Math.min(LOGIN_MARGIN_MS, lifeMs / 10),
    evictionMarginMs: Math.min(EVICTION_MARGIN_MS, lifeMs / 4),
  };
}

/**
 * When the refresh of a token is due, epoch ms: the issuer's `refresh_in` if there is one, else max(50 % of its life, 10 min
 * before its expiry), but well before the eviction margin; less up to 10 % of the way there.
 */
export function refreshTime(accessToken: AccessToken, obtainedAt: number): number {
  const { expiresOnTimestamp: expiresOn, refreshAfterTimestamp: asked } = accessToken;
  const ownChoice = Math.max(obtainedAt + (expiresOn - obtainedAt) / 2, expiresOn - REFRESH_BEFORE_EXPIRY_MS);
  // Some issuers ask for a refresh so late that connections would reach their eviction margin before there is a later
  // token.
  const { evictionMarginMs } = marginsFor(Math.max(0, expiresOn - obtainedAt));
  const latest = expiresOn - 1.5 * evictionMarginMs;
  const dueAt = Math.min(asked !== undefined && asked < expiresOn ? asked : ownChoice, latest);
  return Math.floor(dueAt - Math.max(0, dueAt - obtainedAt) * REFRESH_JITTER * Math.random());
}

/** The origin of a token, and when its life began. */
export interface TokenOrigin {
  /** Epoch ms. Default now. */
  obtainedAt?: number | undefined;
  /** When a refresh is due, epoch ms. Default: what the issuer asked for or the token's life suggests, with jitter. */
  refreshOn?: number | undefined;
  /** Another process requested it. Default false. */
  fromStore?: boolean | undefined;
}

/**
 * An access token with all its deadlines (epoch ms). The token itself is private: logging this object shows its times
 * and its id, never the secret.
 *
 * The instants are wall time, because that is how issuers give them, but the wall clock may be set. So they are compared
 * with the token's own clock, {@link CachedToken.now}, and two tokens by {@link CachedToken.remainingMs}.
 */
export class CachedToken {
  readonly #token: string;
  /** Wall time less monotonic time when the token was received. */
  readonly #epoch: number;
  /** Short hash that identifies the token in events and logs. */
  readonly id: string;
  /** The principal of the token, if the token names it. */
  readonly principal: string | undefined;
  /** The expiry that its issuer gave, its own `exp`, or the longest life of any token, whichever is earliest. */
  readonly expiresOn: number;
  readonly obtainedAt: number;
  /** When the issuer wants it refreshed; undefined if the issuer gave no time. */
  readonly refreshAfter: number | undefined;
  /** From this instant on, a background refresh is due. */
  readonly refreshOn: number;
  /** From this instant on, it must not be used for a login. */
  readonly loginBefore: number;
  /** From this instant on, a connection that was opened with it must be replaced. */
  readonly evictAt: number;
  /** Another process requested it. */
  readonly fromStore: boolean;

  constructor(accessToken: AccessToken, origin: TokenOrigin = {}) {
    const wall = Date.now();
    const { token, refreshAfterTimestamp } = accessToken;
    const expiresOn = earliestExpiry(accessToken, wall);
    const bounded = { ...accessToken, expiresOnTimestamp: expiresOn };
    const { obtainedAt = wall, refreshOn = refreshTime(bounded, obtainedAt), fromStore = false } = origin;
    const { loginMarginMs, evictionMarginMs } = marginsFor(Math.max(0, expiresOn - obtainedAt));
    this.#token = token;
    this.#epoch = wall - performance.now();
    this.id = fingerprint(token);
    this.principal = principalOf(token);
    this.expiresOn = expiresOn;
    this.obtainedAt = obtainedAt;
    this.refreshAfter = refreshAfterTimestamp;
    this.refreshOn = refreshOn;
    this.loginBefore = expiresOn - loginMarginMs;
    this.evictAt = expiresOn - evictionMarginMs;
    this.fromStore = fromStore;
  }

  /**
   * The time on this token's clock, epoch ms: wall time, but never less than what has passed on the monotonic clock since
   * the token was received. A wall clock that is set back does not prolong the token (P1); a suspended machine, whose
   * monotonic clock stands still, does not either.
   *
   * @param wall `Date.now()`, if the caller has already read it
   * @param monotonic `performance.now()`, likewise
   */
  now(wall = Date.now(), monotonic = performance.now()): number {
    return Math.max(wall, this.#epoch + monotonic);
  }

  /** Time until the token expires, ms; negative afterwards. Use it to compare two tokens: `expiresOn` moves with the clock. */
  remainingMs(wall?: number, monotonic?: number): number {
    return this.expiresOn - this.now(wall, monotonic);
  }

  /** Whether a login may use it now. */
  isUsable(wall?: number, monotonic?: number): boolean {
    return this.now(wall, monotonic) < this.loginBefore;
  }

  /** The secret. Call it only where the token goes onto the wire. */
  reveal(): string {
    return this.#token;
  }

  /** Whether this is the same token. */
  is(token: string): boolean {
    return this.#token === token;
  }
}

import type { AccessToken } from '../credentials/credential.js';
import { fingerprint } from '../credentials/identity.js';

/** No token this close to its end is used for a login (P1): handshake plus clock skew. */
const LOGIN_MARGIN_MS = 60_000;
/** A pooled connection whose token is this close to its end is not handed out again (P2): as mssql-python does. */
const EVICTION_MARGIN_MS = 300_000;
/** Where the issuer names no time, a refresh is due half-way, or this long before the end where that is later. */
const REFRESH_BEFORE_END_MS = 600_000;
/** Share of the time to the refresh by which it is moved forward at random, so that a fleet does not refresh in step. */
const REFRESH_JITTER = 0.1;

/** Margins as a share of the token's life, so that tokens shorter than Entra's usual hour work too. */
export function marginsFor(lifeMs: number): { loginMarginMs: number; evictionMarginMs: number } {
  return {
    loginMarginMs: Math.min(LOGIN_MARGIN_MS, lifeMs / 10),
    evictionMarginMs: Math.min(EVICTION_MARGIN_MS, lifeMs / 4),
  };
}

/**
 * When the refresh of a token is due, epoch ms: the issuer's `refresh_in` if it gave one, else max(50 % of its life, 10 min
 * before its end), but well before the eviction margin; less up to 10 % of the way there.
 */
export function refreshTime(accessToken: AccessToken, obtainedAt: number): number {
  const { expiresOnTimestamp: expiresOn, refreshAfterTimestamp: asked } = accessToken;
  const ownChoice = Math.max(obtainedAt + (expiresOn - obtainedAt) / 2, expiresOn - REFRESH_BEFORE_END_MS);
  // Some issuers ask for it so late that connections would be in their eviction margin before there is a later token.
  const { evictionMarginMs } = marginsFor(Math.max(0, expiresOn - obtainedAt));
  const latest = expiresOn - 1.5 * evictionMarginMs;
  const dueAt = Math.min(asked !== undefined && asked < expiresOn ? asked : ownChoice, latest);
  return Math.floor(dueAt - Math.max(0, dueAt - obtainedAt) * REFRESH_JITTER * Math.random());
}

/**
 * One access token with every instant that matters about it (all epoch ms). The token itself is private: logging this
 * object shows its times and its id, never the secret.
 */
export class CachedToken {
  readonly #token: string;
  /** Short hash that names the token in events and logs. */
  readonly id: string;
  readonly expiresOn: number;
  /** When it was received. */
  readonly obtainedAt: number;
  /** From here on a refresh is due in the background. */
  readonly refreshOn: number;
  /** From here on it must not be used for a login. */
  readonly loginBefore: number;
  /** From here on a connection that lives on it must be replaced. */
  readonly evictAt: number;

  constructor(accessToken: AccessToken, times: { obtainedAt: number; refreshOn: number }) {
    const lifeMs = Math.max(0, accessToken.expiresOnTimestamp - times.obtainedAt);
    const { loginMarginMs, evictionMarginMs } = marginsFor(lifeMs);
    this.#token = accessToken.token;
    this.id = fingerprint(accessToken.token);
    this.expiresOn = accessToken.expiresOnTimestamp;
    this.obtainedAt = times.obtainedAt;
    this.refreshOn = times.refreshOn;
    this.loginBefore = this.expiresOn - loginMarginMs;
    this.evictAt = this.expiresOn - evictionMarginMs;
  }

  /** The secret. Call it only where the token goes onto the wire. */
  reveal(): string {
    return this.#token;
  }

  /** Whether this is that very token. */
  is(token: string): boolean {
    return this.#token === token;
  }
}

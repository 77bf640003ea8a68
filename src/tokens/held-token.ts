import type { AccessToken } from '../credentials/credential.js';
import { fingerprint } from '../credentials/identity.js';

/** No token this close to its end is used for a login (P1): handshake plus clock skew. */
const LOGIN_MARGIN_MS = 60_000;
/** A pooled connection whose token is this close to its end is not handed out again (P2): as mssql-python does. */
const EVICTION_MARGIN_MS = 300_000;

/** Margins as a share of the token's life, so that tokens shorter than Entra's usual hour work too. */
export function marginsFor(lifeMs: number): { loginMarginMs: number; evictionMarginMs: number } {
  return {
    loginMarginMs: Math.min(LOGIN_MARGIN_MS, lifeMs / 10),
    evictionMarginMs: Math.min(EVICTION_MARGIN_MS, lifeMs / 4),
  };
}

/**
 * One access token with every instant that matters about it (all epoch ms). The token itself is private: logging this
 * object shows its times and its id, never the secret.
 */
export class HeldToken {
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
}

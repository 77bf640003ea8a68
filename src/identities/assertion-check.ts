import type { TokenCredential } from '../credentials/credential.js';
import { userOfAssertion } from '../credentials/entra/jwt-claims.js';
import { fingerprint } from '../credentials/identity.js';
import { CredentialRejectedError, LimitReachedError } from '../errors.js';
import type { CachedToken } from '../tokens/cached-token.js';
import { TokenCache, type WaitOptions } from '../tokens/token-cache.js';

/** How many proven assertions are remembered per user; a user may have several devices. */
const MOST_ASSERTIONS_PER_USER = 16;
/** How many assertions that are being checked or were refused are remembered. */
const MOST_UNPROVEN = 1_000;
/** How long after its expiry Entra still accepts an assertion, ms. */
const CLOCK_SKEW_MS = 300_000;
/** How long an assertion without an expiry counts as valid, ms. */
const UNDATED_ASSERTION_MS = 300_000;

/** An assertion that Entra has accepted. */
export interface Proof {
  credential: TokenCredential;
  /** The token that was issued for it; undefined if it is no longer usable. */
  token: CachedToken | undefined;
}

interface Assertion {
  /** Expiry, epoch ms. */
  until: number;
  credential: TokenCredential;
  /** Requests once for all callers that wait, and respects back-off. */
  tokens: TokenCache;
}

/**
 * Verifies whose assertion it is. The user named in it is only a claim that anyone can make, so an assertion proves
 * nothing until Entra has issued a token for it (P9). Unproven assertions are stored separately: no number of forged
 * ones displaces a user's proof or pool.
 */
export class AssertionCheck {
  readonly #maxUsers: number;
  /** By identity key, then by hash of the assertion; least recently used first. */
  readonly #proven = new Map<string, Map<string, Assertion>>();
  /** By key and hash. */
  readonly #unproven = new Map<string, Assertion>();

  /**
   * @param maxUsers maximum number of users whose proofs are remembered; the least recently used are forgotten first
   */
  constructor(maxUsers: number) {
    this.#maxUsers = maxUsers;
  }

  /**
   * Has Entra check the assertion, unless it has already been proven.
   *
   * @throws CredentialError and its subclasses; LimitReachedError if too many are being checked at once
   */
  async prove(
    key: string,
    { userAssertion, credential }: { userAssertion: string; credential: () => TokenCredential },
    scope: string,
    wait: WaitOptions,
  ): Promise<Proof> {
    const hash = fingerprint(userAssertion);
    const proven = this.#provenBefore(key, hash);
    if (proven !== undefined) {
      return { credential: proven.credential, token: proven.tokens.peek(scope) };
    }
    const id = JSON.stringify([key, hash]);
    const { principal, expiresOn = Date.now() + UNDATED_ASSERTION_MS } = userOfAssertion(userAssertion);
    if (expiresOn + CLOCK_SKEW_MS <= Date.now()) {
      throw new CredentialRejectedError('The assertion has expired.', {
        hint: "Pass the access token of the user's current call.",
      });
    }
    const assertion = this.#unproven.get(id) ?? this.#admit(id, scope, { until: expiresOn, credential: credential() });
    const token = await assertion.tokens.get(scope, wait);
    if (principal !== undefined && userOfAssertion(token.reveal()).principal !== principal) {
      throw new CredentialRejectedError('The token is not for the user named in the assertion; it was not used.');
    }
    this.#unproven.delete(id);
    this.#remember(key, hash, assertion);
    return { credential: assertion.credential, token };
  }

  #provenBefore(key: string, hash: string): Assertion | undefined {
    const ofUser = this.#proven.get(key);
    if (ofUser === undefined) return undefined;
    const now = Date.now();
    for (const [old, { until }] of ofUser) if (until <= now) ofUser.delete(old);
    const assertion = ofUser.get(hash);
    if (assertion !== undefined) this.#remember(key, hash, assertion);
    return assertion;
  }

  /** The last entry of a map is the most recently used one. */
  #remember(key: string, hash: string, assertion: Assertion): void {
    const ofUser = this.#proven.get(key) ?? new Map<string, Assertion>();
    moveToEnd(ofUser, hash, assertion, MOST_ASSERTIONS_PER_USER);
    moveToEnd(this.#proven, key, ofUser, this.#maxUsers);
  }

  #admit(id: string, scope: string, { until, credential }: Omit<Assertion, 'tokens'>): Assertion {
    const now = Date.now();
    for (const [old, assertion] of this.#unproven) {
      if (assertion.until > now && this.#unproven.size < MOST_UNPROVEN) continue;
      const isBeingChecked = assertion.tokens.status(scope).refresh !== undefined;
      if (!isBeingChecked) this.#unproven.delete(old);
    }
    if (this.#unproven.size >= MOST_UNPROVEN) {
      throw new LimitReachedError(`${MOST_UNPROVEN} assertions are being checked at once.`, {
        hint: 'Verify the signature of a token before you pass it to pools.for().',
      });
    }
    const assertion = { until, credential, tokens: new TokenCache(credential) };
    this.#unproven.set(id, assertion);
    return assertion;
  }
}

function moveToEnd<V>(map: Map<string, V>, key: string, value: V, most: number): void {
  map.delete(key);
  map.set(key, value);
  const [first] = map.keys();
  if (map.size > most && first !== undefined) map.delete(first);
}

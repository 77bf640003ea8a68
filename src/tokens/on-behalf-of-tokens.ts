import { createOnBehalfOf } from '../credentials/create-credential.js';
import { userOfAssertion } from '../credentials/entra/jwt-claims.js';
import { fingerprint } from '../credentials/identity.js';
import { requireText } from '../credentials/input/require-option.js';
import type { OnBehalfOfApplication } from '../credentials/methods/on-behalf-of.js';
import { ConfigurationError } from '../errors.js';
import { requireKnownOptions } from '../known-options.js';
import { TOKEN_CACHE_OPTIONS, TokenCache, type TokenCacheOptions } from './token-cache.js';

/** Settings of {@link OnBehalfOfTokens}. */
export interface OnBehalfOfTokensOptions extends TokenCacheOptions {
  /** Maximum number of users whose tokens are kept; the least recently seen is dropped first. Default 1,000. */
  maxUsers?: number | undefined;
}

const MAX_USERS = 1_000;

/**
 * Tokens on behalf of the people who call a web API: one {@link TokenCache} each, found by a hash of the assertion in
 * their call. Each has its own back-off, so that an assertion that is refused never blocks another. While the
 * identity provider throttles the application (429, 503 with `Retry-After`), no request is sent for any of them.
 *
 * @example
 * const people = new OnBehalfOfTokens({ tenantId, clientId, clientSecret });
 * const { token } = await people.for(request.headers.authorization.slice('Bearer '.length)).getToken();
 */
export class OnBehalfOfTokens {
  readonly #application: OnBehalfOfApplication;
  readonly #options: TokenCacheOptions;
  readonly #maxUsers: number;
  /** In the order in which they were last seen. */
  readonly #users = new Map<string, TokenCache>();

  /** @throws ConfigurationError naming the key */
  constructor(application: OnBehalfOfApplication, given: OnBehalfOfTokensOptions = {}) {
    requireKnownOptions('new OnBehalfOfTokens()', given, { maxUsers: true, ...TOKEN_CACHE_OPTIONS });
    const { maxUsers = MAX_USERS, ...options } = given;
    if (typeof maxUsers !== 'number' || !(maxUsers >= 1))
      throw new ConfigurationError("'maxUsers' must be a number greater than 0.");
    if ((application as { userAssertion?: unknown } | undefined)?.userAssertion !== undefined) {
      throw new ConfigurationError("new OnBehalfOfTokens() takes only the application: pass 'userAssertion' to for().");
    }
    createOnBehalfOf(application, 'checks-the-other-options');
    this.#application = application;
    this.#options = options;
    this.#maxUsers = maxUsers;
  }

  /** How many people's tokens are kept. */
  get size(): number {
    return this.#users.size;
  }

  /** The tokens of the person with this access token, given without `Bearer`. */
  for(userAssertion: string): TokenCache {
    // A request without an Authorization header.
    requireText(userAssertion, 'userAssertion');
    userOfAssertion(userAssertion);
    const key = fingerprint(userAssertion);
    const known = this.#users.get(key);
    const tokens = known ?? new TokenCache(createOnBehalfOf(this.#application, userAssertion), this.#options);
    this.#users.delete(key);
    this.#users.set(key, tokens);
    if (this.#users.size > this.#maxUsers) {
      const [eldest] = this.#users.keys();
      if (eldest !== undefined) this.#users.delete(eldest);
    }
    return tokens;
  }
}

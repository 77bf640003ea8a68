import { PrincipalChangedError } from '../errors.js';
import type { CachedToken } from './cached-token.js';
import type { TokenCache, WaitOptions } from './token-cache.js';
import type { TokenStatus } from './token-refresher.js';

/** The part of a token cache that a pool uses. */
interface Tokens extends Pick<TokenCache, 'identity' | 'current' | 'get' | 'peek'> {
  // Not picked: they are internal, so the declarations that are published do not have them.
  status(scope?: string): TokenStatus;
  offer(token: CachedToken, scope?: string): void;
  invalidate(token: CachedToken, scope?: string): boolean;
}

/** The tokens of a pool, whose cache may be replaced by that of another credential of the same principal. */
export interface PoolTokens extends Tokens {
  switchTo?(cache: Tokens, scope: string, wait?: WaitOptions): Promise<CachedToken | undefined>;
}

/** Claims are untrusted: only a single line of harmless characters is repeated. */
const PRINTABLE = /^[\w@.:/ -]{1,200}$/;

/**
 * The tokens of one pool, all for the principal of the first one. A credential may start to return tokens of another
 * principal: a function that answers for the user of the current request, a chain in which another member has become
 * available, a developer who signs in with another account. A pool with sessions of both would hand them out at random
 * (P9), so such a token is refused. The last token of the pool's own principal is used until it expires (P4).
 *
 * Each pool has its own instance: a new pool with the same credential starts with the credential's principal at that
 * time.
 */
export class OnePrincipal implements PoolTokens {
  #cache: Tokens;
  /** The pool's own principal, if its tokens name it, once there has been a token. */
  #principal: string | undefined;
  #hasHadToken = false;
  /** The latest token of the pool's own principal, and its scope. */
  #latest: CachedToken | undefined;
  #latestScope: string | undefined;
  #refusal: PrincipalChangedError | undefined;
  #switches = 0;
  /** The call of `switchTo` whose cache is in use. */
  #switchedAt = 0;

  constructor(cache: Tokens) {
    this.#cache = cache;
  }

  get identity(): string {
    return this.#cache.identity;
  }

  current(scope?: string): CachedToken | undefined {
    return this.#accept(this.#cache.current(scope), scope);
  }

  peek(scope?: string): CachedToken | undefined {
    const token = this.#cache.peek(scope);
    return token === undefined || this.isOwn(token) ? token : this.#latestFor(scope);
  }

  status(scope?: string): TokenStatus {
    const status = this.#cache.status(scope);
    const { current } = status;
    if (current === undefined || this.isOwn(current)) return status;
    return { ...status, current: this.#latestFor(scope), failure: this.#refuse(current) };
  }

  /** @throws PrincipalChangedError, and the errors of the cache */
  async get(scope?: string, options?: WaitOptions): Promise<CachedToken> {
    const token = await this.#cache.get(scope, options);
    const accepted = this.#accept(token, scope);
    if (accepted === undefined) throw this.#refuse(token);
    return accepted;
  }

  invalidate(token: CachedToken, scope?: string): boolean {
    // The cache may hold another principal's token by now and would not recognize this one.
    if (this.#latest?.id === token.id) this.#latest = undefined;
    return this.#cache.invalidate(token, scope);
  }

  offer(token: CachedToken, scope?: string): void {
    this.#cache.offer(token, scope);
  }

  /**
   * Continues with another cache, once that has a token for this pool's principal. Undefined if a later call has
   * finished first.
   *
   * @throws PrincipalChangedError, also if either token does not name its principal; and the errors of the cache
   */
  async switchTo(cache: Tokens, scope: string, wait?: WaitOptions): Promise<CachedToken | undefined> {
    this.#switches += 1;
    const turn = this.#switches;
    const token = await cache.get(scope, wait);
    // A later call that has failed does not count.
    if (turn < this.#switchedAt) return undefined;
    const isProven = !this.#hasHadToken || (token.principal !== undefined && this.isOwn(token));
    if (!isProven) throw principalChanged(this.#principal, token.principal);
    this.#switchedAt = turn;
    this.#cache = cache;
    this.#keep(token, scope);
    this.#refusal = undefined;
    return token;
  }

  /** Whether a token is for this pool's principal; true for any token while the pool has none. */
  isOwn(token: CachedToken): boolean {
    return !this.#hasHadToken || token.principal === this.#principal;
  }

  #accept(token: CachedToken | undefined, scope: string | undefined): CachedToken | undefined {
    if (token === undefined || token === this.#latest) return token;
    if (!this.isOwn(token)) return this.#latestFor(scope);
    this.#keep(token, scope);
    return token;
  }

  #keep(token: CachedToken, scope: string | undefined): void {
    this.#principal = token.principal;
    this.#hasHadToken = true;
    this.#latest = token;
    this.#latestScope = scope;
  }

  #latestFor(scope: string | undefined): CachedToken | undefined {
    const latest = this.#latest;
    return this.#latestScope === scope && latest?.isUsable() ? latest : undefined;
  }

  #refuse({ principal }: CachedToken): PrincipalChangedError {
    this.#refusal ??= principalChanged(this.#principal, principal);
    return this.#refusal;
  }
}

function principalChanged(own: string | undefined, other: string | undefined): PrincipalChangedError {
  return new PrincipalChangedError(
    `The credential now returns tokens of another principal (${named(other)}) than this pool's (${named(own)}). They are not used.`,
    {
      hint: 'A pool is for one principal: use createTokenPools() for several users. If the change is intended, create a new pool.',
    },
  );
}

function named(principal: string | undefined): string {
  if (principal === undefined) return 'not named in the token';
  return PRINTABLE.test(principal) ? principal : 'with an unprintable name';
}

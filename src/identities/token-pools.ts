import type { Connection } from 'tedious';
import { definedOnly, refuseReadOnly } from '../connections/check-config.js';
import type { TokenPoolConfig } from '../connections/config.js';
import { configFromConnectionString } from '../connections/connection-string-config.js';
import { type Settings, settingsFrom } from '../connections/settings.js';
import type { TokenCredential } from '../credentials/credential.js';
import {
  AbortedError,
  AcquireTimeoutError,
  ConfigurationError,
  LimitReachedError,
  NotBorrowedError,
  PoolClosedError,
} from '../errors.js';
import { closedOn, closeTerms, refusalOf, requireWork } from '../pool/call-options.js';
import { withCheckout } from '../pool/checkout.js';
import { CheckoutStack } from '../pool/checkout-stack.js';
import { type LimitShare, SharedLimit } from '../pool/connection-limit.js';
import type { AcquireOptions, ConnectionSource, SourceStats } from '../pool/connection-source.js';
import { healthOfAll, type PoolHealth } from '../pool/health.js';
import { LoginPacing } from '../pool/login-pacing.js';
import { TokenPool } from '../pool/token-pool.js';
import type { CachedToken } from '../tokens/cached-token.js';
import type { EncryptedTokenStore } from '../tokens/encrypted-token-store.js';
import { sharedTokenCache } from '../tokens/shared-token-cache.js';
import type { WaitOptions } from '../tokens/token-cache.js';
import { AdmissionQueue } from './admission-queue.js';
import { AssertionCheck } from './assertion-check.js';
import { checkPoolsConfig, MOST_POOLS, type TokenPoolsConfig } from './check-pools-config.js';
import { CurrentIdentity, type IdentityPool } from './current-identity.js';
import { type Identity, type KeyedIdentity, keyedIdentity } from './identity-key.js';
import { type SwitchingCredential, switchingCredential } from './switching-credential.js';

/** A snapshot of all pools together. */
export interface TokenPoolsStats extends SourceStats {
  pools: number;
  maxPools: number;
  maxConnections: number;
}

/**
 * Some connections become idle without a return that is visible here, e.g. when the caller gave up during the login.
 */
const LOOK_AGAIN_MS = 100;

const CLOSED: PoolHealth = { status: 'down', reasons: [{ code: 'closed', message: 'The pools are closed.' }] };

const NOTHING: SourceStats = { size: 0, opening: 0, available: 0, borrowed: 0, pending: 0 };

/** An identity that has a pool. */
interface Entry {
  key: string;
  pool: TokenPool;
  share: LimitShare;
  settings: Settings;
  switching: SwitchingCredential | undefined;
  /** Callers that wait for a connection or hold one. */
  users: number;
}

/** The credential to continue with, and its token if it was requested for this caller. */
interface Proven {
  credential: TokenCredential;
  token: CachedToken | undefined;
}

/**
 * Creates a pool for each identity, under one limit for all.
 *
 * @param config like that of `createTokenPool`, with `maxConnections` and `maxPools`; or an ADO.NET connection string
 * @throws ConfigurationError that names the setting and how to fix it
 * @example
 * const pools = createTokenPools({ server, database, authentication: { tenantId, clientId, clientSecret } });
 * const rows = await pools.for({ userAssertion }).use((connection) => query(connection, 'SELECT ...'));
 */
export function createTokenPools(config: TokenPoolsConfig | string): TokenPools {
  return new TokenPools(typeof config === 'string' ? (configFromConnectionString(config) as TokenPoolsConfig) : config);
}

/**
 * Pools by identity. A connection is only ever used by the identity it was opened for (P9): pools share nothing but limits.
 *
 * An identity is proven before it gets a pool: its credential has to obtain a token. When a limit is reached, the pool
 * that has been idle for the longest time is closed, then idle connections of others; connections in use never are.
 * Callers that still have to wait are served in order, the identity with the fewest connections first.
 */
export class TokenPools implements AsyncDisposable {
  readonly #config: Omit<TokenPoolsConfig, 'maxConnections' | 'maxPools' | 'maxOpening'>;
  readonly #maxPools: number;
  readonly #waitMs: number;
  /** Scope in which an identity without a pool is proven. */
  readonly #scope: string;
  readonly #limit: SharedLimit;
  readonly #pacing: LoginPacing;
  #isSuspended = false;
  readonly #assertions: AssertionCheck;
  /** In the order in which they were last used. */
  readonly #entries = new Map<string, Entry>();
  /** One object for each checkout. */
  readonly #borrowed = new Map<Connection, { readonly entry: Entry }>();
  readonly #returns = {
    checkoutOf: (connection: Connection): unknown => this.#borrowed.get(connection),
    release: (connection: Connection): void => this.#return(connection, false),
    destroy: (connection: Connection): void => this.#return(connection, true),
  };
  readonly #queue = new AdmissionQueue();
  readonly #currentIdentity = new CurrentIdentity();
  #lookAgain: NodeJS.Timeout | undefined;
  readonly #closings = new Set<Promise<void>>();
  #closed: Promise<void> | undefined;

  /** Use {@link createTokenPools}. */
  constructor(config: TokenPoolsConfig) {
    refuseReadOnly(config as TokenPoolConfig, 'createTokenPools()');
    const { maxConnections, maxPools, maxOpening, acquireTimeoutMillis, scope, forEach } = checkPoolsConfig(config);
    this.#pacing = new LoginPacing(maxOpening);
    this.#config = forEach;
    this.current = this.#currentSource();
    this.#maxPools = maxPools;
    this.#waitMs = acquireTimeoutMillis;
    this.#scope = scope;
    this.#assertions = new AssertionCheck(Math.max(maxPools, MOST_POOLS));
    this.#limit = new SharedLimit(maxConnections, () => this.#makeWay());
  }

  // ---- identities ----

  /**
   * The connections of one identity. Nothing is opened before the first is requested.
   *
   * @throws ConfigurationError if the identity has no credential or no key can be derived
   */
  for(identity: Identity): IdentityPool {
    const keyed = keyedIdentity(identity, this.#config);
    const pools = this;
    return {
      key: keyed.key,
      acquire: (options) => pools.#acquire(keyed, options),
      release: pools.#returns.release,
      destroy: pools.#returns.destroy,
      use: (fn, options) => pools.#use(keyed, fn, options),
      get stats() {
        return pools.#entries.get(keyed.key)?.pool.stats ?? NOTHING;
      },
    };
  }

  /**
   * Runs `fn`, and everything that it starts, for an identity: {@link current} yields this identity's connections there.
   *
   * @throws ConfigurationError if the identity has no credential or no key can be derived
   */
  run<T>(identity: Identity | IdentityPool, fn: () => T): T {
    if (typeof fn !== 'function') {
      throw new ConfigurationError('pools.run(identity, fn) needs a function.', {
        hint: 'Only what the function starts runs for the identity: pools.run(identity, () => queries()).',
      });
    }
    return this.#currentIdentity.run(isIdentityPool(identity) ? identity : this.for(identity), fn);
  }

  /**
   * A pool for an ORM or for mssql's `ConnectionPool`: its connections are those of the identity for which {@link run} was
   * called. Outside `run` a checkout throws; it never yields another identity's connection. ORMs may be set up outside.
   */
  readonly current: ConnectionSource;

  #currentSource(): ConnectionSource {
    const pools = this;
    return {
      acquire: async (options) => pools.#currentIdentity.get().acquire(options),
      release: pools.#returns.release,
      destroy: pools.#returns.destroy,
      use: async (fn, options) => pools.#currentIdentity.get().use(fn, options),
      close: (options) => pools.close(options),
      captureStack: (this.#config.pool?.leakDetectionMillis ?? 0) > 0 ? (below) => new CheckoutStack(below) : undefined,
      get stats() {
        return pools.stats;
      },
      get isForNoIdentity() {
        return !pools.#currentIdentity.isKnown;
      },
    };
  }

  // ---- checkout ----

  async #acquire(identity: KeyedIdentity, options: AcquireOptions = {}): Promise<Connection> {
    const refusal = refusalOf(options);
    if (refusal !== undefined) throw refusal;
    const startedAt = performance.now();
    const deadline = startedAt + this.#waitMs;
    const leftMs = (): number => Math.max(1, Math.ceil(deadline - performance.now()));
    this.#refuseIfOver(options.signal);
    const proven = await this.#prove(identity, { timeoutMs: leftMs(), abortSignal: options.signal });
    const entry = await this.#enter(identity, deadline, options.signal).catch((error) => {
      // If it was this caller's turn, it passes to the next one.
      this.#queue.wakeNext();
      throw error;
    });
    try {
      this.#switchTo(entry, proven);
      const connection = await this.#checkOut(entry, { ...options, startedAt });
      this.#borrowed.set(connection, { entry });
      return connection;
    } catch (error) {
      this.#leave(entry);
      throw error;
    }
  }

  /**
   * Proves an identity before anything is closed for its sake. The user named in an assertion is only a claim, so Entra
   * is asked for a token with each new one. Any other credential is proven by the application that passes it, or by its
   * first token.
   */
  async #prove(identity: KeyedIdentity, wait: WaitOptions): Promise<Proven> {
    const { key, userAssertion } = identity;
    const entry = this.#entries.get(key);
    const scope = entry?.settings.source?.scope ?? this.#scope;
    if (userAssertion !== undefined) {
      return this.#assertions.prove(key, { userAssertion, credential: identity.credential }, scope, wait);
    }
    const credential = identity.credential();
    if (entry !== undefined) return { credential, token: undefined };
    const tokens = sharedTokenCache(credential, { tokenStore: this.#storeFor(identity, credential) }, this.#waitMs);
    return { credential, token: await tokens.get(scope, wait) };
  }

  /** The pool continues with the newest credential of its identity, and with the token that proved it. */
  #switchTo({ switching, settings: { source } }: Entry, { credential, token }: Proven): void {
    if (switching === undefined || source === undefined) return;
    if (token !== undefined) switching.check(token.reveal());
    switching.switchTo(credential);
    const current = source.tokens.peek(source.scope);
    if (token !== undefined && token.id !== current?.id) source.tokens.offer(token, source.scope);
  }

  async #checkOut(entry: Entry, options: AcquireOptions): Promise<Connection> {
    try {
      return await entry.pool.acquire(options);
    } catch (error) {
      if (!(error instanceof AcquireTimeoutError) || entry.share.waiting === 0) throw error;
      throw this.#limitReached(`${this.#limit.max} connections are open, all in use`, 'maxConnections', error);
    }
  }

  /** The entry of an identity, with one more user, so that it does not count as idle. */
  async #enter(identity: KeyedIdentity, deadline: number, signal: AbortSignal | undefined): Promise<Entry> {
    for (let again = false; ; again = true) {
      this.#refuseIfOver(signal);
      const entry = this.#entries.get(identity.key) ?? this.#open(identity, again);
      if (entry !== undefined) {
        entry.users += 1;
        // Last in the map is last used.
        this.#entries.delete(entry.key);
        this.#entries.set(entry.key, entry);
        this.#queue.wakeNext();
        return entry;
      }
      const left = deadline - performance.now();
      if (left <= 0) throw this.#limitReached(`${this.#maxPools} identities have pools, all in use`, 'maxPools');
      await this.#queue.wait(identity.key, left, signal, again);
      this.#queue.arrived();
    }
  }

  #refuseIfOver(signal: AbortSignal | undefined): void {
    if (this.#closed !== undefined) throw new PoolClosedError('The pools are closed.');
    if (signal?.aborted) throw new AbortedError('The wait for a connection was aborted.', { cause: signal.reason });
  }

  /** A new pool, if the limit allows one; waiting callers go before callers that arrive. */
  #open(identity: KeyedIdentity, hasWaited: boolean): Entry | undefined {
    if (!this.#queue.isEmpty && !hasWaited) return undefined;
    if (!this.#mayOpen) return undefined;
    if (this.#entries.size >= this.#maxPools) this.#closePool(this.#idlePools().next().value as Entry);
    const { key, switches } = identity;
    const credential = identity.credential();
    const switching = switches ? switchingCredential(credential) : undefined;
    const settings = settingsFrom({
      ...this.#config,
      pool: { resetSession: 'always', ...definedOnly(this.#config.pool ?? {}) },
      authentication: switching?.credential ?? credential,
      tokenStore: this.#storeFor(identity, credential),
    } as TokenPoolConfig);
    const share = this.#limit.share(settings.pool.max + settings.pool.overlap);
    const pool = new TokenPool(settings, { limit: share, pacing: this.#pacing });
    if (this.#isSuspended) pool.suspend();
    const entry: Entry = { key, pool, share, settings, switching, users: 0 };
    this.#entries.set(key, entry);
    this.#queue.wakeAll(key);
    return entry;
  }

  /** A user's tokens are not shared with other processes, which have no proof of the user's consent. */
  #storeFor({ switches }: KeyedIdentity, credential: TokenCredential): EncryptedTokenStore | undefined {
    const { tokenStore } = this.#config;
    return switches || tokenStore?.keyOf(credential) === undefined ? undefined : tokenStore;
  }

  get #mayOpen(): boolean {
    return this.#entries.size < this.#maxPools || this.#idlePools().next().value !== undefined;
  }

  async #use<T>(
    identity: KeyedIdentity,
    fn: (connection: Connection) => T | Promise<T>,
    options?: AcquireOptions,
  ): Promise<T> {
    requireWork('use()', fn);
    return withCheckout(this.#returns, await this.#acquire(identity, options), fn, options?.onCheckout);
  }

  // ---- return ----

  #return(connection: Connection, isBroken: boolean): void {
    const entry = this.#borrowed.get(connection)?.entry;
    if (entry === undefined) {
      throw new NotBorrowedError(
        'This connection is not borrowed from these pools: it was already returned, or belongs to another pool.',
      );
    }
    this.#borrowed.delete(connection);
    // Its pool may have closed it when the time limit of `close` ran out.
    if (entry.pool.isBorrowed(connection)) {
      if (isBroken || this.#limit.shouldYield(entry.share)) entry.pool.destroy(connection);
      else entry.pool.release(connection);
    }
    this.#leave(entry);
  }

  #leave(entry: Entry): void {
    entry.users -= 1;
    if (this.#limit.waiting > 0) this.#makeWay();
    if (entry.users === 0) this.#queue.wakeAnother();
  }

  // ---- limits ----

  /** Pools without users, the one unused longest first. */
  *#idlePools(): Generator<Entry, undefined> {
    for (const entry of this.#entries.values()) if (entry.users === 0) yield entry;
  }

  /** Closes an idle pool or an idle connection. */
  #makeWay(): void {
    this.#keepLooking();
    for (const idle of this.#idlePools()) {
      this.#closePool(idle);
      // A pool without connections frees none; it would have been closed next anyway.
      if (idle.share.taken > 0) return;
    }
    for (const entry of this.#entries.values()) if (entry.pool.closeIdle()) return;
  }

  #keepLooking(): void {
    if (this.#lookAgain !== undefined) return;
    this.#lookAgain = setTimeout(() => {
      this.#lookAgain = undefined;
      if (this.#limit.waiting > 0) this.#makeWay();
    }, LOOK_AGAIN_MS);
    this.#lookAgain.unref();
  }

  /** The pool is no longer used: the next caller of this identity gets a new one. */
  #closePool(entry: Entry): void {
    this.#entries.delete(entry.key);
    const closing = entry.pool.close().finally(() => this.#closings.delete(closing));
    this.#closings.add(closing);
  }

  #limitReached(what: string, setting: string, cause?: unknown): LimitReachedError {
    return new LimitReachedError(`No connection within ${this.#waitMs} ms: ${what}.`, {
      cause,
      hint: `Return connections sooner, or raise '${setting}'.`,
    });
  }

  // ---- all together ----

  /** Has all connections of every identity replaced, as `evictAll` of one pool does. */
  evictAll(options?: { reason?: string | undefined }): void {
    for (const { pool } of this.#entries.values()) pool.evictAll(options);
  }

  /** Holds the checkouts of every identity, as `suspend` of one pool does, until {@link resume}. */
  suspend(): void {
    this.#isSuspended = true;
    // A listener may resume them.
    for (const { pool } of this.#entries.values()) if (this.#isSuspended) pool.suspend();
  }

  /** Lets checkouts continue. */
  resume(): void {
    this.#isSuspended = false;
    for (const { pool } of this.#entries.values()) if (!this.#isSuspended) pool.resume();
  }

  /** The health of all pools together: `down` if none of them can serve callers. Sends no query. */
  health(): PoolHealth {
    return this.#closed === undefined
      ? healthOfAll([...this.#entries.values()].map(({ pool }) => pool.health()))
      : CLOSED;
  }

  get stats(): TokenPoolsStats {
    const sum = { ...NOTHING, pending: this.#queue.length };
    for (const { pool } of this.#entries.values()) {
      const { size, opening, available, borrowed, pending } = pool.stats;
      sum.size += size;
      sum.opening += opening;
      sum.available += available;
      sum.borrowed += borrowed;
      sum.pending += pending;
    }
    return { ...sum, pools: this.#entries.size, maxPools: this.#maxPools, maxConnections: this.#limit.max };
  }

  /**
   * Closes every pool: rejects callers, waits for borrowed connections, then closes everything.
   *
   * @param options.timeoutMs how long to wait for borrowed connections before they are closed, ms. Default 10,000. What a shutdown
   *   hook passes instead, such as the name of a signal, is ignored
   * @throws ConfigurationError for invalid options, once the pools are closed
   */
  close(options?: { timeoutMs?: number | undefined }): Promise<void> {
    const { timeoutMs, refusal } = closeTerms(options);
    this.#closed ??= this.#closeAll(timeoutMs);
    return refusal === undefined ? this.#closed : closedOn(this.#closed, refusal);
  }

  async #closeAll(timeoutMs: number): Promise<void> {
    clearTimeout(this.#lookAgain);
    // #closed is set when this first awaits. By then, a pool that was being opened has its entry.
    await null;
    const pools = [...this.#entries.values()].map((entry) => entry.pool);
    this.#queue.wakeAll();
    await Promise.all([...pools.map((pool) => pool.close({ timeoutMs })), ...this.#closings]);
    this.#entries.clear();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function isIdentityPool(identity: Identity | IdentityPool): identity is IdentityPool {
  return typeof identity === 'object' && identity !== null && 'acquire' in identity;
}

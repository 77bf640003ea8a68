import { AsyncLocalStorage } from 'node:async_hooks';
import type { Connection } from 'tedious';
import type { Authentication, TokenPoolConfig } from '../connections/config.js';
import { configFromConnectionString } from '../connections/connection-string-config.js';
import { type Settings, settingsFrom } from '../connections/settings.js';
import { type CredentialInput, createCredential } from '../credentials/create-credential.js';
import type { TokenCredential } from '../credentials/credential.js';
import { userOfAssertion } from '../credentials/entra/jwt-claims.js';
import { fingerprint, identityOf } from '../credentials/identity.js';
import { type OnBehalfOfApplication, onBehalfOf } from '../credentials/methods/on-behalf-of.js';
import {
  AbortedError,
  AcquireTimeoutError,
  ConfigurationError,
  CredentialRejectedError,
  LimitReachedError,
  NotBorrowedError,
  PoolClosedError,
} from '../errors.js';
import type { EncryptedTokenStore } from '../tokens/encrypted-token-store.js';
import { TokenCache, type WaitOptions } from '../tokens/token-cache.js';
import { type LimitShare, SharedLimit } from './connection-limit.js';
import type { AcquireOptions, ConnectionSource, SourceStats } from './connection-source.js';
import { tediousFor } from './create-token-pool.js';
import { type SwitchingCredential, switchingCredential } from './switching-credential.js';
import { TokenPool } from './token-pool.js';

/** A pool's config, which counts for each identity (`pool.max` is the most connections of one), and bounds for all. */
export interface TokenPoolsConfig extends Omit<TokenPoolConfig, 'authentication'> {
  /** The application that calls SQL Server on behalf of its users; needed for `for({ userAssertion })` only. */
  authentication?: OnBehalfOfApplication | undefined;
  /** Most physical connections of all identities together. Default 100. */
  maxConnections?: number | undefined;
  /** Most pools, so most identities that have connections or wait for one. Default 1,000. */
  maxPools?: number | undefined;
}

/** Who a connection is for. */
export type Identity =
  | {
      /** The access token that a user's call brought along, without `Bearer`: connections are this user's. */
      userAssertion: string;
      /** Default: tenant and object id from the assertion, which Entra then has to confirm. */
      key?: string | undefined;
    }
  | {
      /** Any credential, or what makes one. */
      authentication: Authentication;
      /**
       * What tells this identity from all others; one key, one principal. Default: what the credential itself says it is,
       * so that a credential of somebody else's making needs a key, unless it is the same object each time.
       */
      key?: string | undefined;
    };

/** A snapshot of all pools together. */
export interface TokenPoolsStats extends SourceStats {
  pools: number;
  maxPools: number;
  maxConnections: number;
}

/** One identity's connections. Its pool is opened when it is needed, and may be closed in between to make room. */
export interface IdentityPool extends Omit<ConnectionSource, 'close'> {
  /** Key of the identity; holds no secret. */
  readonly key: string;
}

const DEFAULT_MAX_CONNECTIONS = 100;
const DEFAULT_MAX_POOLS = 1_000;
/** Assertions of one user that are remembered; he may come with several devices. */
const MOST_ASSERTIONS = 16;
/** How long an assertion that does not tell its end is believed, ms. */
const UNDATED_ASSERTION_MS = 300_000;
/** A connection also becomes idle where nobody tells us, e.g. when its caller has left meanwhile. */
const LOOK_AGAIN_MS = 100;

const NOTHING: SourceStats = { size: 0, opening: 0, available: 0, borrowed: 0, pending: 0 };

/** An identity that has a pool. */
interface Entry {
  key: string;
  pool: TokenPool;
  share: LimitShare;
  settings: Settings;
  switching: SwitchingCredential | undefined;
  /** Callers who wait for a connection or have one. */
  users: number;
  /** Assertions that were brought along, by hash. */
  assertions: Map<string, Proof>;
}

/** What Entra says of an assertion. */
interface Proof {
  /** End of the assertion, epoch ms. */
  until: number;
  credential: TokenCredential;
  /** Asks once for all who wait, and obeys back-off. */
  tokens: TokenCache;
  isGood: boolean;
}

/** What is known about an identity before it has a pool. */
interface Wanted {
  key: string;
  /** Where it must not share a token cache: its credential changes while its pool stays. */
  switches: boolean;
  credential: () => TokenCredential;
  userAssertion: string | undefined;
}

/**
 * Makes a pool for each identity, under one bound for all.
 *
 * @example
 * const pools = createTokenPools({ server, database, authentication: { tenantId, clientId, clientSecret } });
 * const rows = await pools.for({ userAssertion }).use((connection) => query(connection, 'SELECT ...'));
 * @throws ConfigurationError that names the key and the mend
 */
export function createTokenPools(config: TokenPoolsConfig | string): TokenPools {
  return new TokenPools(typeof config === 'string' ? (configFromConnectionString(config) as TokenPoolsConfig) : config);
}

/**
 * Pools by identity. A connection is only ever used by the identity it was opened for (P9): pools share nothing but bounds.
 *
 * When a bound is reached, the pool that has been idle for the longest time is closed, then idle connections of others;
 * what is in use never is. Who still has to wait is served in order, whoever has the fewest connections first.
 */
export class TokenPools implements AsyncDisposable {
  readonly #config: TokenPoolsConfig;
  readonly #maxPools: number;
  readonly #waitMs: number;
  readonly #limit: SharedLimit;
  /** In the order in which they were last used. */
  readonly #entries = new Map<string, Entry>();
  readonly #loans = new Map<Connection, Entry>();
  /** Who waits until there may be another pool, and of which identity. */
  #queue: { key: string; wake: () => void }[] = [];
  /** How many of them were woken and have not come in yet: they still go before whoever comes. */
  #woken = 0;
  readonly #served = new AsyncLocalStorage<IdentityPool>();
  #lookAgain: NodeJS.Timeout | undefined;
  readonly #closings = new Set<Promise<void>>();
  #closed: Promise<void> | undefined;

  /** Use {@link createTokenPools}. */
  constructor(config: TokenPoolsConfig) {
    const { maxConnections = DEFAULT_MAX_CONNECTIONS, maxPools = DEFAULT_MAX_POOLS, ...rest } = config;
    for (const [name, value] of Object.entries({ maxConnections, maxPools })) {
      if (!Number.isInteger(value) || value < 1)
        throw new ConfigurationError(`'${name}' must be a whole number, 1 or more.`);
    }
    // What is wrong with the config is told now, not to the first user.
    const { pool } = settingsFrom({
      ...rest,
      authentication: async () => '',
      tokenStore: undefined,
    } as TokenPoolConfig);
    requireUnnamed(rest.tokenStore);
    requireNobody(rest);
    if (rest.authentication !== undefined)
      onBehalfOf({ ...rest.authentication, userAssertion: 'checks the other options' });
    this.#config = rest;
    this.#maxPools = maxPools;
    this.#waitMs = pool.acquireTimeoutMillis;
    this.#limit = new SharedLimit(maxConnections, () => this.#makeRoom());
  }

  // ---- whose connections ----

  /**
   * The connections of one identity. Nothing is opened before the first is asked for.
   *
   * @throws ConfigurationError where it cannot be told who that is
   */
  for(identity: Identity): IdentityPool {
    const wanted = this.#wanted(identity);
    const pools = this;
    return {
      key: wanted.key,
      acquire: (options) => pools.#acquire(wanted, options),
      release: (connection) => pools.#giveBack(connection, false),
      destroy: (connection) => pools.#giveBack(connection, true),
      use: (fn, options) => pools.#use(wanted, fn, options),
      get stats() {
        return pools.#entries.get(wanted.key)?.pool.stats ?? NOTHING;
      },
    };
  }

  /**
   * Runs `fn`, and all that it starts, for an identity: {@link current} gives this identity's connections there.
   *
   * @throws ConfigurationError where it cannot be told who that is
   */
  run<T>(identity: Identity | IdentityPool, fn: () => T): T {
    return this.#served.run(isIdentityPool(identity) ? identity : this.for(identity), fn);
  }

  /**
   * A pool in shape, for an ORM or a `ConnectionPool` of mssql: its connections are those of the identity for which
   * {@link run} was called. Outside of it there are none: an error, never somebody else's connection.
   */
  readonly current: ConnectionSource = this.#currentSource();

  #currentSource(): ConnectionSource {
    const pools = this;
    const served = (): IdentityPool => {
      const identity = pools.#served.getStore();
      if (identity !== undefined) return identity;
      throw new ConfigurationError('A connection was asked for outside of pools.run(identity, fn): for whom?', {
        hint: 'Call pools.run() in a middleware, before whatever uses the database.',
      });
    };
    return {
      acquire: async (options) => served().acquire(options),
      release: (connection) => pools.#giveBack(connection, false),
      destroy: (connection) => pools.#giveBack(connection, true),
      use: async (fn, options) => served().use(fn, options),
      close: (options) => pools.close(options),
      get stats() {
        return pools.stats;
      },
    };
  }

  #wanted(identity: Identity): Wanted {
    if (typeof identity !== 'object' || identity === null) throw nobodyNamed();
    const { key } = identity;
    if (key !== undefined && (typeof key !== 'string' || key === '')) {
      throw new ConfigurationError("The 'key' of an identity must be a string that is not empty.");
    }
    if ('userAssertion' in identity) return this.#wantedUser(identity.userAssertion, key);
    const { authentication } = identity;
    if (authentication === undefined) throw nobodyNamed();
    const credential = createCredential(authentication as CredentialInput);
    if (key === undefined) {
      return { key: identityOf(credential), switches: false, credential: () => credential, userAssertion: undefined };
    }
    return { key: `key:${key}`, switches: true, credential: () => credential, userAssertion: undefined };
  }

  #wantedUser(userAssertion: string, key: string | undefined): Wanted {
    const { authentication: application } = this.#config;
    if (application === undefined) {
      throw new ConfigurationError("pools.for({ userAssertion }) needs 'authentication' in the config of the pools.", {
        hint: 'The application that calls on behalf of its users: { tenantId, clientId, clientSecret }.',
      });
    }
    const { principal } = userOfAssertion(userAssertion);
    if (key === undefined && principal === undefined) {
      throw new ConfigurationError('The assertion does not tell whose it is (no tid and oid).', {
        hint: "Give a 'key' that stands for the user.",
      });
    }
    const credential = () => onBehalfOf({ ...application, userAssertion });
    return { key: key === undefined ? `user:${principal}` : `key:${key}`, switches: true, credential, userAssertion };
  }

  // ---- checkout ----

  async #acquire(wanted: Wanted, options: AcquireOptions = {}): Promise<Connection> {
    const startedAt = performance.now();
    const deadline = startedAt + this.#waitMs;
    const entry = await this.#enter(wanted, deadline, options.signal).catch((error) => {
      // His turn, if he had one, is the next one's.
      this.#wakeNext();
      throw error;
    });
    try {
      const timeoutMs = Math.max(1, Math.ceil(deadline - performance.now()));
      await this.#confirm(entry, wanted, { timeoutMs, abortSignal: options.signal });
      const connection = await this.#checkOut(entry, { ...options, startedAt });
      this.#loans.set(connection, entry);
      return connection;
    } catch (error) {
      this.#leave(entry);
      throw error;
    }
  }

  async #checkOut(entry: Entry, options: AcquireOptions): Promise<Connection> {
    try {
      return await entry.pool.acquire(options);
    } catch (error) {
      if (!(error instanceof AcquireTimeoutError) || entry.share.waiting === 0) throw error;
      throw this.#noRoom(`${this.#limit.max} connections are open, all in use`, 'maxConnections', error);
    }
  }

  /** The entry of an identity, with one more user, so that it is not idle any more. */
  async #enter(wanted: Wanted, deadline: number, signal: AbortSignal | undefined): Promise<Entry> {
    for (let queued = false; ; queued = true) {
      if (this.#closed !== undefined) throw closed();
      if (signal?.aborted) throw new AbortedError('The wait for a connection was aborted.', { cause: signal.reason });
      const entry = this.#entries.get(wanted.key) ?? this.#open(wanted, queued);
      if (entry !== undefined) {
        entry.users += 1;
        // Last in the map is last used.
        this.#entries.delete(entry.key);
        this.#entries.set(entry.key, entry);
        this.#wakeNext();
        return entry;
      }
      const left = deadline - performance.now();
      if (left <= 0) throw this.#noRoom(`${this.#maxPools} identities have pools, all in use`, 'maxPools');
      await this.#turn(wanted.key, left, signal, queued);
      this.#woken -= 1;
    }
  }

  /** A new pool, if there may be one; whoever waits goes before whoever comes. */
  #open(wanted: Wanted, hasWaited: boolean): Entry | undefined {
    if (this.#queue.length + this.#woken > 0 && !hasWaited) return undefined;
    if (!this.#mayOpen) return undefined;
    if (this.#entries.size >= this.#maxPools) this.#closePool(this.#idlePools().next().value as Entry);
    const { key, switches } = wanted;
    const first = wanted.credential();
    const switching = switches ? switchingCredential(first) : undefined;
    const { tokenStore, ...config } = this.#config;
    const settings = settingsFrom({
      ...config,
      authentication: switching?.credential ?? first,
      // A user's tokens are not for other processes: these have no proof of the user's consent.
      tokenStore: switches || tokenStore?.keyOf(first) === undefined ? undefined : tokenStore,
    } as TokenPoolConfig);
    const share = this.#limit.share(settings.pool.max + settings.pool.overlap);
    const pool = new TokenPool(settings, tediousFor(settings), share);
    const entry: Entry = { key, pool, share, settings, switching, users: 0, assertions: new Map() };
    this.#entries.set(key, entry);
    for (const waiting of this.#queue) if (waiting.key === key) waiting.wake();
    return entry;
  }

  /** Lets the next one in, if there is room for him and nobody is on his way to it. */
  #wakeNext(): void {
    if (this.#woken === 0 && this.#mayOpen) this.#queue.shift()?.wake();
  }

  get #mayOpen(): boolean {
    return this.#entries.size < this.#maxPools || this.#idlePools().next().value !== undefined;
  }

  /**
   * Makes the newest credential of an identity the one that its pool goes on with. An assertion without a key names its
   * user itself, so it must be shown to be true before it opens the way to that user's connections: Entra is asked for a
   * token with it, once.
   */
  async #confirm(entry: Entry, wanted: Wanted, wait: WaitOptions): Promise<void> {
    const { switching } = entry;
    if (switching === undefined) return;
    const { userAssertion } = wanted;
    if (userAssertion === undefined) {
      switching.switchTo(wanted.credential());
      return;
    }
    const id = fingerprint(userAssertion);
    const now = Date.now();
    for (const [old, { until }] of entry.assertions) if (until <= now) entry.assertions.delete(old);
    let proof = entry.assertions.get(id);
    if (proof === undefined) {
      const [eldest] = entry.assertions.keys();
      if (entry.assertions.size >= MOST_ASSERTIONS && eldest !== undefined) entry.assertions.delete(eldest);
      const until = userOfAssertion(userAssertion).expiresOn ?? now + UNDATED_ASSERTION_MS;
      const credential = wanted.credential();
      proof = { until, credential, tokens: new TokenCache(credential), isGood: false };
      entry.assertions.set(id, proof);
    }
    if (!proof.isGood) await this.#prove(entry, switching, { proof, userAssertion, wait });
  }

  async #prove(
    entry: Entry,
    switching: SwitchingCredential,
    { proof, userAssertion, wait }: { proof: Proof; userAssertion: string; wait: WaitOptions },
  ): Promise<void> {
    const { source } = entry.settings;
    if (source === undefined) return;
    const held = await proof.tokens.get(source.scope, wait);
    const token = { token: held.reveal(), expiresOnTimestamp: held.expiresOn };
    const { principal } = userOfAssertion(userAssertion);
    if (principal !== undefined && userOfAssertion(token.token).principal !== principal) {
      throw new CredentialRejectedError('The token is not of the user whom the assertion names; it was not used.');
    }
    switching.check(token);
    switching.switchTo(proof.credential);
    source.tokens.offer(held, source.scope);
    proof.isGood = true;
  }

  async #use<T>(wanted: Wanted, fn: (connection: Connection) => T | Promise<T>, options?: AcquireOptions): Promise<T> {
    const connection = await this.#acquire(wanted, options);
    try {
      return await fn(connection);
    } finally {
      if (this.#loans.has(connection)) this.#giveBack(connection, false);
    }
  }

  // ---- return ----

  #giveBack(connection: Connection, broken: boolean): void {
    const entry = this.#loans.get(connection);
    if (entry === undefined) {
      throw new NotBorrowedError(
        'This connection is not on loan from these pools: it was returned before, or is not of them.',
      );
    }
    this.#loans.delete(connection);
    // Its pool may have closed it, at the end of a close that did not wait any longer.
    if (entry.pool.isBorrowed(connection)) {
      if (broken || this.#limit.shouldYield(entry.share)) entry.pool.destroy(connection);
      else entry.pool.release(connection);
    }
    this.#leave(entry);
  }

  #leave(entry: Entry): void {
    entry.users -= 1;
    if (this.#limit.waiting > 0) this.#makeRoom();
    if (entry.users === 0) this.#queue.shift()?.wake();
  }

  // ---- room ----

  /** Pools that nobody uses, the one unused longest first. */
  *#idlePools(): Generator<Entry, undefined> {
    for (const entry of this.#entries.values()) if (entry.users === 0) yield entry;
  }

  /** Closes something that nobody uses. */
  #makeRoom(): void {
    this.#keepLooking();
    for (const idle of this.#idlePools()) {
      this.#closePool(idle);
      // Nothing is gained by one without connections; it would have been the next to go anyway.
      if (idle.share.taken > 0) return;
    }
    for (const entry of this.#entries.values()) if (entry.pool.closeIdle()) return;
  }

  #keepLooking(): void {
    if (this.#lookAgain !== undefined) return;
    this.#lookAgain = setTimeout(() => {
      this.#lookAgain = undefined;
      if (this.#limit.waiting > 0) this.#makeRoom();
    }, LOOK_AGAIN_MS);
    this.#lookAgain.unref();
  }

  /** From here on it is not handed out any more: the next caller of its identity gets a new one. */
  #closePool(entry: Entry): void {
    this.#entries.delete(entry.key);
    const closing = entry.pool.close().finally(() => this.#closings.delete(closing));
    this.#closings.add(closing);
  }

  /** Waits until there may be another pool, or until it is too late. */
  #turn(key: string, ms: number, signal: AbortSignal | undefined, hasWaited: boolean): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', wake);
        this.#queue = this.#queue.filter((waiting) => waiting.wake !== wake);
        this.#woken += 1;
        resolve();
      };
      const timer = setTimeout(wake, ms);
      signal?.addEventListener('abort', wake, { once: true });
      if (hasWaited) this.#queue.unshift({ key, wake });
      else this.#queue.push({ key, wake });
    });
  }

  #noRoom(what: string, setting: string, cause?: unknown): LimitReachedError {
    return new LimitReachedError(`No room within ${this.#waitMs} ms: ${what}.`, {
      cause,
      hint: `Return connections sooner, or raise '${setting}'.`,
    });
  }

  // ---- all together ----

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
   * Closes every pool: turns callers away, waits for connections on loan, then closes everything.
   *
   * @param options.timeoutMs how long to wait for connections on loan before they are closed under their users. Default 10,000
   */
  close(options: { timeoutMs?: number | undefined } = {}): Promise<void> {
    this.#closed ??= this.#closeAll(options);
    return this.#closed;
  }

  async #closeAll(options: { timeoutMs?: number | undefined }): Promise<void> {
    clearTimeout(this.#lookAgain);
    const pools = [...this.#entries.values()].map((entry) => entry.pool);
    // #closed is set when this first awaits.
    await null;
    for (const { wake } of this.#queue) wake();
    await Promise.all([...pools.map((pool) => pool.close(options)), ...this.#closings]);
    this.#entries.clear();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function closed(): PoolClosedError {
  return new PoolClosedError('The pools are closed.');
}

function isIdentityPool(identity: Identity | IdentityPool): identity is IdentityPool {
  return typeof identity === 'object' && identity !== null && 'acquire' in identity;
}

function nobodyNamed(): ConfigurationError {
  return new ConfigurationError('pools.for() needs { userAssertion } or { authentication }.');
}

/** A login in the config would be everybody's, and is nobody's here. */
function requireNobody({ authentication, user, password, authentication_type: type }: TokenPoolsConfig): void {
  const isApplication =
    authentication === undefined || (typeof authentication === 'object' && !('type' in authentication));
  if (isApplication && user === undefined && password === undefined && type === undefined) return;
  throw new ConfigurationError('The config of many identities must not say who logs in; pools.for() does.', {
    hint: "'authentication' is the application that calls on behalf of its users: { tenantId, clientId, clientSecret }.",
  });
}

/** One name would be the name of everybody (P9). */
function requireUnnamed(store: EncryptedTokenStore | undefined): void {
  if (store?.keyOf({ getToken: async () => null }) === undefined) return;
  throw new ConfigurationError("'tokenStore' has a name, which stands for one principal; here are many.", {
    hint: 'Give the store itself; identities that other processes cannot tell do without it.',
  });
}

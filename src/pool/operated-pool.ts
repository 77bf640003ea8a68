import type { Connection } from 'tedious';
import { publish } from '../channels.js';
import type { Authentication } from '../connections/config.js';
import type { Settings } from '../connections/settings.js';
import { createCredential } from '../credentials/create-credential.js';
import { redact } from '../credentials/entra/redact.js';
import { ConfigurationError } from '../errors.js';
import { requireKnownOptions } from '../known-options.js';
import { sharedTokenCache } from '../tokens/shared-token-cache.js';
import { awaitedToken } from './awaited-token.js';
import { requireOptions } from './call-options.js';
import type { TokenPoolStats } from './connection-source.js';
import { healthOf, type PoolHealth } from './health.js';
import type { OpenConnections } from './open-connections.js';
import type { ReadOnlyPool } from './read-only-pool.js';
import { poolClosed, type Waiter } from './wait-queue.js';

const LONGEST_REASON = 200;

/** How a credential is replaced. */
export interface ReplaceCredentialOptions {
  /** How long to wait for the first token of the new credential, ms. Default: what the credential itself allows. */
  timeoutMs?: number | undefined;
  /** Stops waiting for it; the pool keeps its credential. */
  signal?: AbortSignal | undefined;
}

/** The part of a pool that is used here. */
export interface OperatedParts {
  readonly settings: Settings;
  readonly connections: OpenConnections;
  isClosed(): boolean;
  firstWaiter(): Waiter | undefined;
  /** Serves callers and looks after connections again. */
  wake(): void;
}

/** What an operator can do with a running pool. */
export abstract class OperatedPool {
  /** Names the pool in events: server, database, number. */
  abstract readonly name: string;
  abstract readonly stats: TokenPoolStats;
  abstract acquire(): Promise<Connection>;
  abstract release(connection: Connection): void;
  abstract close(options?: { timeoutMs?: number | undefined }): Promise<void>;
  /** The pool behind `readOnly` is the replica; everything that is done to this pool applies to it. */
  #companion: { readonly readOnly: ReadOnlyPool; readonly replica: OperatedPool } | undefined;

  /** @internal */
  protected abstract parts(): OperatedParts;

  /**
   * Connections to the read-only replica that the config's `readOnly` names. What is done to this pool (`evictAll`, `suspend`,
   * `resume`, `replaceCredential`, `close`) is done to them too.
   *
   * @throws ConfigurationError if the config names none
   */
  get readOnly(): ReadOnlyPool {
    if (this.#companion !== undefined) return this.#companion.readOnly;
    throw new ConfigurationError("This pool has no read-only connections: set 'readOnly: true' in its config.");
  }

  /** @internal */
  attachReadOnly(readOnly: ReadOnlyPool, replica: OperatedPool): void {
    this.#companion = { readOnly, replica };
  }

  protected closeReplica(timeoutMs: number): Promise<void> | undefined {
    return this.#companion?.replica.close({ timeoutMs });
  }

  /**
   * Resolves when `min` connections are open, at least one: use it at startup to check that the login works.
   *
   * @throws the error of a failed login
   */
  async ready(): Promise<void> {
    // Open connections are acquired too, so that an idle one is not counted twice.
    const { min, borrowed } = this.stats;
    const wanted = Math.max(1, min - borrowed);
    const acquired = await Promise.allSettled(Array.from({ length: wanted }, () => this.acquire()));
    for (const result of acquired) if (result.status === 'fulfilled') this.release(result.value);
    for (const result of acquired) if (result.status === 'rejected') throw result.reason;
  }

  /**
   * The health of the pool, from state that it already has: no query is sent and no token requested. A pool that has not
   * been used yet is `ok`.
   *
   * @example
   * app.get('/ready', (_, response) => {
   *   const health = pool.health();
   *   response.status(health.status === 'down' ? 503 : 200).json(health);
   * });
   */
  health(): PoolHealth {
    const { settings, connections, isClosed, firstWaiter } = this.parts();
    const { source } = settings;
    const token = source?.tokens.status(source.scope);
    const { stats } = this;
    return healthOf({
      stats,
      isClosed: isClosed(),
      connectFailure: connections.lastFailure,
      tokenFailure: token?.failure,
      awaitedToken: awaitedToken(source),
      hasToken: token && token.current !== undefined,
      longestWaitMs: performance.now() - (firstWaiter()?.startedAt ?? performance.now()),
      openingForMs: connections.openingForMs,
      isUnserved: connections.isUnserved,
      leaking: stats.borrowers.filter(({ borrowedMs }) => borrowedMs >= settings.pool.leakDetectionMillis).length,
    });
  }

  /**
   * Closes every connection that exists now: idle ones at once, borrowed ones when they are returned. A dial in progress
   * starts again. None of them is handed out again.
   *
   * @param options `reason`: for the event, at most 200 characters
   * @throws ConfigurationError if `reason` is not a string
   * @example
   * pool.evictAll({ reason: 'permissions of the principal changed' });
   */
  evictAll(options: { reason?: string | undefined } = {}): void {
    requireKnownOptions('evictAll()', options, { reason: true });
    const { reason } = options;
    if (reason !== undefined && typeof reason !== 'string') throw new ConfigurationError("'reason' must be a string.");
    const { connections, isClosed, wake } = this.parts();
    if (isClosed()) return;
    const { size, borrowed } = connections;
    publish('pool:evicted', () => ({
      pool: this.name,
      reason: reason === undefined ? undefined : redact(reason).slice(0, LONGEST_REASON),
      connections: size,
      borrowed,
    }));
    connections.evictAll('evicted-by-caller');
    this.#companion?.replica.evictAll({ reason });
    wake();
  }

  /**
   * Holds checkouts: callers wait, each within its own `acquireTimeoutMillis`, until {@link resume}. Borrowed connections
   * keep working; idle ones are kept, and none is opened or renewed. Suspending twice is the same as suspending once.
   */
  suspend(): void {
    const { connections, isClosed } = this.parts();
    if (isClosed() || connections.isSuspended) return;
    connections.isSuspended = true;
    this.#companion?.replica.suspend();
    publish('pool:suspended', () => ({ pool: this.name }));
  }

  /** Lets checkouts continue, in the order in which the callers arrived. */
  resume(): void {
    const { connections, isClosed, wake } = this.parts();
    if (isClosed() || !connections.isSuspended) return;
    connections.isSuspended = false;
    this.#companion?.replica.resume();
    publish('pool:resumed', () => ({ pool: this.name, waiting: this.stats.pending }));
    connections.forgetFailures();
    wake();
  }

  /**
   * Continues with another credential of the same principal, for instance a new secret or certificate, or a managed identity
   * that replaces a secret. The credential first has to obtain a token; if it cannot, the pool keeps the old one. From then on,
   * logins use the new credential, including those in progress, and existing connections are replaced as in a renewal, which no caller
   * notices.
   *
   * If it is called twice at the same time, the later call counts.
   *
   * @throws PrincipalChangedError if the new token is for another principal, or one of the tokens does not name its principal;
   *   CredentialError and its subclasses; ConfigurationError for a pool that does not use tokens; PoolClosedError; AbortedError
   * @example
   * await pool.replaceCredential({ tenantId, clientId, clientSecret: newSecret });
   */
  async replaceCredential(authentication: Authentication, options: ReplaceCredentialOptions = {}): Promise<void> {
    requireOptions('replaceCredential()', options, { timeoutMs: true, signal: true });
    const timeoutMs = options.timeoutMs ?? undefined;
    const signal = options.signal ?? undefined;
    const { settings, isClosed } = this.parts();
    const { source, tokenStore, configuration } = settings;
    if (isClosed()) throw poolClosed();
    // Without a credential, the default chain would be used, which a forgotten variable does not mean.
    if (authentication === undefined || authentication === null) {
      throw new ConfigurationError('replaceCredential() needs a credential.');
    }
    if (source?.tokens.switchTo === undefined) {
      throw new ConfigurationError(
        'This pool logs in without a token; replaceCredential() is for pools that use tokens.',
        {
          hint: 'Create a new pool with the new login.',
        },
      );
    }
    const credential = createCredential(authentication, { server: configuration.server ?? '' });
    const cache = sharedTokenCache(credential, { tokenStore }, timeoutMs);
    const token = await source.tokens.switchTo(cache, source.scope, { timeoutMs, abortSignal: signal });
    if (isClosed()) throw poolClosed();
    if (token === undefined) return;
    publish('pool:credential-replaced', () => ({ pool: this.name, identity: cache.identity, tokenId: token.id }));
    this.#supersede();
    // The replica's pool has the same source of tokens.
    if (this.#companion !== undefined) this.#companion.replica.#supersede();
  }

  #supersede(): void {
    const { connections, wake } = this.parts();
    connections.supersedeAll();
    wake();
  }
}

import type { Connection } from 'tedious';
import type { EvictionReason } from '../channels.js';
import type { Checkout } from './checkout.js';
import type { CheckoutStack } from './checkout-stack.js';

/** How to wait for a connection. */
export interface AcquireOptions {
  /** Ends the wait; the error is an `AbortedError` whose `cause` is the signal's reason. */
  signal?: AbortSignal | undefined;
  /**
   * When the caller started to wait, if that was elsewhere, monotonic ms: that time counts against
   * `acquireTimeoutMillis`.
   *
   * @internal
   */
  startedAt?: number | undefined;
  /**
   * Where the application asked for the connection, if that cannot be seen from the call.
   *
   * @internal
   */
  stack?: CheckoutStack | undefined;
  /**
   * For `use`: called before its function.
   *
   * @internal
   */
  onCheckout?: ((checkout: Checkout) => void) | undefined;
}

/** A source of connections: a pool, the pool of one identity, or the pool of the current identity. */
export interface ConnectionSource {
  acquire(options?: AcquireOptions): Promise<Connection>;
  release(connection: Connection): void;
  destroy(connection: Connection): void;
  use<T>(fn: (connection: Connection) => T | Promise<T>, options?: AcquireOptions): Promise<T>;
  close(options?: { timeoutMs?: number | undefined }): Promise<void>;
  readonly stats: SourceStats;
  /**
   * The stack of the caller of `below`, unless there are too many at the moment. Undefined without leak detection.
   *
   * @internal
   */
  readonly captureStack?: ((below: (...args: never[]) => unknown) => CheckoutStack | undefined) | undefined;
  /**
   * True while no connection can be checked out because there is no current identity, e.g. at startup with many
   * identities.
   */
  readonly isForNoIdentity?: boolean | undefined;
}

/** Distinguishes such a pool from a config. */
export function isConnectionSource(input: unknown): input is ConnectionSource {
  return typeof input === 'object' && input !== null && 'acquire' in input;
}

/** A `ConnectionPool` of mssql, or of the drop-in; some of its methods have names of this package's pool. */
export function isPoolOfMssql(input: unknown): boolean {
  return typeof (input as { transaction?: unknown } | null | undefined)?.transaction === 'function';
}

/** Connections and waiting callers of a pool at this moment. */
export interface SourceStats {
  /** Connections open, borrowed or not. */
  size: number;
  /** Connections being opened. */
  opening: number;
  /** Connections that can be handed out now. */
  available: number;
  /** Connections borrowed by callers, or under test for one (`validateConnection: true`, `pool.validate`). */
  borrowed: number;
  /** Callers waiting. */
  pending: number;
}

/** A snapshot of a pool. Times are epoch ms. */
export interface TokenPoolStats extends SourceStats {
  min: number;
  max: number;
  /** Expiry of the current token; undefined before the first token, and for SQL logins. */
  tokenExpiresOn: number | undefined;
  /** Successful and failed logins since the start. */
  logins: number;
  failedLogins: number;
  /** Connections replaced before they were closed. */
  renewals: number;
  /** Connections closed, by reason. */
  evictions: Readonly<Partial<Record<EvictionReason, number>>>;
  /** Callers wait until the pool is resumed. */
  isSuspended: boolean;
  /** Connections that were borrowed for longer than `pool.leakDetectionMillis`; 0 while that is off. */
  leaks: number;
  /** The borrowed connections and their holders, longest first. Empty while `pool.leakDetectionMillis` is off. */
  borrowers: readonly Borrower[];
}

/** One borrowed connection. */
export interface Borrower {
  /** Number of the connection, as in events. */
  connection: number;
  borrowedMs: number;
  /** Function and location in the application that checked it out; undefined if the checkout was not sampled. */
  holder: string | undefined;
  /** The stack of the checkout, one line per frame. */
  stack: string | undefined;
}

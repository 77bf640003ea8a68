import type { Connection } from 'tedious';
import type { EvictionReason } from '../channels.js';

/** How to wait for a connection. */
export interface AcquireOptions {
  /** Ends the wait; the error is an `AbortedError` whose `cause` is the signal's reason. */
  signal?: AbortSignal | undefined;
  /**
   * Since when the caller has waited elsewhere, monotonic ms: that time counts against `acquireTimeoutMillis`.
   *
   * @internal
   */
  startedAt?: number | undefined;
}

/** What hands out connections: a pool, one identity's pool among many, or that of the current identity. */
export interface ConnectionSource {
  acquire(options?: AcquireOptions): Promise<Connection>;
  release(connection: Connection): void;
  destroy(connection: Connection): void;
  use<T>(fn: (connection: Connection) => T | Promise<T>, options?: AcquireOptions): Promise<T>;
  close(options?: { timeoutMs?: number | undefined }): Promise<void>;
  readonly stats: SourceStats;
}

/** Distinguishes such a pool from a config. */
export function isConnectionSource(input: unknown): input is ConnectionSource {
  return typeof input === 'object' && input !== null && 'acquire' in input;
}

/** Connections and waiting callers of a pool at this moment. */
export interface SourceStats {
  /** Connections open, borrowed or not. */
  size: number;
  /** Connections being opened. */
  opening: number;
  /** Connections that can be handed out now. */
  available: number;
  /** Connections borrowed by callers. */
  borrowed: number;
  /** Callers waiting. */
  pending: number;
}

/** A snapshot of a pool. Times are epoch ms. */
export interface TokenPoolStats extends SourceStats {
  min: number;
  max: number;
  /** End of the current token; undefined before the first, and for SQL login. */
  tokenExpiresOn: number | undefined;
  /** Logins that succeeded and failed since the start. */
  logins: number;
  failedLogins: number;
  /** Connections replaced before they were closed. */
  renewals: number;
  /** Connections closed, by reason. */
  evictions: Readonly<Partial<Record<EvictionReason, number>>>;
}

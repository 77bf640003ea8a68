import type { Connection } from 'tedious';
import type { AcquireOptions } from './token-pool.js';

/** What hands out connections: a pool, one identity's pool among many, or that of whoever is being served. */
export interface ConnectionSource {
  acquire(options?: AcquireOptions): Promise<Connection>;
  release(connection: Connection): void;
  destroy(connection: Connection): void;
  use<T>(fn: (connection: Connection) => T | Promise<T>, options?: AcquireOptions): Promise<T>;
  close(options?: { timeoutMs?: number | undefined }): Promise<void>;
  readonly stats: SourceStats;
}

/** Tells such a pool from a config. */
export function isConnectionSource(input: unknown): input is ConnectionSource {
  return typeof input === 'object' && input !== null && 'acquire' in input;
}

export interface SourceStats {
  /** Connections open, on loan or not. */
  size: number;
  /** Connections being opened. */
  opening: number;
  /** Connections that can be handed out now. */
  available: number;
  /** Connections on loan. */
  borrowed: number;
  /** Callers waiting. */
  pending: number;
}

import { type Channel, channel } from 'node:diagnostics_channel';
import { printEvents } from './debug.js';

/**
 * The events of this library, published on `node:diagnostics_channel` under `mssql-token-pool:<event>`. Nothing here
 * costs anything without a subscriber, and no payload carries a token or secret (P10): a token is named by its
 * `tokenId`, a short hash. Times are epoch milliseconds, durations milliseconds.
 */
export interface ChannelPayloads {
  /** A request to the identity provider starts. */
  'token:requested': { identity: string; scope: string };
  /** The identity provider answered with a token; or another process had asked, and put it into the shared store. */
  'token:refreshed': {
    identity: string;
    scope: string;
    tokenId: string;
    expiresOn: number;
    durationMs: number;
    sameToken: boolean;
    fromStore?: boolean;
  };
  /**
   * No token was obtained: the identity provider failed, or the proof of the identity was not available. The next
   * attempt is made in `retryAfterMs` at the earliest.
   */
  'token:failed': { identity: string; scope: string; error: Error; durationMs: number; retryAfterMs: number };
  /** A token was discarded because the server refused it. */
  'token:invalidated': { identity: string; scope: string; tokenId: string };
  /** The shared token store failed; tokens are requested without it. Published once until it works again. */
  'token:store-failed': { reason: StoreFailure; error: Error };
  /** The shared token store works again. */
  'token:store-recovered': Record<string, never>;
  /** A pool was created. `stats` returns its current figures. */
  'pool:opened': {
    pool: string;
    server: string;
    port?: number | undefined;
    database: string | undefined;
    stats: () => PoolStats;
  };
  /** `evictAll` was called: this number of connections is closed, the borrowed ones when they are returned. */
  'pool:evicted': { pool: string; reason: string | undefined; connections: number; borrowed: number };
  /** Callers wait from now on, until the pool is resumed. */
  'pool:suspended': { pool: string };
  /** `waiting` callers continue. */
  'pool:resumed': { pool: string; waiting: number };
  /** New connections log in with another credential of the same principal from now on, and the others are replaced. */
  'pool:credential-replaced': { pool: string; identity: string; tokenId: string };
  /** A pool has closed; all its sockets are closed. */
  'pool:closed': { pool: string };
  /** A physical connection is logged in. */
  'connection:opened': {
    pool: string;
    connection: number;
    tokenId?: string | undefined;
    tokenExpiresOn?: number | undefined;
    durationMs: number;
  };
  /** A pooled connection was replaced by one with a later token. */
  'connection:renewed': { pool: string; connection: number; replaced: number; tokenExpiresOn?: number | undefined };
  /** A pooled connection was closed. */
  'connection:evicted': { pool: string; connection: number; reason: EvictionReason; ageMs: number };
  /** A login attempt failed. */
  'connection:login-failed': { pool: string; error: Error; kind: string; durationMs: number };
  /** A keepalive was sent; if the connection has not `answered`, it is closed. */
  'connection:keepalive': { pool: string; connection: number; answered: boolean; durationMs: number };
  /** Connections broke in a burst, or a session became read-only: the `drained` others are replaced too. */
  'pool:failover': { pool: string; sign: 'broken-connections' | 'read-only'; drained: number };
  /** A read-only replica could not be used; callers get connections of the primary for `detourMs`. */
  'pool:fallback': { pool: string; primary: string; error: Error; detourMs: number };
  /** The server has reset a session between two borrowers; `roundTrip`: with a separate request. */
  'connection:reset': { pool: string; connection: number; roundTrip: boolean };
  /** A caller got a connection. */
  checkout: { pool: string; connection: number; waitedMs: number };
  /** A caller returned a connection. */
  checkin: { pool: string; connection: number };
  /** A caller gave up waiting. */
  'checkout:timed-out': { pool: string; waitedMs: number; error: Error };
  /** A connection has been borrowed for longer than `pool.leakDetectionMillis`; once for each checkout. */
  'connection:leaked': {
    pool: string;
    connection: number;
    borrowedMs: number;
    /** Function and location in the application that checked it out; undefined if the checkout was not sampled. */
    holder: string | undefined;
    stack: string | undefined;
  };
  /** It has been returned after all. */
  'connection:leak-returned': { pool: string; connection: number; borrowedMs: number; holder: string | undefined };
  /** A transaction runs again, as attempt `attempt`; `number` is that of the SQL Server error, if there was one. */
  'transaction:retried': { attempt: number; waitMs: number; number: number | undefined };
}

/** The figures that a listener of `pool:opened` can read at any time. */
export interface PoolStats {
  /** Connections that can be handed out now. */
  available: number;
  /** Borrowed connections. */
  borrowed: number;
  /** Callers waiting. */
  pending: number;
  min: number;
  max: number;
  /** Callers wait until `pool.resume()`. */
  isSuspended: boolean;
}

/** Reasons for which a token store is not used. */
export type StoreFailure =
  | 'unreachable'
  | 'slow'
  | 'wrong-answer'
  | 'unreadable-entry'
  | 'clock-skew'
  | 'no-keys'
  | 'old-keys';

/** Why a physical connection was closed. */
export type EvictionReason =
  | 'renewed'
  | 'token-expiry'
  | 'token-invalidated'
  | 'max-age'
  | 'idle'
  | 'broken'
  | 'destroyed-by-caller'
  | 'evicted-by-caller'
  | 'credential-replaced'
  | 'unneeded'
  | 'reset-failed'
  | 'misused'
  | 'read-only'
  | 'failover'
  | 'pool-closed';

export type ChannelName = keyof ChannelPayloads;

export const CHANNEL_PREFIX = 'mssql-token-pool:';

/** All channels; a payload without its name here does not compile. */
const NAMES: Record<ChannelName, true> = {
  'token:requested': true,
  'token:refreshed': true,
  'token:failed': true,
  'token:invalidated': true,
  'token:store-failed': true,
  'token:store-recovered': true,
  'pool:opened': true,
  'pool:evicted': true,
  'pool:suspended': true,
  'pool:resumed': true,
  'pool:credential-replaced': true,
  'pool:closed': true,
  'connection:opened': true,
  'connection:renewed': true,
  'connection:evicted': true,
  'connection:login-failed': true,
  'connection:reset': true,
  'connection:keepalive': true,
  'pool:failover': true,
  'pool:fallback': true,
  checkout: true,
  checkin: true,
  'checkout:timed-out': true,
  'connection:leaked': true,
  'connection:leak-returned': true,
  'transaction:retried': true,
};

export const CHANNEL_NAMES = Object.keys(NAMES) as readonly ChannelName[];

const channels = new Map(CHANNEL_NAMES.map((name) => [name, channel(CHANNEL_PREFIX + name)]));

/**
 * The channel of an event: with `hasSubscribers`, the events of each checkout need not even create a closure for their
 * payload.
 */
export function channelOf(name: ChannelName): Channel {
  return channels.get(name) as Channel;
}

/** Publishes an event. The payload is built by `payload()` only if someone listens. */
export function publish<N extends ChannelName>(name: N, payload: () => ChannelPayloads[N]): void {
  const target = channelOf(name);
  if (target.hasSubscribers) target.publish(payload());
}

// Here, because every entry point of the package loads this file: DEBUG works without any code.
if (process.env.DEBUG) printEvents(process.env.DEBUG, CHANNEL_PREFIX, CHANNEL_NAMES);

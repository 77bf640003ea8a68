import type { EvictionReason } from '../channels.js';
import { assess, evictionReason, nextVerdictAt, recheckMs, type TokenOutlook } from '../connections/expiry-policy.js';
import type { Session } from '../connections/session.js';
import type { ConnectionState } from './pooled-connection.js';

/** A connection that has been unused for longer than this is not renewed; it is closed, and opened again on demand. */
const IN_USE_LATELY_MS = 30_000;
/** An idle connection keeps the process alive for this long after its last use. */
export const HOLDS_PROCESS_MS = 1_000;
/** Longest time between two plans, ms: a jump of the clock is detected within this time. */
const LONGEST_SLEEP_MS = 30_000;
/** First and longest pause after a failure to open a connection that no caller waits for. */
const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 60_000;

const NEVER = Number.POSITIVE_INFINITY;

/** A connection as a plan sees it. */
export interface Tended {
  readonly state: ConnectionState;
  readonly session: Pick<Session, 'expiry'> | undefined;
  readonly reserved: boolean;
  readonly standsBy: boolean;
  readonly successor: unknown;
  /** Monotonic ms. */
  readonly lastUsedAt: number;
  readonly holdsProcess: boolean;
  /** It was due when it was returned, but no successor could be opened, or its successor went to another connection. */
  readonly missedRenewal: boolean;
}

export interface HousekeepingSettings {
  readonly min: number;
  readonly max: number;
  readonly overlap: number;
  readonly maxRenewals: number;
  readonly idleTimeoutMillis: number;
}

/** The state of a pool at one instant. */
export interface Instant {
  /** Epoch ms. */
  readonly wall: number;
  readonly monotonic: number;
  /** Connections that count against `max`: idle and borrowed ones. */
  readonly size: number;
  /** Connections being opened for callers or for `min`. */
  readonly opening: number;
  /** Connections being opened to replace others. */
  readonly renewing: number;
  /** Successors that are open and wait for the return of the connection that they replace. */
  readonly standingBy: number;
  /** How many more connections may be opened, including those that would stand by. */
  readonly free: number;
  /** True if the latest background attempt failed. */
  readonly failing: boolean;
  /** No background attempt before this instant, monotonic ms. */
  readonly pausedUntil: number;
}

export interface Plan<T> {
  readonly evict: { connection: T; reason: EvictionReason }[];
  /** Connections whose successor is to be opened now: idle ones, and borrowed ones whose renewal is overdue. */
  readonly renew: T[];
  /** Borrowed connections that are due; they are renewed or closed when they are returned. */
  readonly dueOnReturn: T[];
  /** Idle connections that must not keep the process alive any longer. */
  readonly unref: T[];
  /** How many connections to open now to restore `min`. */
  open: number;
  /** When to plan next, monotonic ms. */
  nextAt: number;
}

/**
 * Decides what to do with the connections of a pool at one instant: close those that have been idle for too long,
 * replace those that near their limits while they still work, restore `min`. Only decides: no timer, no callback, no
 * change.
 */
export function plan<T extends Tended>(
  connections: Iterable<T>,
  token: TokenOutlook,
  settings: HousekeepingSettings,
  now: Instant,
): Plan<T> {
  const { min, max, overlap, maxRenewals, idleTimeoutMillis } = settings;
  const { wall, monotonic, standingBy, failing, pausedUntil } = now;
  const result: Plan<T> = { evict: [], renew: [], dueOnReturn: [], unref: [], open: 0, nextAt: NEVER };
  const due: { connection: T; expiry: Session['expiry']; at: number; mustGo: boolean }[] = [];
  let { size, free } = now;
  const lookAgainIn = (ms: number): void => {
    result.nextAt = Math.min(result.nextAt, monotonic + Math.min(ms, LONGEST_SLEEP_MS));
  };
  const evict = (connection: T, reason: EvictionReason): void => {
    result.evict.push({ connection, reason });
    size -= 1;
  };
  lookAgainIn(LONGEST_SLEEP_MS);

  for (const connection of connections) {
    const expiry = connection.session?.expiry;
    if (expiry === undefined || connection.successor !== undefined) continue;
    const at = expiry.now(wall, monotonic);
    if (connection.standsBy) {
      // It may be waiting for a connection that is never returned.
      if (at >= expiry.checkAt && assess(expiry, token, at, { strictExpiry: false }) === 'replace') {
        result.evict.push({ connection, reason: evictionReason(expiry, at) });
      }
      continue;
    }
    const idleFor = monotonic - connection.lastUsedAt;
    const isIdle = connection.state === 'idle' && !connection.reserved;
    if (isIdle && idleFor >= idleTimeoutMillis && size > min) {
      evict(connection, 'idle');
      continue;
    }
    if (isIdle) {
      if (size > min) lookAgainIn(idleTimeoutMillis - idleFor);
      if (connection.holdsProcess && idleFor >= HOLDS_PROCESS_MS) result.unref.push(connection);
      else if (connection.holdsProcess) lookAgainIn(HOLDS_PROCESS_MS - idleFor);
    } else if (connection.state === 'idle' && connection.holdsProcess) {
      // It is being reset or tested.
      lookAgainIn(HOLDS_PROCESS_MS);
    }
    // Whether a session may stay in use without a later token is decided at checkout.
    const verdict = assess(expiry, token, at, { strictExpiry: false });
    if (verdict !== 'renew' && verdict !== 'replace' && verdict !== 'unusable') {
      lookAgainIn(nextVerdictAt(expiry, token, at) - at);
    } else if (isIdle) due.push({ connection, expiry, at, mustGo: verdict !== 'renew' });
    else if (connection.state === 'borrowed') {
      // It may be past its limits at its next return.
      if (connection.missedRenewal && overlap > 0) due.push({ connection, expiry, at, mustGo: false });
      else result.dueOnReturn.push(connection);
    }
  }

  let slots = renewalSlots(now, maxRenewals);
  due.sort((a, b) => a.expiry.renewAt - b.expiry.renewAt);
  for (const { connection, expiry, at, mustGo } of due) {
    if (connection.state === 'borrowed' && (Math.min(slots, free - standingBy) <= 0 || expiry.unusable !== undefined)) {
      result.dueOnReturn.push(connection);
      continue;
    }
    const mayOverlap = overlap > 0 || size < max;
    const usedLately = connection.state === 'borrowed' || monotonic - connection.lastUsedAt < IN_USE_LATELY_MS;
    if (!mayOverlap || (size > min && !usedLately) || expiry.unusable !== undefined) {
      evict(connection, evictionReason(expiry, at));
    } else if (slots > 0) {
      result.renew.push(connection);
      slots -= 1;
      free -= 1;
    } else if (mustGo && pausedUntil <= monotonic) {
      // No caller would get it, except while the server has problems and there is nothing better.
      evict(connection, evictionReason(expiry, at));
    } else {
      lookAgainIn(Math.max(recheckMs(expiry.token), pausedUntil - monotonic));
      const { checkAt } = expiry;
      if (checkAt > at) lookAgainIn(checkAt - at);
    }
  }

  const missing = min - size - now.opening;
  if (missing > 0) {
    const tries =
      pausedUntil > monotonic ? 0 : failing ? 1 - now.opening - now.renewing - result.renew.length : missing;
    result.open = Math.max(0, Math.min(missing, tries, free));
    if (result.open < missing) lookAgainIn(Math.max(FIRST_RETRY_MS, pausedUntil - monotonic));
  }
  return result;
}

/** How many renewals may start. After a failure one attempt is made, and the others wait for its result. */
export function renewalSlots(
  { monotonic, pausedUntil, failing, opening, renewing, free }: Instant,
  max: number,
): number {
  if (pausedUntil > monotonic) return 0;
  return Math.min(free, failing ? 1 - opening - renewing : max - renewing);
}

/** The pause of background attempts after `failures` failures in a row, ms. */
export function retryPauseMs(failures: number): number {
  return Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** (failures - 1));
}

import { redact } from '../credentials/entra/redact.js';
import type { TokenPoolStats } from './connection-source.js';

/** Waits longer than this are reported, ms. */
const NOTICEABLE_WAIT_MS = 1_000;
/** Logins that take longer than this are reported, ms. */
const NOTICEABLE_LOGIN_MS = 5_000;

/** - `ok`: works
 *  - `degraded`: serves callers, but something is wrong
 *  - `down`: callers cannot be served
 */
export type HealthStatus = 'ok' | 'degraded' | 'down';

/** Why the health of a pool is not `ok`. */
export interface HealthReason {
  /** Stable name of the reason, for a `switch`. */
  code:
    | 'closed'
    | 'suspended'
    | 'cannot-connect'
    | 'no-token'
    | 'token-refresh-fails'
    | 'logins-hang'
    | 'callers-wait'
    | 'connections-leak';
  /** One sentence, without secrets. */
  message: string;
}

/** Ready to be the answer of a readiness probe. */
export interface PoolHealth {
  status: HealthStatus;
  /** Why it is not `ok`, the worst first. */
  reasons: readonly HealthReason[];
}

/** What health is judged by; the server is not queried. */
export interface Vitals {
  stats: Pick<TokenPoolStats, 'size' | 'borrowed' | 'max' | 'pending' | 'isSuspended' | 'borrowers'>;
  isClosed: boolean;
  /** Why the latest attempt to open a connection failed, if it did. */
  connectFailure: Error | undefined;
  /** Why the latest token request failed, if it did. */
  tokenFailure: Error | undefined;
  /** Why logins cannot start, if they wait for a token. */
  awaitedToken?: Error | undefined;
  /** There is a token for logins; undefined for a pool without tokens. */
  hasToken: boolean | undefined;
  /** How long the first caller has been waiting, ms. */
  longestWaitMs: number;
  /** How long the oldest login has taken, ms. */
  openingForMs: number;
  /** Callers have timed out since a login last ended. */
  isUnserved: boolean;
  /** Connections borrowed for longer than `leakDetectionMillis`. */
  leaking: number;
}

export function healthOf(vitals: Vitals): PoolHealth {
  const { stats, isClosed, connectFailure, tokenFailure, awaitedToken, hasToken } = vitals;
  const { longestWaitMs, leaking, openingForMs, isUnserved } = vitals;
  if (isClosed) return { status: 'down', reasons: [{ code: 'closed', message: 'The pool is closed.' }] };
  const reasons: HealthReason[] = [];
  const add = (code: HealthReason['code'], message: string): void => {
    reasons.push({ code, message });
  };
  const isEmpty = stats.size === 0;
  if (connectFailure !== undefined) add('cannot-connect', `No connection can be opened: ${inWords(connectFailure)}`);
  if (tokenFailure !== undefined) {
    if (hasToken === false) add('no-token', `No token is available: ${inWords(tokenFailure)}`);
    else add('token-refresh-fails', `The token cannot be refreshed: ${inWords(tokenFailure)}`);
  }
  // After a failure, a dial may wait for its turn.
  const isHanging =
    connectFailure === undefined && (openingForMs >= NOTICEABLE_LOGIN_MS || (openingForMs > 0 && isUnserved));
  if (isHanging && awaitedToken !== undefined && tokenFailure === undefined) {
    add('no-token', `No token is available: ${inWords(awaitedToken)}`);
  } else if (isHanging) add('logins-hang', `A login has not ended for ${(openingForMs / 1_000).toFixed(1)} s.`);
  if (stats.isSuspended) add('suspended', 'The pool is suspended: callers wait.');
  if (longestWaitMs >= NOTICEABLE_WAIT_MS) {
    const seconds = (longestWaitMs / 1_000).toFixed(1);
    add(
      'callers-wait',
      `${stats.pending} waiting for a connection, the first for ${seconds} s; ${stats.borrowed} of ${stats.max} are borrowed.`,
    );
  }
  if (leaking > 0) add('connections-leak', `${leaking} borrowed for longer than pool.leakDetectionMillis.`);
  const isDown =
    isEmpty && (isHanging || connectFailure !== undefined || (tokenFailure !== undefined && hasToken === false));
  return { status: isDown ? 'down' : reasons.length > 0 ? 'degraded' : 'ok', reasons };
}

/** Our errors are free of secrets; a probe's answer is seen by more people than a log. */
function inWords(error: Error): string {
  const { code } = error as { code?: unknown };
  return redact(`${typeof code === 'string' ? `${code}: ` : ''}${error.message}`).slice(0, 300);
}

/** The pool works, but only because another pool serves its callers. */
export function degradedBy(failure: Error | undefined): PoolHealth {
  const message = `Callers get connections of the primary: ${failure === undefined ? 'the replica has failed.' : inWords(failure)}`;
  return { status: 'degraded', reasons: [{ code: 'cannot-connect', message }] };
}

/** The health of many pools together: `down` if none of them can serve callers. */
export function healthOfAll(all: readonly PoolHealth[]): PoolHealth {
  const ill = all.filter(({ status }) => status !== 'ok');
  if (ill.length === 0) return { status: 'ok', reasons: [] };
  const counts = new Map<HealthReason['code'], { count: number; message: string }>();
  for (const { reasons } of ill) {
    for (const { code, message } of reasons) {
      const { count } = counts.get(code) ?? { count: 0 };
      counts.set(code, { count: count + 1, message });
    }
  }
  const reasons = [...counts].map(([code, { count, message }]) => ({
    code,
    message: `${count} of ${all.length} pools, for instance: ${message}`,
  }));
  return { status: all.every(({ status }) => status === 'down') ? 'down' : 'degraded', reasons };
}

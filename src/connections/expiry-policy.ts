import type { EvictionReason } from '../channels.js';
import { isTransient, type ServerMessage, saysTokenExpired } from './login-failure.js';
import type { SessionExpiry, TokenTimes } from './session-expiry.js';

/**
 * How long a checkout waits for a token that has been requested, ms from the start of the request. A working identity
 * provider answers in a fraction of this; a failing one must not block a session that still works (P4).
 */
const PATIENCE_MS = 1_000;
/** From this severity on, SQL Server ends the session after the message. */
const FATAL_CLASS = 20;
const LOGIN_FAILED = 18_456;
/** The database is read-only, or its server is no longer the primary replica (SQL Server: database engine errors). */
const NOT_PRIMARY = new Set([3906, 976, 978, 979, 983]);
/** Fatal whatever severity they arrive with: the session was killed (596), the server shuts down (6005). */
const FATAL_NUMBERS = new Set([596, 6005]);
const SERVER_PAUSED = 17_142;

const NEVER = Number.POSITIVE_INFINITY;

/** What is known about tokens at one instant. */
export interface TokenOutlook {
  /** The cached token, if it can still be used for a login. */
  readonly current: TokenTimes | undefined;
  /** How long the request for the next token has been in flight, ms; undefined while there is none. */
  readonly refreshingForMs: number | undefined;
  /** The previous request failed. */
  readonly failing: boolean;
}

/**
 * - `fit`: use it
 * - `renew`: use it, and open a successor in the background
 * - `wait`: a token that may replace it has been requested: wait for it, then assess again
 * - `replace`: do not hand it out; a connection with a later token can be opened instead
 * - `expired`: do not hand it out; no later token is available (`strictExpiry`, or the session would have to be reset)
 * - `unusable`: close it; the server no longer serves it
 */
export type Verdict = 'fit' | 'renew' | 'wait' | 'replace' | 'expired' | 'unusable';

/** When the first later token arrived, epoch ms, by the token that it is later than. */
const laterSince = new WeakMap<TokenTimes, number>();

/**
 * Counted from the arrival of a later token: one that arrived late does not cause all sessions to be renewed at once
 * (P11). Counted from the first one, because with short-lived tokens a third one arrives while sessions on the first are still waiting for their
 * turn, and would push all of them to the end of their time.
 */
function renewalTimeWith(current: TokenTimes, { token, renewBefore, renewAt, share }: SessionExpiry): number {
  const since = (token && laterSince.get(token)) ?? current.obtainedAt;
  if (token !== undefined) laterSince.set(token, since);
  const remaining = Math.max(0, renewBefore - since);
  return Math.max(renewAt, Math.min(renewBefore, since + remaining * 0.8 * share));
}

/**
 * Whether it is worth replacing a session with one on this token.
 *
 * A provider with its own cache (managed identity) may return the same token, or one that ends a moment later,
 * again and again. Until the session's own token is unusable, only one that ends later by half the eviction margin
 * counts, so that connections are not replaced over and over for no gain.
 */
export function isLaterToken(own: TokenTimes | undefined, current: TokenTimes | undefined, now: number): boolean {
  if (own === undefined || current === undefined || current.id === own.id) return false;
  const worthwhile = now < own.loginBefore ? (own.expiresOn - own.evictAt) / 2 : 0;
  return current.remainingMs() - own.remainingMs() > worthwhile;
}

export interface AssessOptions {
  strictExpiry: boolean;
  /** The next request carries a reset, for which the server validates the token again. */
  resets?: boolean | undefined;
}

/** Whether the server would accept the token of the session at a reset, as at a login (P1). */
export function mayReset({ token }: SessionExpiry, now: number): boolean {
  return token === undefined || now < token.loginBefore;
}

/** Whether a session is no longer used if there is no later token. */
function endsWithToken(session: SessionExpiry, now: number, { strictExpiry, resets = false }: AssessOptions): boolean {
  return strictExpiry || (resets && !mayReset(session, now));
}

/**
 * The one answer to "may this session be used?" (P2). SQL Server does not end a session when its token expires, so an open session
 * stays in use while nothing better is available, unless `strictExpiry` is set or it would have to be reset.
 *
 * A check that cannot wait may treat `wait` as `replace` if opening a connection waits for the token, and otherwise as `fit`
 * (`expired` with `strictExpiry`).
 *
 * @param now epoch ms
 */
export function assess(session: SessionExpiry, outlook: TokenOutlook, now: number, options: AssessOptions): Verdict {
  const { token, unusable } = session;
  if (unusable !== undefined) return 'unusable';
  if (now >= session.retireAt) return 'replace';
  if (now < session.renewAt && now < session.checkAt) return 'fit';
  if (token === undefined) return 'renew';
  const { current } = outlook;
  const later = isLaterToken(token, current, now);
  if (now < token.evictAt) {
    const isDue = later && now >= renewalTimeWith(current as TokenTimes, session);
    return isDue || now >= session.agedAt ? 'renew' : 'fit';
  }
  if (later) return 'replace';
  const isStrict = endsWithToken(session, now, options);
  if (isWorthWaiting(token, outlook, now, isStrict)) return 'wait';
  if (isStrict) return 'expired';
  return now >= session.agedAt && current !== undefined ? 'renew' : 'fit';
}

/**
 * While the session's token is still valid for logins, a checkout does not wait for another once a request has failed
 * (P4).
 */
function isWorthWaiting(
  own: TokenTimes,
  { refreshingForMs, failing }: TokenOutlook,
  now: number,
  isStrict: boolean,
): boolean {
  if (refreshingForMs === undefined) return false;
  if (isStrict) return true;
  return refreshingForMs < PATIENCE_MS && !(failing && now < own.loginBefore);
}

/** The part of a token cache that the policy uses. */
export interface OutlookSource {
  /** Starts a refresh if one is due, and reports what is known. */
  outlook(): TokenOutlook;
  /** Resolves when the request in flight has ended, successfully or not; at once if there is none. Never rejects. */
  refreshed(): Promise<void>;
}

/**
 * {@link assess} for callers that can wait. Settles when the request in flight has ended, or one second after its start
 * (without `strictExpiry`), or after `timeoutMs`.
 *
 * @param now the clock, epoch ms
 */
export async function assessPatiently(
  session: SessionExpiry,
  source: OutlookSource,
  now: () => number,
  { timeoutMs = NEVER, ...options }: AssessOptions & { timeoutMs?: number | undefined },
): Promise<Exclude<Verdict, 'wait'>> {
  const outlook = source.outlook();
  const verdict = assess(session, outlook, now(), options);
  if (verdict !== 'wait') return verdict;
  const patienceMs = endsWithToken(session, now(), options)
    ? timeoutMs
    : Math.min(timeoutMs, PATIENCE_MS - (outlook.refreshingForMs ?? 0));
  await atMost(patienceMs, source.refreshed());
  // Each checkout waits for at most one request, so not for one that starts later.
  const after = { ...source.outlook(), refreshingForMs: undefined };
  return assess(session, after, now(), options) as Exclude<Verdict, 'wait'>;
}

/** The timer keeps the process alive, as a waiting checkout does. */
function atMost(ms: number, work: Promise<void>): Promise<void> {
  if (ms === NEVER) return work;
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    const done = (): void => {
      clearTimeout(timer);
      resolve();
    };
    work.then(done, done);
  });
}

/**
 * When the assessment of a session may change by itself, epoch ms. A session that is due while there is no later token
 * is assessed again after a fraction of its token's life, at most 5 s.
 */
export function nextVerdictAt(session: SessionExpiry, { current }: TokenOutlook, now: number): number {
  const { token, renewAt, agedAt, retireAt } = session;
  if (now < renewAt) return token !== undefined && now < token.refreshOn ? Math.min(renewAt, token.refreshOn) : renewAt;
  const limits = [agedAt, retireAt, token?.evictAt ?? NEVER].filter((limit) => limit > now);
  if (token !== undefined) {
    const later = isLaterToken(token, current, now);
    const due = later ? renewalTimeWith(current as TokenTimes, session) : 0;
    limits.push(due > now ? due : now + recheckMs(token));
  }
  return Math.min(...limits);
}

/** When to look again for a later token, if there was none, ms. */
export function recheckMs(token: TokenTimes | undefined): number {
  if (token === undefined) return 1_000;
  return Math.min(5_000, Math.max(50, (token.expiresOn - token.obtainedAt) / 40));
}

/** Why a session that is not `fit` is closed. */
export function evictionReason(
  { unusable, isSuperseded, retireAt, agedAt }: SessionExpiry,
  now: number,
): EvictionReason {
  if (unusable !== undefined) return unusable;
  if (isSuperseded) return 'credential-replaced';
  return now >= retireAt || now >= agedAt ? 'max-age' : 'token-expiry';
}

/**
 * Why the session must not be used again after this ERROR token (MS-TDS 2.2.7.10): set it as `unusable`. Undefined for an
 * ordinary error of a query.
 *
 * @param isResetting the request carries a reset, for which the server validates the token again
 */
export function endsSession(message: ServerMessage, isResetting = false): EvictionReason | undefined {
  if (saysTokenExpired(message)) return 'token-invalidated';
  // At any other time it comes from a linked server.
  if (isResetting && message.number === LOGIN_FAILED) return 'token-invalidated';
  if (NOT_PRIMARY.has(message.number)) return 'read-only';
  if (FATAL_NUMBERS.has(message.number)) return 'broken';
  if (message.class < FATAL_CLASS) return undefined;
  // After EXECUTE AS, the server ends a session that it has to reset (18059).
  return isResetting ? 'reset-failed' : 'broken';
}

/** True for an error that ends a session because of what happens to the server, and not because of a request. */
export function concernsServer({ number }: ServerMessage): boolean {
  return FATAL_NUMBERS.has(number) || number === SERVER_PAUSED || isTransient(number);
}

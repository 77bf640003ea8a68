import { setTimeout as sleep, setImmediate as turnOfTheLoop } from 'node:timers/promises';
import type { Connection } from 'tedious';
import { isTransient, type ServerMessage, saysTokenExpired } from '../connections/login-failure.js';
import { isReady } from '../connections/session.js';
import { AbortedError, ConfigurationError, ServerUnavailableError, StaleTokenError } from '../errors.js';
import type { TokenPool } from './token-pool.js';

export interface RetryOptions {
  /** Most tries, the first included. Default 5. */
  maxTries?: number | undefined;
  /** Wait before the second try, ms; doubled each time, up to 60 s, less up to 10 %. Default 5,000, Azure SQL's guidance. */
  firstWaitMs?: number | undefined;
  /** Gives up waiting for a connection or for the next try. What `fn` has begun is not stopped by it. */
  signal?: AbortSignal | undefined;
}

const LONGEST_WAIT_MS = 60_000;
/** Codes of tedious and of Node for a connection that is lost. */
const LOST = new Set<unknown>(['ESOCKET', 'ECLOSE', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT']);

/**
 * Runs work that may be repeated: on a transient error of Azure SQL, a lost connection, or a session whose token the
 * server no longer takes (37396), `fn` runs again with another connection. Only for work that is idempotent: the first try
 * may have done all of it before the connection broke.
 *
 * A session whose token was refused is replaced at once; everything else waits first, because Azure SQL asks for 5 s and
 * more (Azure SQL: troubleshoot common connection errors).
 *
 * @throws what the last try failed with; AbortedError when the signal fires during a wait; ConfigurationError
 * @example
 * const rows = await withRetry(pool, (connection) => readPrices(connection));
 */
export async function withRetry<T>(
  pool: TokenPool,
  fn: (connection: Connection) => T | Promise<T>,
  { maxTries = 5, firstWaitMs = 5_000, signal }: RetryOptions = {},
): Promise<T> {
  if (!(maxTries >= 1)) throw new ConfigurationError('maxTries must be 1 or more.');
  if (!(firstWaitMs >= 0)) throw new ConfigurationError('firstWaitMs must be 0 or more, in ms.');
  for (let tries = 1; ; tries += 1) {
    const failure = await tryOnce(pool, fn, signal);
    if ('value' in failure) return failure.value;
    if (failure.verdict === 'final' || tries >= maxTries) throw failure.error;
    if (failure.verdict === 'again-at-once' && tries === 1) continue;
    const waitMs = Math.min(LONGEST_WAIT_MS, firstWaitMs * 2 ** (tries - 1)) * (1 + Math.random() / 10);
    await sleep(waitMs, undefined, { signal }).catch(() => {
      throw new AbortedError('The wait for the next try was aborted.', { cause: signal?.reason });
    });
  }
}

type Outcome<T> = { value: T } | { error: unknown; verdict: 'final' | 'again' | 'again-at-once' };

async function tryOnce<T>(
  pool: TokenPool,
  fn: (connection: Connection) => T | Promise<T>,
  signal: AbortSignal | undefined,
): Promise<Outcome<T>> {
  let connection: Connection;
  try {
    connection = await pool.acquire({ signal });
  } catch (error) {
    const again = error instanceof ServerUnavailableError || error instanceof StaleTokenError;
    return { error, verdict: again ? 'again' : 'final' };
  }
  // Whether a session's own error is one of these is known only from its messages: tedious keeps the number, but knex and
  // others wrap its errors.
  const messages: ServerMessage[] = [];
  const onMessage = (message: ServerMessage): void => {
    messages.push(message);
  };
  connection.on('errorMessage', onMessage);
  try {
    return { value: await fn(connection) };
  } catch (error) {
    const verdict = await judge(error, messages, connection);
    // Azure SQL: after a failed query, open a fresh connection.
    if (verdict !== 'final' && pool.isOnLoan(connection)) pool.destroy(connection);
    return { error, verdict };
  } finally {
    connection.off('errorMessage', onMessage);
    if (pool.isOnLoan(connection)) pool.release(connection);
  }
}

async function judge(error: unknown, messages: readonly ServerMessage[], connection: Connection) {
  if (messages.some(saysTokenExpired)) return 'again-at-once';
  const { number } = (error ?? {}) as { number?: unknown };
  const last = messages.at(-1);
  if (isTransient(number) || (last !== undefined && isTransient(last.number))) return 'again';
  const { code } = (error ?? {}) as { code?: unknown };
  if (!LOST.has(code)) return 'final';
  // The statement may fail a moment before the connection notices. One that is well has nothing to do with the error.
  await turnOfTheLoop();
  return isReady(connection) ? 'final' : 'again';
}

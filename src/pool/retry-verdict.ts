import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import type { Connection } from 'tedious';
import { isTransient, type ServerMessage, saysTokenExpired } from '../connections/login-failure.js';
import { isReady } from '../connections/session.js';
import { AbortedError, ServerUnavailableError, StaleTokenError } from '../errors.js';
import { backOffMs, sleep } from '../time.js';

/**
 * Whether work that failed may run again:
 * - `final`: no
 * - `at-once`: the session was the problem, and another one is opened anyway
 * - `soon`: the server rolled the transaction back in favour of another one, which is over in a moment
 * - `later`: the server asks to try again later, or cannot be reached
 */
export type RetryVerdict = 'final' | 'at-once' | 'soon' | 'later';

/**
 * The server has rolled the whole transaction back and documents that it may run again: deadlock victim (1205), update
 * conflict under snapshot isolation (3960), its metadata changed (3961), and conflict, validation failure and dependency
 * failure of memory-optimized tables (41301, 41302, 41305, 41325, 41839).
 */
const DEADLOCK_VICTIM = 1205;
const ROLLED_BACK = new Set<unknown>([DEADLOCK_VICTIM, 3960, 3961, 41301, 41302, 41305, 41325, 41839]);

/** Codes of tedious and of Node for a connection that is lost. */
const LOST = new Set<unknown>(['ESOCKET', 'ECLOSE', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ECONNCLOSED']);

/** tedious's code for a request that it does not send: the connection is closed, or busy with another request. */
const NOT_SENT = 'EINVALIDSTATE';
/** tedious's text with that code if the connection is closed. */
const CLOSED = 'Requests can only be made in the LoggedIn state, not the Final state';
/** tedious's error, without a code, for a request whose server has ended the TLS session in order. */
const END_OF_STREAM = 'unexpected end of message stream';

/** How many causes of an error are examined; this also ends a cycle. */
const DEEPEST_CAUSE = 8;
/** Where mssql, knex, TypeORM, Sequelize, MikroORM, Drizzle and Prisma keep the error that they wrap. */
const WRAPPED = ['cause', 'originalError', 'original', 'parent', 'driverError', 'meta', 'driverAdapterError'] as const;

/**
 * `transaction()` has ended with one of these: the function believed in its success, or COMMIT may have succeeded. Whatever the
 * server has said, the same work is not to run again by itself, not even around it.
 */
const OUTCOMES = new Set<unknown>(['ERR_TRANSACTION_ROLLED_BACK', 'ERR_COMMIT_OUTCOME_UNKNOWN']);

/** True where `transaction()` has found that work must not run again, or an error is caused by that. */
export function isOutcome(error: unknown): boolean {
  return causesOf(error).some(({ code }) => OUTCOMES.has(code));
}

/** True if the server has rolled the whole transaction back, so that none of it took effect. */
export function wasRolledBack(error: unknown, messages: readonly ServerMessage[] = []): boolean {
  if (isOutcome(error)) return false;
  return messages.some(({ number }) => ROLLED_BACK.has(number)) || numbersOf(error).some((n) => ROLLED_BACK.has(n));
}

/** True if tedious has refused to send the request, because the connection is closed or busy. */
export function wasNotSent(error: unknown): boolean {
  return causesOf(error).some(({ code }) => code === NOT_SENT);
}

/** True if the connection was lost: the server may have carried out the last request. */
export async function wasLost(error: unknown, connection: Connection | undefined): Promise<boolean> {
  if (!causesOf(error).some(isOfLostConnection)) return false;
  if (connection === undefined) return true;
  // A statement may fail a moment before the connection does. If the connection is healthy, the error has another
  // cause.
  await turnOfTheLoop();
  return !isReady(connection);
}

function isOfLostConnection({ code, message }: Cause): boolean {
  return LOST.has(code) || message === END_OF_STREAM || (code === NOT_SENT && message === CLOSED);
}

/** Whether work that failed on a connection may run again. `messages`: what the server reported in the meantime. */
export async function retryVerdict(
  error: unknown,
  messages: readonly ServerMessage[],
  connection: Connection | undefined,
): Promise<RetryVerdict> {
  if (isOutcome(error)) return 'final';
  if (messages.some(saysTokenExpired)) return 'at-once';
  if (wasRolledBack(error, messages)) return 'soon';
  const last = messages.at(-1);
  if (numbersOf(error).some(isTransient) || (last !== undefined && isTransient(last.number))) return 'later';
  return (await wasLost(error, connection)) ? 'later' : 'final';
}

/** Whether work may run again when its checkout failed. */
export function checkoutVerdict(error: unknown): RetryVerdict {
  return error instanceof ServerUnavailableError || error instanceof StaleTokenError ? 'later' : 'final';
}

/**
 * How long to wait before the next attempt, ms. Two deadlock victims that run again together meet again, so the short wait
 * is mostly random.
 */
export function retryWaitMs(verdict: RetryVerdict, failures: number, firstWaitMs: number): number {
  if (verdict === 'at-once' && failures === 1) return 0;
  if (verdict === 'soon') return backOffMs(failures, { firstMs: 50, longestMs: 2_000 }) * (0.5 + Math.random());
  return backOffMs(failures, { firstMs: firstWaitMs, longestMs: 60_000, jitter: 0.1 });
}

/** @throws AbortedError when the signal fires first */
export async function waitForRetry(waitMs: number, signal: AbortSignal | undefined): Promise<void> {
  if (waitMs === 0 && !signal?.aborted) return;
  await sleep(waitMs, { signal }).catch((reason: unknown) => {
    throw new AbortedError('The wait for the next attempt was aborted.', { cause: reason });
  });
}

/** The SQL Server error number of an error or one of its causes. */
export function errorNumber(error: unknown): number | undefined {
  return numbersOf(error).find((number): number is number => typeof number === 'number');
}

/** Error numbers of an error and its causes. mssql and the ORMs wrap the driver's error, each in a property of its own. */
function numbersOf(error: unknown): unknown[] {
  return causesOf(error).map(({ number }) => number);
}

/**
 * The error number as Prisma passes it on: a deadlock victim as `TransactionWriteConflict`, or as `P2034` in the client, and the
 * others as `code` of an error of the kind `mssql`.
 */
function numberOfPrisma({ kind, code }: Record<string, unknown>): unknown {
  if (kind === 'TransactionWriteConflict' || code === 'P2034') return DEADLOCK_VICTIM;
  return kind === 'mssql' ? code : undefined;
}

interface Cause {
  readonly number?: unknown;
  readonly code?: unknown;
  readonly message?: unknown;
}

/** The error and what it wraps, however it is linked. Reading the property of an unknown error may throw. */
function causesOf(error: unknown): Cause[] {
  const seen: object[] = [];
  const causes: Cause[] = [];
  const pending: unknown[] = [error];
  while (pending.length > 0 && seen.length < DEEPEST_CAUSE) {
    const next = pending.shift();
    if (typeof next !== 'object' || next === null || seen.includes(next)) continue;
    seen.push(next);
    try {
      const link = next as Record<string, unknown>;
      const { number = numberOfPrisma(link), code, message } = link;
      causes.push({ number, code, message });
      pending.push(...WRAPPED.map((key) => link[key]));
    } catch {
      // Without any information, there is no reason for another attempt.
    }
  }
  return causes;
}

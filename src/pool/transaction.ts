import type { Connection } from 'tedious';
import { publish } from '../channels.js';
import type { ServerMessage } from '../connections/login-failure.js';
import { isInTransaction } from '../connections/session.js';
import {
  CommitOutcomeUnknownError,
  ConfigurationError,
  TokenPoolError,
  TransactionRolledBackError,
} from '../errors.js';
import type { KnownOptions } from '../known-options.js';
import { requireOptions } from './call-options.js';
import { type Checkout, missingCheckout, returnedEarly, usedAfterReturn } from './checkout.js';
import { type ConnectionSource, isConnectionSource, isPoolOfMssql } from './connection-source.js';
import {
  checkoutVerdict,
  errorNumber,
  isOutcome,
  type RetryVerdict,
  retryVerdict,
  retryWaitMs,
  waitForRetry,
  wasNotSent,
  wasRolledBack,
} from './retry-verdict.js';
import { isWatchable, TransactionWatch } from './transaction-watch.js';

/** tedious's `ISOLATION_LEVEL` (MS-TDS 2.2.6.9, TM_BEGIN_XACT). */
const ISOLATION_LEVELS = {
  'read-uncommitted': 1,
  'read-committed': 2,
  'repeatable-read': 3,
  serializable: 4,
  snapshot: 5,
} as const;

/** The isolation level of a transaction, in words. */
export type IsolationLevel = keyof typeof ISOLATION_LEVELS;

/** Isolation level and retries of a transaction. */
export interface TransactionOptions {
  /** Default: that of the session, which is read committed unless something has changed it. */
  isolationLevel?: IsolationLevel | undefined;
  /** How often the transaction runs again after a failure that allows it. Default 3; 0 means never. */
  retries?: number | undefined;
  /** Wait before it runs again after a transient error, ms, doubled each time up to 60 s. Default 5,000, Azure SQL's guidance. */
  firstWaitMs?: number | undefined;
  /** Ends the wait for a connection or for the next attempt. It does not stop a running `fn`. */
  signal?: AbortSignal | undefined;
}

const OPTIONS: KnownOptions<TransactionOptions> = {
  isolationLevel: true,
  retries: true,
  firstWaitMs: true,
  signal: true,
};

/** The part of an mssql transaction that {@link transaction} uses: `pool.transaction()` returns one. */
export interface DriverTransaction {
  begin(isolationLevel?: number): Promise<unknown>;
  commit(): Promise<unknown>;
  rollback(): Promise<unknown>;
}

/**
 * Runs `fn` inside a transaction and commits it. The whole transaction runs again, on another connection if necessary,
 * when the server has rolled it back as a deadlock victim (1205) or because of a snapshot conflict (3960), after
 * a transient error of Azure SQL, and when the connection was lost before COMMIT was sent. `fn` must therefore do all its
 * work through the connection, and nothing outside the database that cannot be repeated.
 *
 * A connection that is lost while COMMIT is under way leaves the outcome unknown: that is never retried.
 *
 * `pool` is a pool of this package, one of `pools.for(...)`, or a `ConnectionPool` of mssql or `mssql-token-pool/mssql`;
 * `fn` gets a tedious connection, or an mssql `Transaction` for `new sql.Request(transaction)`. ORMs have their own
 * transactions, which {@link retryTransaction} repeats.
 *
 * @throws CommitOutcomeUnknownError; TransactionRolledBackError where `fn` succeeded although the server had rolled back (it runs once);
 *   NotBorrowedError where `fn` has returned its connection; AbortedError; ConfigurationError; otherwise what `fn`, BEGIN or COMMIT failed with
 * @example
 * await transaction(pool, async (connection) => {
 *   await run(connection, 'UPDATE accounts SET balance -= 10 WHERE id = 1');
 *   await run(connection, 'UPDATE accounts SET balance += 10 WHERE id = 2');
 * }, { isolationLevel: 'serializable' });
 */
export function transaction<T>(
  pool: ConnectionSource,
  fn: (connection: Connection) => T | Promise<T>,
  options?: TransactionOptions,
): Promise<T>;
export function transaction<T, X extends DriverTransaction>(
  pool: { transaction(): X },
  fn: (transaction: X) => T | Promise<T>,
  options?: TransactionOptions,
): Promise<T>;
export async function transaction<T>(
  pool: ConnectionSource | { transaction(): DriverTransaction },
  fn: (scope: never) => T | Promise<T>,
  options: TransactionOptions = {},
): Promise<T> {
  // The limit of `withRetry` has another name.
  requireOptions('transaction()', options, OPTIONS);
  const isPool = isPoolOfMssql(pool) || (isConnectionSource(pool) && typeof pool.use === 'function');
  if (!isPool || typeof fn !== 'function') {
    throw new ConfigurationError('transaction() takes a pool and a function.');
  }
  const level = isolationLevelOf(options);
  const work = fn as (scope: unknown) => T | Promise<T>;
  if ('transaction' in pool) return await attempts(options, () => tryWithDriver(pool.transaction(), work, level));
  return await attempts(options, () => tryWithConnection(pool, work, level, options.signal));
}

/**
 * Repeats a transaction that an ORM runs, by the same rules as {@link transaction} with one exception: after a lost connection,
 * nothing is retried, because the ORM commits by itself and its COMMIT may have been under way.
 *
 * @example
 * await retryTransaction(() => knex.transaction(async (trx) => { ... }));
 * await retryTransaction(() => prisma.$transaction(async (tx) => { ... }));
 * @throws AbortedError; ConfigurationError; otherwise what the last attempt failed with
 */
export async function retryTransaction<T>(
  run: () => T | Promise<T>,
  options: Omit<TransactionOptions, 'isolationLevel'> = {},
): Promise<T> {
  const { isolationLevel: _, ...known } = OPTIONS;
  requireOptions('retryTransaction()', options, known);
  if (typeof run !== 'function') {
    throw new ConfigurationError('retryTransaction() takes a function that runs the transaction.', {
      hint: 'With a pool, use transaction(pool, fn); with an ORM, retryTransaction(() => knex.transaction(...)).',
    });
  }
  return await attempts(options, async () => {
    try {
      return { value: await run() };
    } catch (error) {
      return { error, verdict: wasRolledBack(error) ? 'soon' : 'final' };
    }
  });
}

type Outcome<T> = { value: T } | { error: unknown; verdict: RetryVerdict };

async function attempts<T>(options: TransactionOptions, attempt: () => Promise<Outcome<T>>): Promise<T> {
  const retries = options.retries ?? 3;
  const firstWaitMs = options.firstWaitMs ?? 5_000;
  const signal = options.signal ?? undefined;
  requireAmount('retries', retries);
  requireAmount('firstWaitMs', firstWaitMs);
  for (let failures = 1; ; failures += 1) {
    const outcome = await attempt();
    if ('value' in outcome) return outcome.value;
    const { error, verdict } = outcome;
    if (verdict === 'final' || failures > retries) throw error;
    const waitMs = retryWaitMs(verdict, failures, firstWaitMs);
    publish('transaction:retried', () => ({ attempt: failures + 1, waitMs, number: errorNumber(error) }));
    await waitForRetry(waitMs, signal);
  }
}

function requireAmount(name: string, value: unknown): void {
  if (typeof value === 'number' && value >= 0) return;
  throw new ConfigurationError(`'${name}' must be a number, 0 or more.`);
}

function isolationLevelOf({ isolationLevel }: TransactionOptions): number | undefined {
  if (isolationLevel === undefined || isolationLevel === null) return undefined;
  if (Object.hasOwn(ISOLATION_LEVELS, isolationLevel)) return ISOLATION_LEVELS[isolationLevel];
  const known = Object.keys(ISOLATION_LEVELS).join("', '");
  throw new ConfigurationError(`'isolationLevel' is unknown; it must be one of '${known}'.`);
}

// ---- on a tedious connection ----

async function tryWithConnection<T>(
  pool: ConnectionSource,
  fn: (connection: Connection) => T | Promise<T>,
  level: number | undefined,
  signal: AbortSignal | undefined,
): Promise<Outcome<T>> {
  let checkout: Checkout | undefined;
  const onCheckout = (begun: Checkout): void => {
    checkout = begun;
  };
  try {
    return await pool.use(
      async (connection) => {
        const own = checkout ?? missingCheckout('transaction()');
        const { outcome, isReusable } = await runOn(connection, fn, level, own);
        if (!isReusable) own.destroy();
        return outcome;
      },
      { signal, onCheckout },
    );
  } catch (error) {
    return { error, verdict: checkout === undefined ? checkoutVerdict(error) : 'final' };
  }
}

/**
 * `isReusable`: the connection may go to the next borrower. Once `fn` has returned it, it may already have one, whose transaction
 * must not be touched.
 */
async function runOn<T>(
  connection: Connection,
  fn: (connection: Connection) => T | Promise<T>,
  level: number | undefined,
  checkout: Checkout,
): Promise<{ outcome: Outcome<T>; isReusable: boolean }> {
  const messages: ServerMessage[] = [];
  const onMessage = (message: ServerMessage): void => {
    if (!checkout.isOver) messages.push(message);
  };
  let watch: TransactionWatch | undefined;
  connection.on('errorMessage', onMessage);
  const step = (run: (done: (error?: Error | null) => void) => void): Promise<void> =>
    new Promise((resolve, reject) => run((error) => (error ? reject(error) : resolve())));
  // The transaction is committed, whatever happens to the connection after COMMIT.
  const isRestored = (): Promise<boolean> =>
    level === undefined || checkout.isOver
      ? Promise.resolve(true)
      : restoreIsolationLevel(connection).then(
          () => true,
          () => false,
        );
  let isCommitting = false;
  try {
    await step((done) => connection.beginTransaction(done, undefined, level));
    watch = new TransactionWatch(connection, () => !checkout.isOver);
    const value = await fn(connection);
    if (checkout.isOver) throw returnedEarly();
    if (watch.state !== 'open') throw endedMeanwhile(watch, messages);
    watch.stop();
    isCommitting = true;
    await step((done) => connection.commitTransaction(done));
    isCommitting = false;
    // COMMIT of a nested transaction commits nothing.
    if (!checkout.isOver && isInTransaction(connection)) throw leftOpen();
    return { outcome: { value }, isReusable: await isRestored() };
  } catch (error) {
    if (isCommitting && !wasNotSent(error)) {
      const verdict = verdictOfCommit(error, messages);
      const outcome: Outcome<T> = { error: commitFailure(error, messages), verdict };
      return { outcome, isReusable: verdict === 'soon' && (await isRestored()) };
    }
    if (checkout.isOver) {
      // The function's own error is reported, but the outcome of the transaction is unknown.
      const outcome: Outcome<T> = { error: usedAfterReturn(error, checkout, 'transaction') ?? error, verdict: 'final' };
      return { outcome, isReusable: false };
    }
    const outcome = failureOf(error, await retryVerdict(error, messages, connection), watch, messages);
    watch?.stop();
    if (isInTransaction(connection)) await step((done) => connection.rollbackTransaction(done)).catch(() => {});
    // Azure SQL: after a transient error, open a fresh connection, even if the function has ignored the error.
    const verdictOfSession = isOutcome(error) ? await retryVerdict(undefined, messages, connection) : outcome.verdict;
    const isReusable = (verdictOfSession === 'soon' || verdictOfSession === 'final') && (await isRestored());
    return { outcome, isReusable };
  } finally {
    watch?.stop();
    connection.off('errorMessage', onMessage);
  }
}

/**
 * What a failure of the function means. The whole transaction runs again only where it is certain that nothing of it was
 * committed and nothing was done outside of it.
 */
function failureOf(
  error: unknown,
  verdict: RetryVerdict,
  watch: TransactionWatch | undefined,
  messages: readonly ServerMessage[],
): { error: unknown; verdict: RetryVerdict } {
  if (watch === undefined) return { error, verdict };
  if (watch.state === 'unknown') {
    const isOurs = error instanceof CommitOutcomeUnknownError;
    return { error: isOurs ? error : endedMeanwhile(watch, messages, error), verdict: 'final' };
  }
  if (verdict === 'final') return { error, verdict };
  if (watch.wentOn) return { error: endedMeanwhile(watch, messages, error), verdict: 'final' };
  const isLost = watch.state === 'open' && !wasRolledBack(error, messages) && watch.mayHaveCommitted;
  return isLost ? { error: endedMeanwhile(watch, messages, error), verdict: 'final' } : { error, verdict };
}

/** The transaction ended, or may have ended, before `transaction()` sent COMMIT. */
function endedMeanwhile(
  { state, wentOn }: Pick<TransactionWatch, 'state' | 'wentOn'>,
  messages: readonly ServerMessage[],
  error?: unknown,
): TransactionRolledBackError | CommitOutcomeUnknownError {
  const { number, state: errorState, class: severity } = messages.at(-1) ?? {};
  const about = { number, state: errorState, class: severity, cause: error };
  if (state !== 'rolled-back') {
    return new CommitOutcomeUnknownError(
      'The transaction ended before transaction() sent COMMIT: it may or may not have been committed.',
      { ...about, hint: 'The function sent COMMIT itself. Leave COMMIT and ROLLBACK to transaction().' },
    );
  }
  return new TransactionRolledBackError(
    wentOn
      ? 'The transaction was rolled back before it was committed. Everything that the function sent afterwards ran outside of it.'
      : 'The server rolled the transaction back before it was committed; none of it took effect.',
    { ...about, hint: 'An error inside the transaction was caught and ignored: let it reach transaction().' },
  );
}

function leftOpen(): TransactionRolledBackError {
  return new TransactionRolledBackError(
    'The function left a nested transaction open, so COMMIT committed nothing: all of it is rolled back.',
    { hint: 'Each BEGIN TRANSACTION inside the function needs its own COMMIT.' },
  );
}

/** If the server reported a rollback, the outcome of COMMIT is known. */
function verdictOfCommit(error: unknown, messages: readonly ServerMessage[]): RetryVerdict {
  return wasRolledBack(error, messages) ? 'soon' : 'final';
}

function commitFailure(error: unknown, messages: readonly ServerMessage[]): unknown {
  if (wasRolledBack(error, messages)) return error;
  const { number, state, class: severity } = messages.at(-1) ?? {};
  return new CommitOutcomeUnknownError(
    'COMMIT failed before its answer arrived: the transaction may or may not have been committed.',
    {
      number,
      state,
      class: severity,
      cause: error,
      hint: 'Check whether it took effect before you run it again.',
    },
  );
}

/**
 * SQL Server keeps the isolation level of a transaction for the session, and the next borrower would get it. The level that a
 * session has at login is tedious's `connectionIsolationLevel`, read committed by default.
 */
async function restoreIsolationLevel(connection: Connection): Promise<void> {
  const { config } = connection as unknown as { config?: { options?: { connectionIsolationLevel?: number } } };
  const level = config?.options?.connectionIsolationLevel ?? ISOLATION_LEVELS['read-committed'];
  await new Promise<void>((resolve, reject) => {
    // An empty transaction is the only way to set the level that needs no SQL text and works on every server.
    connection.beginTransaction(
      (error) =>
        error ? reject(error) : connection.commitTransaction((failed) => (failed ? reject(failed) : resolve())),
      undefined,
      level,
    );
  });
}

// ---- on a transaction of mssql ----

async function tryWithDriver<T>(
  scope: DriverTransaction,
  fn: (scope: DriverTransaction) => T | Promise<T>,
  level: number | undefined,
): Promise<Outcome<T>> {
  try {
    await scope.begin(level);
  } catch (error) {
    const cause = ourErrorIn(error);
    const verdict = cause === undefined ? await retryVerdict(error, [], undefined) : checkoutVerdict(cause);
    return { error, verdict };
  }
  const connection = connectionOf(scope);
  // mssql returns it to its pool as soon as the transaction is over, even while the function is still running.
  const isHeld = (): boolean => connectionOf(scope) === connection;
  const messages: ServerMessage[] = [];
  const onMessage = (message: ServerMessage): void => {
    if (isHeld()) messages.push(message);
  };
  let watch: TransactionWatch | undefined;
  let value: T;
  try {
    if (isWatchable(connection)) {
      watch = new TransactionWatch(connection, isHeld);
      connection.on('errorMessage', onMessage);
    }
    value = await fn(scope);
  } catch (error) {
    const outcome = failureOf(error, await retryVerdict(error, messages, undefined), watch, messages);
    watch?.stop();
    await scope.rollback().catch(() => {});
    return outcome;
  } finally {
    connection?.off?.('errorMessage', onMessage);
  }
  watch?.stop();
  if (watch !== undefined && watch.state !== 'open') {
    await scope.rollback().catch(() => {});
    return { error: endedMeanwhile(watch, messages), verdict: 'final' };
  }
  try {
    await scope.commit();
    if (connection === undefined || !isInTransaction(connection)) return { value };
    // mssql has returned it to its pool: its next borrower must not work inside this transaction.
    connection.close();
    return { error: leftOpen(), verdict: 'final' };
  } catch (error) {
    // mssql refuses to send COMMIT for a transaction that the server has rolled back.
    if ((error as { code?: unknown } | undefined)?.code === 'EABORT') {
      return { error: endedMeanwhile({ state: 'rolled-back', wentOn: false }, []), verdict: 'final' };
    }
    if (wasNotSent(error)) return { error, verdict: await retryVerdict(error, [], undefined) };
    return { error: commitFailure(error, []), verdict: verdictOfCommit(error, []) };
  }
}

/** The connection of a transaction of mssql, while it runs. */
function connectionOf(scope: DriverTransaction): Connection | undefined {
  return (scope as { _acquiredConnection?: Connection })._acquiredConnection;
}

/** The pool's error inside mssql's. */
function ourErrorIn(error: unknown): TokenPoolError | undefined {
  for (let e = error, depth = 0; typeof e === 'object' && e !== null && depth < 8; depth += 1) {
    if (e instanceof TokenPoolError) return e;
    const { cause, originalError } = e as { cause?: unknown; originalError?: unknown };
    e = cause ?? originalError;
  }
  return undefined;
}

import type { SqlServerError } from '../tds/server-error.js';
import type { SessionState, TransactionEvent } from './session.js';

/** Errors that end the transaction with the batch: deadlock victim, snapshot and in-memory conflicts, failed conversions. */
const ENDS_TRANSACTION = new Set([
  ...[1205, 3960, 3961, 41_301, 41_302, 41_305, 41_325, 41_839],
  ...[241, 242, 244, 245, 248, 8114, 8169],
]);

/** True if the session's transaction does not survive the error. */
export function endsTransaction(number: number | undefined, session: SessionState): boolean {
  return number !== undefined && (session.abortsOnError || ENDS_TRANSACTION.has(number));
}

/** Rolls the transaction back if the error demands it. The error has been sent. */
export function rollBackAfter(
  error: SqlServerError,
  session: SessionState,
  output: { transaction(event: TransactionEvent): void },
): void {
  if (error.class <= 10 || session.transactionDepth === 0 || !endsTransaction(error.number, session)) return;
  session.rollback();
  output.transaction('rollback');
}

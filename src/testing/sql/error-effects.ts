import type { SqlServerError } from '../tds/server-error.js';
import type { SessionState, TransactionEvent } from './session.js';

/** Lost conflicts, whose transaction SQL Server rolls back: deadlock, snapshot isolation, in-memory tables. */
const LOST_CONFLICTS = new Set([1205, 3960, 3961, 41_301, 41_302, 41_305, 41_325, 41_839]);

/** Text that cannot be converted to a number, a date or a GUID. Values out of range (220, 242, 8115) end only their statement. */
const FAILED_CONVERSIONS = new Set([235, 241, 245, 8114, 8169]);

/** Class of errors found while a batch is compiled. XACT_ABORT does not apply to them. */
const COMPILE_ERROR = 15;
/** Further errors to which XACT_ABORT does not apply: an unknown column, and the transaction count after a procedure. */
const NOT_ABORTING = new Set([207, 266]);

/** True for an error that ends the transaction and the batch even if T-SQL raises it, which a test does to simulate it. */
export function isLostConflict({ number, class: severity }: SqlServerError): boolean {
  return severity > 10 && LOST_CONFLICTS.has(number);
}

/** True for an error after which SQL Server has ended the batch and rolled back the whole transaction. */
export function endsTransaction(error: SqlServerError, { abortsOnError }: SessionState): boolean {
  if (error.class <= 10) return false;
  if (isLostConflict(error) || FAILED_CONVERSIONS.has(error.number)) return true;
  return abortsOnError && error.class !== COMPILE_ERROR && !NOT_ABORTING.has(error.number);
}

/** Rolls back an open transaction if the error has ended it. */
export function rollBackAfter(
  error: SqlServerError,
  session: SessionState,
  output: { transaction(event: TransactionEvent): void },
): void {
  if (session.transactionDepth === 0 || !endsTransaction(error, session)) return;
  session.rollback();
  output.transaction('rollback');
}

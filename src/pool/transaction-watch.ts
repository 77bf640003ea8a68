import type { EventEmitter } from 'node:events';
import type { Connection } from 'tedious';
import { replaceMethod } from '../connections/replace-method.js';

/** A request to the transaction manager, TM_COMMIT_XACT and TM_ROLLBACK_XACT (MS-TDS 2.2.3.1.1 and 2.2.6.9). */
const TRANSACTION_MANAGER = 0x0e;
const COMMIT = 7;
const ROLLBACK = 8;
/** In SQL text. A false match, such as the COMMIT of a nested transaction, costs a retry that would have been safe. */
const COMMITS = /\bcommit\b/i;
/** The whole text: after the server's rollback it does nothing. */
const ONLY_ROLLS_BACK =
  /^(?:if (?:@@trancount|xact_state\(\)) ?(?:>|<>|!=|=) ?-?\d )?rollback(?: tran(?:saction)?)?;?$/i;
const LONGEST_ROLLBACK = 200;

/** The parts of tedious that are used here; present in tedious 18 to 20. */
interface Watched {
  inTransaction: boolean;
  /** The first stands for no transaction; the second is that of the outermost one (ENVCHANGE 8, MS-TDS 2.2.7.9). */
  transactionDescriptors?: unknown[];
  makeRequest?(request: SentRequest, type: number, payload: unknown): void;
}

interface SentRequest {
  sqlTextOrProcedure?: unknown;
}

/**
 * - `open`: the transaction that was begun is still open
 * - `rolled-back`: it was rolled back
 * - `unknown`: it has ended in another way: something other than `transaction()` sent COMMIT
 */
export type TransactionState = 'open' | 'rolled-back' | 'unknown';

/** False if the driver is not tedious. */
export function isWatchable(connection: unknown): connection is Connection {
  const { makeRequest, prependListener, off } = Object(connection) as Partial<Watched & EventEmitter>;
  return [makeRequest, prependListener, off].every((method) => typeof method === 'function');
}

/** Follows a transaction of `transaction()` while the caller's function works with the connection. Create it after BEGIN. */
export class TransactionWatch {
  readonly #connection: Connection;
  readonly #isHeld: () => boolean;
  readonly #descriptor: unknown;
  readonly #onRollback = (): void => {
    if (this.#isHeld()) this.#wasRolledBack = true;
  };
  readonly #onRequest: Note = (request, type, payload) => this.#note(request, type, payload);
  #wasRolledBack = false;
  #wasCommitted = false;
  /** Requests other than ROLLBACK were sent after the rollback: they ran outside of the transaction. */
  wentOn = false;
  /** The latest request may have committed the transaction. */
  mayHaveCommitted = false;

  /** @param isHeld false once the connection may belong to another borrower, whose requests say nothing about this transaction */
  constructor(connection: Connection, isHeld: () => boolean) {
    this.#connection = connection;
    this.#isHeld = isHeld;
    this.#descriptor = this.#watched.transactionDescriptors?.[1];
    // Before mssql's listener, which returns the connection to its pool. tedious's types leave this event out.
    (connection as EventEmitter).prependListener('rollbackTransaction', this.#onRollback);
    addNote(connection, this.#onRequest);
  }

  get state(): TransactionState {
    if (this.#isOpen) return 'open';
    return this.#wasRolledBack && !this.#wasCommitted ? 'rolled-back' : 'unknown';
  }

  stop(): void {
    removeNote(this.#connection, this.#onRequest);
    (this.#connection as EventEmitter).off('rollbackTransaction', this.#onRollback);
  }

  get #watched(): Watched {
    return this.#connection as unknown as Watched;
  }

  get #isOpen(): boolean {
    const { inTransaction, transactionDescriptors } = this.#watched;
    return inTransaction && !this.#wasRolledBack && transactionDescriptors?.[1] === this.#descriptor;
  }

  #note(request: SentRequest, type: number, payload: unknown): void {
    if (!this.#isHeld()) {
      this.stop();
      return;
    }
    if (this.#wasRolledBack) this.wentOn ||= !onlyRollsBack(request, type, payload);
    else if (!this.#isOpen) this.#wasCommitted = true;
    this.mayHaveCommitted =
      type === TRANSACTION_MANAGER
        ? operationOf(payload as Iterable<Buffer>) === COMMIT
        : COMMITS.test(String(request.sqlTextOrProcedure));
  }
}

/** The operation that is requested of the transaction manager. */
function operationOf(payload: Iterable<Buffer>): number | undefined {
  const bytes = Buffer.concat([...payload]);
  const start = bytes.length >= 4 ? bytes.readUInt32LE(0) : 0;
  return bytes.length >= start + 2 ? bytes.readUInt16LE(start) : undefined;
}

function onlyRollsBack({ sqlTextOrProcedure }: SentRequest, type: number, payload: unknown): boolean {
  if (type === TRANSACTION_MANAGER) return operationOf(payload as Iterable<Buffer>) === ROLLBACK;
  const text = String(sqlTextOrProcedure);
  return text.length <= LONGEST_ROLLBACK && ONLY_ROLLS_BACK.test(text.trim().replace(/\s+/g, ' '));
}

type Note = (request: SentRequest, type: number, payload: unknown) => void;

/**
 * What is called before each request on a connection. There may be several: mssql returns a connection as soon as the
 * server has rolled back, and the next borrower may begin a transaction while the function of the last one is still running.
 */
const notesOf = new WeakMap<Connection, { readonly all: Set<Note>; restore(): void }>();

function addNote(connection: Connection, note: Note): void {
  const present = notesOf.get(connection);
  if (present !== undefined) {
    present.all.add(note);
    return;
  }
  const all = new Set([note]);
  notesOf.set(connection, { all, restore: beforeEachRequest(connection, all) });
}

function removeNote(connection: Connection, note: Note): void {
  const present = notesOf.get(connection);
  if (present?.all.delete(note) !== true || present.all.size > 0) return;
  notesOf.delete(connection);
  present.restore();
}

/** Returns a function that restores the connection as it was. */
function beforeEachRequest(connection: Connection, notes: Set<Note>): () => void {
  const { makeRequest } = connection as unknown as Watched;
  // A stand-in for a connection.
  if (makeRequest === undefined) return () => {};
  const own = Object.getOwnPropertyDescriptor(connection, 'makeRequest');
  replaceMethod(connection, 'makeRequest', (request: SentRequest, type: number, payload: unknown): void => {
    // tedious does not send one on a connection that is closed or busy.
    if ((connection as unknown as { state?: { name: string } }).state?.name === 'LoggedIn') {
      for (const note of [...notes]) note(request, type, payload);
    }
    makeRequest.call(connection as never, request, type, payload);
  });
  return () => {
    if (own === undefined) delete (connection as unknown as Watched).makeRequest;
    else Object.defineProperty(connection, 'makeRequest', own);
  };
}

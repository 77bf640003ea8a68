import type { Scalar, SqlType, SqlValue } from '../tds/data-type.js';
import { SqlServerError } from '../tds/server-error.js';

/** What a session is; given to `onQuery`. */
export interface SqlSession {
  /** `@@SPID`. */
  readonly spid: number;
  /** Who logged in: client id or user name of the token, or the SQL login. */
  readonly principal: string;
  readonly database: string;
  readonly appName: string;
  readonly hostName: string;
  /** `@@TRANCOUNT`. */
  readonly transactionDepth: number;
  /** Isolation level set with SET TRANSACTION or by the transaction's own request. */
  readonly isolationLevel: string;
  /** End of the token the session logged in with, epoch ms; undefined for a SQL login. */
  readonly tokenExpiry: number | undefined;
}

export interface Variable {
  type: SqlType;
  value: Scalar;
}

export interface PreparedStatement {
  sql: string;
  parameters: { name: string; type: SqlType }[];
}

/** What happens to a transaction; the client is told with an ENVCHANGE. */
export type TransactionEvent = 'begin' | 'commit' | 'rollback';

/**
 * Told what happens to a session's transactions, right when it happens: when one begins, is committed or rolled back (a
 * dropped connection rolls back too), and of savepoints (`save`, and `rollback` with their name). For an `onQuery` that
 * keeps data.
 */
export type TransactionHandler = (
  event: { kind: TransactionEvent | 'save' /** Of the savepoint; else empty. */; name: string },
  session: SqlSession,
) => void;

/** The state of one session: what outlives a request, and what a reset takes back. */
export class SessionState implements SqlSession {
  readonly spid: number;
  readonly principal: string;
  readonly appName: string;
  readonly hostName: string;
  readonly tokenExpiry: number | undefined;
  readonly #loginDatabase: string;
  database: string;
  isolationLevel = 'READ COMMITTED';
  transactionDepth = 0;
  /** `SET XACT_ABORT ON`: an error rolls the transaction back. */
  abortsOnError = false;
  /** `@@ROWCOUNT`. */
  rowCount = 0;
  /** `@@ERROR`. */
  lastError = 0;
  readonly #prepared = new Map<number, PreparedStatement>();
  #savepoints: string[] = [];
  #lastHandle = 0;
  #lastTransaction = 0n;
  readonly #onTransaction: TransactionHandler | undefined;

  constructor(login: {
    spid: number;
    principal: string;
    database: string;
    appName: string;
    hostName: string;
    tokenExpiry: number | undefined;
    onTransaction?: TransactionHandler | undefined;
  }) {
    this.spid = login.spid;
    this.principal = login.principal;
    this.#loginDatabase = login.database;
    this.database = login.database;
    this.appName = login.appName;
    this.hostName = login.hostName;
    this.tokenExpiry = login.tokenExpiry;
    this.#onTransaction = login.onTransaction;
  }

  /** Name of the transaction on the wire. */
  get transactionDescriptor(): Buffer {
    const descriptor = Buffer.alloc(8);
    descriptor.writeUInt32LE(Number(this.#lastTransaction), 0);
    descriptor.writeUInt32LE(this.spid, 4);
    return descriptor;
  }

  /** True if this starts a transaction, false if it only deepens the nesting. */
  begin(): boolean {
    this.transactionDepth += 1;
    if (this.transactionDepth > 1) return false;
    this.#lastTransaction += 1n;
    this.#tell('begin');
    return true;
  }

  /** True if this ends the transaction. */
  commit(): boolean {
    if (this.transactionDepth === 0) {
      throw new SqlServerError({
        number: 3902,
        message: 'The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.',
      });
    }
    this.transactionDepth -= 1;
    if (this.transactionDepth > 0) return false;
    this.#savepoints = [];
    this.#tell('commit');
    return true;
  }

  /** Rolls back to a savepoint, or everything; true if the transaction is over. */
  rollback(name = ''): boolean {
    if (this.transactionDepth === 0) {
      throw new SqlServerError({
        number: 3903,
        message: 'The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.',
      });
    }
    const savepoint = this.#savepoints.lastIndexOf(name.toLowerCase());
    if (name !== '' && savepoint !== -1) {
      this.#savepoints = this.#savepoints.slice(0, savepoint + 1);
      this.#tell('rollback', name.toLowerCase());
      return false;
    }
    this.transactionDepth = 0;
    this.#savepoints = [];
    this.#tell('rollback');
    return true;
  }

  save(name: string): void {
    if (this.transactionDepth === 0) {
      throw new SqlServerError({
        number: 628,
        message: 'Cannot issue SAVE TRANSACTION when there is no active transaction.',
      });
    }
    this.#savepoints.push(name.toLowerCase());
    this.#tell('save', name.toLowerCase());
  }

  /** The connection is gone: an open transaction is rolled back. */
  end(): void {
    if (this.transactionDepth > 0) this.rollback();
  }

  #tell(kind: TransactionEvent | 'save', name = ''): void {
    this.#onTransaction?.({ kind, name }, this);
  }

  prepare(statement: PreparedStatement): number {
    this.#lastHandle += 1;
    this.#prepared.set(this.#lastHandle, statement);
    return this.#lastHandle;
  }

  prepared(handle: number): PreparedStatement {
    const statement = this.#prepared.get(handle);
    if (statement === undefined) {
      throw new SqlServerError({
        number: 8179,
        state: 4,
        message: `Could not find prepared statement with handle ${handle}.`,
      });
    }
    return statement;
  }

  unprepare(handle: number): void {
    this.prepared(handle);
    this.#prepared.delete(handle);
  }

  /** sp_reset_connection: everything but the login is forgotten. */
  reset(): void {
    this.database = this.#loginDatabase;
    // The isolation level survives a reset, in SQL Server too.
    this.abortsOnError = false;
    this.rowCount = 0;
    this.lastError = 0;
    this.#prepared.clear();
  }
}

/** Parameters and variables of one batch, by lower-case name. */
export type Variables = Map<string, Variable>;

export function variablesOf(parameters: readonly ({ name: string } & SqlValue)[]): Variables {
  return new Map(parameters.map(({ name, type, value }) => [name.toLowerCase(), { type, value }]));
}

import type { Scalar, SqlType, SqlValue } from '../tds/data-type.js';
import { SqlServerError } from '../tds/server-error.js';
import { toJs } from './conversion.js';
import { SET_OPTION_DEFAULTS, SET_OPTION_DEFAULTS_WITHOUT_ODBC } from './session-settings.js';
import { TemporaryTables } from './temporary-tables.js';

/** The state of a session, as exposed to `onQuery` and `server.sessions`. */
export interface SqlSession {
  /** `@@SPID`. */
  readonly spid: number;
  /** The logged-in principal: client id or user name of the token, or the SQL login. */
  readonly principal: string;
  readonly database: string;
  readonly appName: string;
  readonly hostName: string;
  /** `@@TRANCOUNT`. */
  readonly transactionDepth: number;
  /** Isolation level set with SET TRANSACTION or by a transaction request. It survives a reset. */
  readonly isolationLevel: string;
  /** Value of each SET option by its name in capitals, e.g. `LOCK_TIMEOUT` is `-1`, `NOCOUNT` is `OFF`. */
  readonly setOptions: ReadonlyMap<string, string>;
  /** The values set with sp_set_session_context, by key, as JavaScript values. */
  readonly context: Readonly<Record<string, unknown>>;
  /** Names of the existing temporary tables, including the `#`. */
  readonly temporaryTables: readonly string[];
  /** How often the connection was reset (RESETCONNECTION, or sp_reset_connection). */
  readonly resets: number;
  /** Expiry of the session's token, epoch ms; undefined for a SQL login. */
  readonly tokenExpiry: number | undefined;
}

export interface Variable {
  /** As written; variables are found without regard to case. */
  name?: string | undefined;
  type: SqlType;
  value: Scalar;
}

export interface PreparedStatement {
  sql: string;
  parameters: { name: string; type: SqlType }[];
}

/** A transaction event; an ENVCHANGE reports it to the client. */
export type TransactionEvent = 'begin' | 'commit' | 'rollback';

/**
 * Called for each transaction event of a session: begin, commit and rollback (including that of a dropped connection), and
 * for savepoints (`save`, and `rollback` with the name). Intended for an `onQuery` that keeps data.
 */
export type TransactionHandler = (
  event: { kind: TransactionEvent | 'save' /** Of the savepoint; else empty. */; name: string },
  session: SqlSession,
) => void;

/** The state of one session that outlives a request and that a reset undoes. */
export class SessionState implements SqlSession {
  readonly spid: number;
  /** The logged-in principal. */
  readonly principal: string;
  readonly appName: string;
  readonly hostName: string;
  readonly library: string;
  readonly tokenExpiry: number | undefined;
  readonly #loginDatabase: string;
  database: string;
  isolationLevel = 'READ COMMITTED';
  transactionDepth = 0;
  resets = 0;
  readonly #initialOptions: ReadonlyMap<string, string>;
  /** Replaced at each change, so that a procedure can keep the former ones. */
  #setOptions: ReadonlyMap<string, string>;
  readonly #context = new Map<string, { name: string; variable: Variable; readOnly: boolean }>();
  readonly temporary = new TemporaryTables();
  /** `CONTEXT_INFO()`. */
  contextInfo: Buffer | null = null;
  /** The stack of EXECUTE AS principals, latest last. */
  readonly #impersonated: string[] = [];
  /** How many of them REVERT cannot undo: those of the caller of the running procedure. */
  #impersonatedByCaller = 0;
  /** When the session began, epoch ms. */
  readonly loginTime = Date.now();
  /** `@@ROWCOUNT`. */
  rowCount = 0;
  /** `@@ERROR`. */
  lastError = 0;
  readonly #prepared = new Map<number, PreparedStatement>();
  /** Of the outermost transaction, in lower case. */
  #transactionName = '';
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
    library: string;
    tokenExpiry: number | undefined;
    /** fODBC of LOGIN7. Default true. */
    odbc?: boolean | undefined;
    onTransaction?: TransactionHandler | undefined;
  }) {
    this.spid = login.spid;
    this.principal = login.principal;
    this.#loginDatabase = login.database;
    this.database = login.database;
    this.appName = login.appName;
    this.hostName = login.hostName;
    this.library = login.library;
    this.tokenExpiry = login.tokenExpiry;
    this.#onTransaction = login.onTransaction;
    this.#initialOptions = login.odbc === false ? SET_OPTION_DEFAULTS_WITHOUT_ODBC : SET_OPTION_DEFAULTS;
    this.#setOptions = this.#initialOptions;
  }

  get setOptions(): ReadonlyMap<string, string> {
    return this.#setOptions;
  }

  /** `SET XACT_ABORT ON`: an error rolls the transaction back. */
  get abortsOnError(): boolean {
    return this.#setOptions.get('XACT_ABORT') === 'ON';
  }

  setOption(name: string, value: string): void {
    this.#setOptions = new Map(this.#setOptions).set(name, value);
  }

  get context(): Readonly<Record<string, unknown>> {
    return Object.fromEntries(
      [...this.#context.values()].map(({ name, variable: { value, type } }) => [name, toJs(value, type)]),
    );
  }

  /** `SESSION_CONTEXT(key)`. */
  contextOf(key: string): Variable | undefined {
    return this.#context.get(key.toLowerCase())?.variable;
  }

  /** sp_set_session_context. */
  setContext(key: string, variable: Variable, readOnly: boolean): void {
    if (this.#context.get(key.toLowerCase())?.readOnly) {
      throw new SqlServerError({
        number: 15_664,
        message: `Cannot set key '${key}' in the session context. The key has been set as read_only for this session.`,
      });
    }
    if (variable.value === null) this.#context.delete(key.toLowerCase());
    else this.#context.set(key.toLowerCase(), { name: key, variable, readOnly });
  }

  get temporaryTables(): readonly string[] {
    return this.temporary.names;
  }

  /** The effective principal: the one logged in, or the latest of EXECUTE AS. */
  get actsAs(): string {
    return this.#impersonated.at(-1) ?? this.principal;
  }

  executeAs(name: string): void {
    this.#impersonated.push(name);
  }

  /** REVERT; has no effect outside EXECUTE AS, as in SQL Server. A procedure cannot revert what its caller did. */
  revert(): void {
    if (this.#impersonated.length > this.#impersonatedByCaller) this.#impersonated.pop();
  }

  /**
   * Enters a procedure, and returns a function that leaves it. As in SQL Server, the end of a procedure or of
   * sp_executesql undoes its `USE`, its SET options, its isolation level and its EXECUTE AS, and drops the temporary tables
   * that it created. `SESSION_CONTEXT` and `CONTEXT_INFO` stay.
   */
  enterProcedure(): () => void {
    const { database, isolationLevel } = this;
    const options = this.#setOptions;
    const callers = this.#impersonatedByCaller;
    const impersonated = this.#impersonated.length;
    this.#impersonatedByCaller = impersonated;
    this.temporary.enter();
    return () => {
      this.database = database;
      this.isolationLevel = isolationLevel;
      this.#setOptions = options;
      this.#impersonated.length = impersonated;
      this.#impersonatedByCaller = callers;
      this.temporary.leave();
    };
  }

  /** Transaction descriptor on the wire. */
  get transactionDescriptor(): Buffer {
    const descriptor = Buffer.alloc(8);
    descriptor.writeUInt32LE(Number(this.#lastTransaction), 0);
    descriptor.writeUInt32LE(this.spid, 4);
    return descriptor;
  }

  /** True if this starts a transaction, false if it only deepens the nesting. */
  begin(name = ''): boolean {
    this.transactionDepth += 1;
    if (this.transactionDepth > 1) return false;
    this.#transactionName = name.toLowerCase();
    this.#lastTransaction += 1n;
    this.#report('begin');
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
    this.#report('commit');
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
      this.#report('rollback', name.toLowerCase());
      return false;
    }
    // The value of a variable is not known here.
    if (name !== '' && !name.startsWith('@') && name.toLowerCase() !== this.#transactionName)
      throw nothingToRollBack(name);
    this.transactionDepth = 0;
    this.#savepoints = [];
    this.#report('rollback');
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
    this.#report('save', name.toLowerCase());
  }

  /** Rolls back an open transaction after the connection has closed. */
  end(): void {
    if (this.transactionDepth > 0) this.rollback();
  }

  #report(kind: TransactionEvent | 'save', name = ''): void {
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

  /**
   * sp_reset_connection: resets everything except the login and the isolation level. The caller decides whether to roll
   * back an open transaction.
   *
   * @throws SqlServerError 18059, which ends the session, while EXECUTE AS is in effect, because SQL Server cannot revert it.
   */
  reset(): void {
    if (this.#impersonated.length > 0) throw resetWhileImpersonating();
    this.resets += 1;
    this.database = this.#loginDatabase;
    this.rowCount = 0;
    this.lastError = 0;
    this.contextInfo = null;
    this.#prepared.clear();
    this.#context.clear();
    this.temporary.clear();
    this.#setOptions = this.#initialOptions;
  }
}

function nothingToRollBack(name: string): SqlServerError {
  const message = `Cannot roll back ${name}. No transaction or savepoint of that name was found.`;
  return new SqlServerError({ number: 6401, message });
}

function resetWhileImpersonating(): SqlServerError {
  return new SqlServerError({
    number: 18_059,
    class: 20,
    message:
      'The connection has been dropped because the principal that opened it subsequently assumed a new security context, and then tried to reset the connection under its impersonated security context. This scenario is not supported. See "Impersonation Overview" in Books Online.',
  });
}

/** Parameters and variables of one batch, by lower-case name. */
export type Variables = Map<string, Variable>;

export function variablesOf(parameters: readonly ({ name: string } & SqlValue)[]): Variables {
  return new Map(parameters.map(({ name, type, value }) => [name.toLowerCase(), { name, type, value }]));
}

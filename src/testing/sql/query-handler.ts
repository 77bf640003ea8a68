import { MAX, nvarchar, type Scalar, type SqlType, typeNamed } from '../tds/data-type.js';
import type { Column } from '../tds/response.js';
import { SqlServerError } from '../tds/server-error.js';
import { fromJs, toJs, typeOfJs } from './conversion.js';
import { type Batch, ROWS_PER_TURN } from './interpreter.js';
import type { SqlSession, Variables } from './session.js';

/**
 * Answers SQL that the emulator does not support. `parameters` holds JavaScript values by name without `@`. A stored
 * procedure call is passed as `EXEC name`. Return an array of rows, a {@link QueryAnswer}, or `undefined` for unknown SQL
 * (the client then gets SQL Server's own error). Throw an object with a `number` for a SQL error.
 */
export type QueryHandler = (
  sql: string,
  parameters: Record<string, unknown>,
  session: SqlSession,
) => QueryResult | Promise<QueryResult>;

/** What a query handler returns: rows, a complete answer, or `undefined` for an unknown query. */
export type QueryResult = undefined | readonly QueryRow[] | QueryAnswer;

/** A row by column name, or by position if {@link QueryAnswer.columns} is given. */
export type QueryRow = Readonly<Record<string, unknown>> | readonly unknown[];

/** A complete answer to a query: columns, rows, output parameters. */
export interface QueryAnswer {
  /** Names, or names with T-SQL types (`decimal(10,2)`). Default: from the first row. */
  columns?: readonly (string | { name: string; type?: string | undefined })[] | undefined;
  rows?: Iterable<QueryRow> | AsyncIterable<QueryRow> | undefined;
  /** For a statement without a result set. */
  rowsAffected?: number | undefined;
  /** Values of output parameters, by name without `@`. */
  outputs?: Readonly<Record<string, unknown>> | undefined;
  /** Return status of a procedure. Default 0. */
  returnStatus?: number | undefined;
  /** Further result sets. */
  more?: readonly QueryAnswer[] | undefined;
}

/** Variables by name without `@`, as JavaScript values. */
export function parametersOf(variables: Variables): Record<string, unknown> {
  return Object.fromEntries(
    [...variables].map(([name, { type, value }]) => [name.replace(/^@/, ''), toJs(value, type)]),
  );
}

/** Calls the handler and writes its answer. Returns the return status, or undefined if the handler has no answer. */
export async function askHandler(handler: QueryHandler, sql: string, batch: Batch): Promise<number | undefined> {
  try {
    const result = await handler(sql, parametersOf(batch.variables), batch.session);
    if (result === undefined) return undefined;
    if (typeof result !== 'object' || result === null) {
      const got = result === null ? 'null' : `a ${typeof result}`;
      throw new TypeError(
        `onQuery returned ${got}; return rows, an answer, or undefined if the statement is not yours.`,
      );
    }
    const answer: QueryAnswer = Array.isArray(result) ? { rows: result } : (result as QueryAnswer);
    for (const each of [answer, ...(answer.more ?? [])]) await writeAnswer(each, batch);
    setOutputs(answer.outputs ?? {}, batch.variables);
    return answer.returnStatus ?? 0;
  } catch (error) {
    throw asSqlError(error);
  }
}

/** Converts a thrown value to a SQL Server error; without a number it becomes 50000. */
export function asSqlError(error: unknown): SqlServerError {
  if (error instanceof SqlServerError) return error;
  const info = (
    typeof error === 'object' && error !== null ? error : { message: String(error) }
  ) as Partial<SqlServerError>;
  return new SqlServerError({
    number: typeof info.number === 'number' ? info.number : 50_000,
    state: info.state,
    class: info.class,
    message: info.message === '' ? undefined : info.message,
    procName: info.procName,
    lineNumber: info.lineNumber,
  });
}

async function writeAnswer(answer: QueryAnswer, { output, session }: Batch): Promise<void> {
  if (answer.rows === undefined && answer.columns === undefined) {
    session.rowCount = answer.rowsAffected ?? 0;
    output.statementDone(answer.rowsAffected);
    return;
  }
  const named = answer.columns?.map(namedColumn);
  let columns: Column[] = (named ?? []).map(({ name, type }) => ({ name, type: type ?? nvarchar(MAX) }));
  let write: ((row: readonly Scalar[]) => void) | undefined;
  let count = 0;
  for await (const row of answer.rows ?? []) {
    if (write === undefined) {
      columns = typedColumns(named ?? columnsOf(row), row);
      write = output.resultSet(columns);
    }
    write(columns.map((column, i) => columnValue(column, cell(row, column.name, i))));
    count += 1;
    if (count % ROWS_PER_TURN === 0) await output.turn();
    if (output.cancelled) break;
  }
  if (write === undefined) output.resultSet(columns.length > 0 ? columns : UNNAMED);
  session.rowCount = count;
  output.statementDone(count);
}

/** A result set needs a column. Without rows and `columns`, its name is unknown. */
const UNNAMED: Column[] = [{ name: '', type: nvarchar(MAX) }];

function columnValue({ name, type }: Column, value: unknown): Scalar {
  try {
    return fromJs(value, type);
  } catch (error) {
    throw error instanceof TypeError ? new TypeError(`onQuery: column "${name}": ${error.message}`) : error;
  }
}

/** Columns without a type get the type of their value in the first row; text columns take text of any length. */
function typedColumns(columns: readonly { name: string; type: SqlType | undefined }[], first: QueryRow): Column[] {
  return columns.map(({ name, type }, i) => {
    if (type !== undefined) return { name, type };
    const own = typeOfJs(cell(first, name, i));
    return { name, type: own === undefined || own.name === 'nvarchar' ? nvarchar(MAX) : own };
  });
}

function namedColumn(column: string | { name: string; type?: string | undefined }): {
  name: string;
  type: SqlType | undefined;
} {
  if (typeof column === 'string') return { name: column, type: undefined };
  if (column.type === undefined) return { name: column.name, type: undefined };
  const match = /^(\w{1,40})\s{0,10}(?:\(([^)]{0,40})\))?$/.exec(column.type.trim());
  const type =
    match === null ? undefined : typeNamed(match[1] as string, match[2]?.split(',').map((arg) => arg.trim()) ?? []);
  if (type === undefined) throw new TypeError(`onQuery: column "${column.name}" has the unknown type "${column.type}"`);
  return { name: column.name, type };
}

function columnsOf(row: QueryRow): { name: string; type: undefined }[] {
  const names = Array.isArray(row) ? row.map(() => '') : Object.keys(row);
  return names.map((name) => ({ name, type: undefined }));
}

function cell(row: QueryRow, name: string, index: number): unknown {
  return Array.isArray(row) ? row[index] : (row as Record<string, unknown>)[name];
}

function setOutputs(outputs: Readonly<Record<string, unknown>>, variables: Variables): void {
  for (const [name, value] of Object.entries(outputs)) {
    const variable = variables.get(`@${name.toLowerCase()}`);
    if (variable === undefined) throw new TypeError(`onQuery: there is no output parameter "${name}"`);
    variable.value = fromJs(value, variable.type);
  }
}

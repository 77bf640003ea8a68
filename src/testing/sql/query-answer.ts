import { MAX, nvarchar, type Scalar, type SqlType, typeNamed, typeText } from '../tds/data-type.js';
import type { Column } from '../tds/response.js';
import { fromJs, typeOfJs } from './conversion.js';
import { type Batch, ROWS_PER_TURN } from './interpreter.js';
import { rowsUnlessCancelled } from './request-cancelled.js';

/** What a query handler returns: rows, a complete answer, or `undefined` for an unknown query. */
export type QueryResult = undefined | readonly QueryRow[] | QueryAnswer;

/** A row by column name, or by position if {@link QueryAnswer.columns} is given. */
export type QueryRow = Readonly<Record<string, unknown>> | readonly unknown[];

/** A complete answer to a query: columns, rows, output parameters. */
export interface QueryAnswer {
  /**
   * Names, or names with T-SQL types (`decimal(10,2)`). Default: the names in the rows. A column without a type gets the type
   * that holds all its values in an array of rows; of other iterables, the type of the first row's value.
   */
  columns?: readonly (string | { name: string; type?: string | undefined })[] | undefined;
  rows?: Iterable<QueryRow> | AsyncIterable<QueryRow> | undefined;
  /** For a statement without a result set. `SELECT @@ROWCOUNT` at the end of the same batch returns it. */
  rowsAffected?: number | undefined;
  /** Values of output parameters, by name without `@`. */
  outputs?: Readonly<Record<string, unknown>> | undefined;
  /** Return status of a procedure. Default 0. */
  returnStatus?: number | undefined;
  /** Further result sets. */
  more?: readonly QueryAnswer[] | undefined;
}

const KEYS: Readonly<Record<keyof QueryAnswer, true>> = {
  columns: true,
  rows: true,
  rowsAffected: true,
  outputs: true,
  returnStatus: true,
  more: true,
};

/**
 * The answer that a handler or an expectation gives. An answer that sent nothing would let a test pass that proves nothing.
 *
 * @throws TypeError that says what to return instead; it begins with `source`
 */
export function answerOf(result: unknown, source: string): QueryAnswer {
  if (typeof result !== 'object' || result === null) {
    const got = result === null || result === undefined ? String(result) : `a ${typeof result}`;
    throw new TypeError(
      `${source} returned ${got}; return rows, an answer, or undefined if there is no answer to this statement.`,
    );
  }
  if (Array.isArray(result)) return { rows: result };
  const made = Object.getPrototypeOf(result) as object | null;
  if (made !== null && Object.getPrototypeOf(made) !== null) {
    throw new TypeError(
      `${source} returned an object of class ${className(result).slice(0, 40)}; return an array of rows or a plain object with the keys ${Object.keys(KEYS).join(', ')}.`,
    );
  }
  const unknown = Object.keys(result).find((key) => !Object.hasOwn(KEYS, key));
  if (unknown !== undefined) {
    throw new TypeError(
      `${source} returned an object with the key '${unknown.slice(0, 40)}'. The keys of an answer are ${Object.keys(KEYS).join(', ')}; for a single row, return an array with that row.`,
    );
  }
  const answer = result as QueryAnswer;
  const { rowsAffected, returnStatus, rows, columns, more, outputs } = answer;
  if (rowsAffected !== undefined && !(Number.isSafeInteger(rowsAffected) && rowsAffected >= 0)) {
    throw new TypeError(`${source}: rowsAffected is ${String(rowsAffected)}; it must be a whole number, 0 or more.`);
  }
  if (returnStatus !== undefined && !(Number.isInteger(returnStatus) && Math.abs(returnStatus) <= 0x7fff_ffff)) {
    throw new TypeError(`${source}: returnStatus is ${String(returnStatus)}; it must be an int.`);
  }
  if (rows !== undefined && !isIterable(rows)) throw new TypeError(`${source}: rows must be an array or an iterable.`);
  for (const [name, list] of Object.entries({ columns, more })) {
    if (list !== undefined && !Array.isArray(list)) throw new TypeError(`${source}: ${name} must be an array.`);
  }
  if (outputs !== undefined && (typeof outputs !== 'object' || outputs === null)) {
    throw new TypeError(`${source}: outputs must be an object of values by parameter name.`);
  }
  for (const each of more ?? []) answerOf(each, `${source}, in 'more',`);
  return answer;
}

function className(value: object): string {
  const { name } = value.constructor;
  return typeof name === 'string' && name !== '' ? name : 'unknown';
}

function isIterable(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return Symbol.iterator in value || Symbol.asyncIterator in value;
}

function isAsync(rows: QueryAnswer['rows']): rows is AsyncIterable<QueryRow> {
  return rows !== undefined && Symbol.asyncIterator in rows;
}

/** Writes one result: a result set, or a row count. */
export async function writeAnswer(answer: QueryAnswer, { output, session }: Batch, source: string): Promise<void> {
  const { rows, columns: given, rowsAffected } = answer;
  if (rows === undefined && given === undefined) {
    session.rowCount = rowsAffected ?? 0;
    output.statementDone(rowsAffected);
    return;
  }
  const named = given?.map((column) => namedColumn(column, source));
  let columns = Array.isArray(rows) ? columnsOfAll(named, rows, source) : undefined;
  let write: ((row: readonly Scalar[]) => void) | undefined;
  let count = 0;
  for await (const row of isAsync(rows) ? rowsUnlessCancelled(rows, output) : (rows ?? [])) {
    columns ??= columnsOfAll(named, [row], source);
    write ??= output.resultSet(columns);
    requireColumns(row, columns, named === undefined ? 'in the first row' : "in 'columns'", source);
    write(columns.map((column, i) => columnValue(column, cell(row, column.name, i), source)));
    count += 1;
    if (count % ROWS_PER_TURN === 0) await output.turn();
    if (output.cancelled) break;
  }
  if (write === undefined) {
    columns ??= columnsOfAll(named, [], source);
    output.resultSet(columns.length > 0 ? columns : UNNAMED);
  }
  session.rowCount = count;
  output.statementDone(count);
}

/** A column, and whether its type was given; if it was inferred, every value must fit it. */
interface AnswerColumn extends Column {
  given: boolean;
}

interface NamedColumn {
  name: string;
  type: SqlType | undefined;
}

/** A result set needs a column. Without rows and `columns`, its name is unknown. */
const UNNAMED: Column[] = [{ name: '', type: nvarchar(MAX) }];

function columnsOfAll(
  named: readonly NamedColumn[] | undefined,
  rows: readonly QueryRow[],
  source: string,
): AnswerColumn[] {
  for (const row of rows) requireRow(row, source);
  return (named ?? columnsIn(rows)).map(({ name, type }, i) => {
    if (type !== undefined) return { name, type, given: true };
    let found: SqlType | undefined;
    for (const row of rows) found = holdingBoth(found, sentType(cell(row, name, i)), name, source);
    return { name, type: found ?? nvarchar(MAX), given: false };
  });
}

/** The columns of rows without `columns`: every name in them, in order of appearance. */
function columnsIn(rows: readonly QueryRow[]): NamedColumn[] {
  const names = new Set<string>();
  for (const row of rows) {
    if (Array.isArray(row)) return row.map(() => ({ name: '', type: undefined }));
    for (const name of Object.keys(row)) names.add(name);
  }
  return [...names].map((name) => ({ name, type: undefined }));
}

/** The type in which a value is sent; text columns take text of any length. */
function sentType(value: unknown): SqlType | undefined {
  const own = typeOfJs(value);
  return own?.name === 'nvarchar' ? nvarchar(MAX) : own;
}

const NUMBERS = ['int', 'bigint', 'float'];

/**
 * The type that holds values of both types. A JavaScript number that is not an int is a float, in which it is exact.
 */
function holdingBoth(
  one: SqlType | undefined,
  other: SqlType | undefined,
  name: string,
  source: string,
): SqlType | undefined {
  if (one === undefined || other === undefined || one.name === other.name) return one ?? other;
  if (NUMBERS.includes(one.name) && NUMBERS.includes(other.name)) {
    return one.name === 'float' || other.name === 'float' ? { name: 'float' } : { name: 'bigint' };
  }
  throw new TypeError(
    `${source}: column "${name}" has values of different types (${one.name} and ${other.name}). Give its type: columns: [{ name: '${name}', type: '...' }].`,
  );
}

/** Refuses a row with a value that has no column; without `columns`, the first row of a stream decides on them. */
function requireColumns(row: QueryRow, columns: readonly AnswerColumn[], where: string, source: string): void {
  requireRow(row, source);
  if (Array.isArray(row)) {
    if (row.length <= columns.length) return;
    throw new TypeError(`${source}: a row has ${row.length} values, but there are only ${columns.length} ${where}.`);
  }
  const unknown = Object.keys(row).find((name) => !columns.some((column) => column.name === name));
  if (unknown === undefined) return;
  throw new TypeError(`${source}: column "${unknown.slice(0, 40)}" is not ${where}. Name all columns in 'columns'.`);
}

function requireRow(row: unknown, source: string): void {
  if (typeof row === 'object' && row !== null) return;
  throw new TypeError(
    `${source}: a row is ${row === null ? 'null' : `a ${typeof row}`}; it must be an object or an array.`,
  );
}

function columnValue({ name, type, given }: AnswerColumn, value: unknown, source: string): Scalar {
  try {
    if (!given) requireFitting(value, type);
    return sentWhole(value, type);
  } catch (error) {
    throw error instanceof TypeError ? new TypeError(`${source}: column "${name}": ${error.message}`) : error;
  }
}

/** Refuses a value that would silently become another one in a type that was taken from other values. */
function requireFitting(value: unknown, type: SqlType): void {
  const own = typeOfJs(value);
  if (own === undefined || own.name === type.name) return;
  if (own.name === 'int' && NUMBERS.includes(type.name)) return;
  if (own.name === 'bigint' && type.name === 'float' && typeof value === 'number') return;
  throw new TypeError(
    `a value of type ${own.name} does not fit the type ${type.name} of the rows before it; give its type in 'columns'.`,
  );
}

/**
 * The value as it is sent. CAST cuts text, bytes and fractions silently; in an answer that would be a mistake that no test
 * shows. Blanks at the end of text do not count.
 *
 * @throws TypeError for a value that the type would cut
 */
export function sentWhole(value: unknown, type: SqlType): Scalar {
  const sent = fromJs(value, type);
  const size = type.length ?? MAX;
  if (typeof value === 'string' && typeof sent === 'string' && value.slice(size).trim() !== '') {
    throw new TypeError(`a text of ${value.length} characters does not fit the type ${typeText(type)}.`);
  }
  if (value instanceof Uint8Array && value.length > size) {
    throw new TypeError(`${value.length} bytes do not fit the type ${typeText(type)}.`);
  }
  if (typeof value === 'number') {
    const isCut = typeof sent === 'string' ? sent.startsWith('*') : WHOLE.has(type.name) && !Number.isInteger(value);
    if (isCut) throw new TypeError(`${value} does not fit the type ${typeText(type)}.`);
  }
  return sent;
}

const WHOLE = new Set<string>(['tinyint', 'smallint', 'int', 'bigint']);

function namedColumn(column: string | { name: string; type?: string | undefined }, source: string): NamedColumn {
  if (typeof column === 'string') return { name: column, type: undefined };
  if (column.type === undefined) return { name: column.name, type: undefined };
  const match = /^(\w{1,40})\s{0,10}(?:\(([^)]{0,40})\))?$/.exec(column.type.trim());
  const type =
    match === null ? undefined : typeNamed(match[1] as string, match[2]?.split(',').map((arg) => arg.trim()) ?? []);
  if (type === undefined) {
    throw new TypeError(`${source}: column "${column.name}" has the unknown type "${column.type}"`);
  }
  return { name: column.name, type };
}

function cell(row: QueryRow, name: string, index: number): unknown {
  return Array.isArray(row) ? row[index] : (row as Record<string, unknown>)[name];
}

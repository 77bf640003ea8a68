import { typeText } from '../tds/data-type.js';
import type { BulkRows } from '../tds/request.js';
import { SqlServerError } from '../tds/server-error.js';
import { toJs } from './conversion.js';
import type { SqlSession } from './session.js';

/** A complete bulk load (`INSERT BULK`). */
export interface BulkLoad {
  /** The table as the client named it, e.g. `dbo.orders` or `#staging`. */
  table: string;
  /** Columns in the order of the values, with T-SQL types. */
  columns: { name: string; type: string }[];
  /** Rows by position, as JavaScript values. */
  rows: unknown[][];
}

/**
 * Takes the rows of bulk loads. Throw an object with a `number` for a SQL error; return `false` for a table that does not
 * exist, which is error 208.
 */
export type BulkLoadHandler = (
  load: BulkLoad,
  session: SqlSession,
  /** Its signal is aborted when the client cancels, which does not wait for the handler. */
  request: { readonly signal: AbortSignal },
) => unknown;

/** The longest supported table name: server, database, schema and table, each of 128 characters in brackets. */
const LONGEST_NAME = 600;

/** The table of an INSERT BULK statement; undefined for any other statement. */
export function bulkLoadTable(sql: string): string | undefined {
  const match = /^\s{0,100}insert\s{1,100}bulk\s{1,100}/i.exec(sql.slice(0, 400));
  if (match === null) return undefined;
  const rest = sql.slice(match[0].length, match[0].length + LONGEST_NAME);
  const end = rest.search(/[\s(]/);
  return (end === -1 ? rest : rest.slice(0, end)).replaceAll(/[[\]"]/g, '');
}

/** Passes the rows to the handler and returns their number. */
export async function takeBulkLoad(
  table: string,
  { columns, rows }: BulkRows,
  handler: BulkLoadHandler | undefined,
  session: SqlSession,
  request: { readonly signal: AbortSignal },
): Promise<number> {
  const load = {
    table,
    columns: columns.map(({ name, type }) => ({ name, type: typeText(type) })),
    rows: rows.map((row) => row.map((value, i) => toJs(value, (columns[i] as (typeof columns)[number]).type))),
  };
  const exists = session.temporaryTables.some((name) => name.toLowerCase() === table.toLowerCase());
  const taken = handler === undefined ? exists : (await handler(load, session, request)) !== false;
  if (!taken) throw new SqlServerError({ number: 208, message: `Invalid object name '${table}'.` });
  return rows.length;
}

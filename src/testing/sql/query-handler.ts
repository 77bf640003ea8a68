import { flawOf, SqlServerError } from '../tds/server-error.js';
import { toJs } from './conversion.js';
import { type Batch, run } from './interpreter.js';
import { answerOf, type QueryResult, sentWhole, writeAnswer } from './query-answer.js';
import { RequestCancelledError } from './request-cancelled.js';
import type { SqlSession, Variables } from './session.js';
import { trailingRowCount } from './statement-text.js';

/**
 * Answers SQL that the emulator does not support. `parameters` holds JavaScript values by name without `@`. A stored
 * procedure call is passed as `EXEC name`. Return an array of rows, a {@link QueryAnswer}, or `undefined` for unknown SQL
 * (the client then gets SQL Server's own error). Throw an object with a `number` for a SQL error.
 *
 * A client that cancels or times out is answered at once, even if the handler is still running. Its `signal` is aborted then,
 * and what it returns has no effect.
 */
export type QueryHandler = (
  sql: string,
  parameters: Record<string, unknown>,
  session: SqlSession,
  request: { readonly signal: AbortSignal },
) => QueryResult | Promise<QueryResult>;

/** Variables by name as sent, without `@`, as JavaScript values. */
export function parametersOf(variables: Variables): Record<string, unknown> {
  return Object.fromEntries(
    [...variables].map(([key, { name = key, type, value }]) => [name.replace(/^@/, ''), toJs(value, type)]),
  );
}

/**
 * Calls the handler and writes its answer. `source` names the handler in errors. Returns the return status, or undefined if
 * the handler has no answer.
 */
export async function askHandler(
  handler: QueryHandler,
  sql: string,
  batch: Batch,
  source: string,
): Promise<number | undefined> {
  try {
    const result = await batch.output.unlessCancelled(
      handler(sql, parametersOf(batch.variables), batch.session, requestOf(batch.output)),
    );
    if (result === undefined) return undefined;
    const answer = answerOf(result, source);
    for (const each of [answer, ...(answer.more ?? [])]) await writeAnswer(each, batch, source);
    const count = hasOnlyRowCount(answer) ? trailingRowCount(sql) : undefined;
    if (count !== undefined) await run(count, batch);
    setOutputs(answer.outputs ?? {}, batch.variables, source);
    return answer.returnStatus ?? 0;
  } catch (error) {
    throw error instanceof RequestCancelledError ? error : asSqlError(error);
  }
}

/** What a handler receives about its request. The signal is created when the handler reads it. */
export function requestOf(output: Batch['output']): { readonly signal: AbortSignal } {
  return {
    get signal() {
      return output.signal;
    },
  };
}

function hasOnlyRowCount({ rows, columns, more }: Exclude<QueryResult, undefined | readonly unknown[]>): boolean {
  return rows === undefined && columns === undefined && more === undefined;
}

/** Converts a thrown value to a SQL Server error; without a number it becomes 50000. */
export function asSqlError(error: unknown): SqlServerError {
  if (error instanceof SqlServerError) return error;
  const info = (
    typeof error === 'object' && error !== null ? error : { message: String(error) }
  ) as Partial<SqlServerError>;
  const flaw = typeof info.number === 'number' ? flawOf(info) : undefined;
  if (flaw !== undefined) {
    return new SqlServerError({ number: 50_000, message: `An error that was thrown cannot be sent: its ${flaw}.` });
  }
  return new SqlServerError({
    number: typeof info.number === 'number' ? info.number : 50_000,
    state: info.state,
    class: info.class,
    message: info.message === '' ? undefined : info.message,
    procName: info.procName,
    lineNumber: info.lineNumber,
  });
}

function setOutputs(outputs: Readonly<Record<string, unknown>>, variables: Variables, source: string): void {
  for (const [name, value] of Object.entries(outputs)) {
    const variable = variables.get(`@${name.toLowerCase()}`);
    if (variable === undefined) throw new TypeError(`${source}: there is no output parameter "${name}"`);
    try {
      variable.value = sentWhole(value, variable.type);
    } catch (error) {
      throw error instanceof TypeError
        ? new TypeError(`${source}: output parameter "${name}": ${error.message}`)
        : error;
    }
  }
}

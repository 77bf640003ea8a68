import { EnvChange } from '../tds/response.js';
import { SqlServerError } from '../tds/server-error.js';
import type { AnswerPart, RecordedMessage, RecordedStatement, Recording } from '../traffic/recording.js';
import { fromTextValue, parseTypeText } from '../traffic/value-text.js';
import { rollBackAfter } from './error-effects.js';
import { type Batch, parse, ROWS_PER_TURN } from './interpreter.js';
import type { Statement } from './syntax.js';

/** Statements that change the session. The emulator runs them itself, so that later statements see their effect. */
const STATEFUL: ReadonlySet<Statement['kind']> = new Set<Statement['kind']>([
  ...(['setOption', 'setContextInfo', 'setSessionContext', 'executeAs', 'revert', 'use'] as const),
  ...(['createTemporary', 'dropTemporary', 'begin', 'commit', 'rollback', 'save'] as const),
]);

/** Answers a statement as the recorded server did. @returns the return status; undefined if the recording has no answer */
export async function replay(recording: Recording, sql: string, batch: Batch): Promise<number | undefined> {
  if (isStateful(sql)) return undefined;
  const recorded = recording.statement(sql);
  if (recorded === undefined) return undefined;
  try {
    for (const part of recorded.answer) await write(part, batch);
    setOutputs(recorded, batch);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    const message = `The recording cannot be replayed: ${error.message} (query: ${recorded.query.slice(0, 200)})`;
    throw new SqlServerError({ number: 50_000, message });
  }
  return recorded.returnStatus ?? 0;
}

function isStateful(sql: string): boolean {
  try {
    return parse(sql).some(({ kind }) => STATEFUL.has(kind));
  } catch (error) {
    if (error instanceof SqlServerError) return false;
    throw error;
  }
}

async function write(part: AnswerPart, { output, session }: Batch): Promise<void> {
  if ('message' in part) {
    const error = errorOf(part.message);
    if (error.class > 10) session.lastError = error.number;
    output.message(error);
    rollBackAfter(error, session, output);
  } else if ('rowsAffected' in part) {
    session.rowCount = part.rowsAffected ?? 0;
    output.statementDone(part.rowsAffected ?? undefined);
  } else if ('columns' in part) {
    await writeRows(part, output);
  } else if ('environment' in part && part.environment === EnvChange.Database) {
    const before = session.database;
    session.database = part.value;
    output.databaseChanged(before, part.value);
  }
}

async function writeRows(
  { columns, rows }: Extract<AnswerPart, { columns: unknown }>,
  output: Batch['output'],
): Promise<void> {
  const typed = columns.map(({ name, type }) => {
    const known = parseTypeText(type);
    if (known === undefined) throw new TypeError(`column '${name}' has the unknown type '${type}'`);
    return { name, type: known };
  });
  const writeRow = output.resultSet(typed);
  let count = 0;
  for (const row of rows) {
    if (row.length !== typed.length) throw new TypeError(`a row has ${row.length} values for ${typed.length} columns`);
    writeRow(typed.map(({ type }, i) => fromTextValue(row[i], type)));
    count += 1;
    if (count % ROWS_PER_TURN === 0) await output.turn();
    if (output.cancelled) return;
  }
}

function setOutputs({ outputs = {} }: RecordedStatement, { variables }: Batch): void {
  for (const [name, { value }] of Object.entries(outputs)) {
    const variable = variables.get(`@${name.toLowerCase()}`);
    if (variable !== undefined) variable.value = fromTextValue(value, variable.type);
  }
}

/** Converts a recorded message to the original error. */
export function errorOf({
  number,
  state,
  class: severity,
  procName,
  lineNumber,
  text,
}: RecordedMessage): SqlServerError {
  return new SqlServerError({ number, state, class: severity, procName, lineNumber, message: text });
}

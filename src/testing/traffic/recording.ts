import { readFileSync } from 'node:fs';
import { statementKey } from './statement-key.js';
import type { TextValue } from './value-text.js';

/**
 * A recording is a file of JSON lines: a {@link RecordingHeader}, then one login or query per line, in the order in which
 * they were answered. The format is documented in docs/testing-gateway.md.
 */
export interface RecordingHeader {
  format: 'mssql-token-pool/traffic';
  version: 1;
}

/** How the server answered a login that asked for `database`. */
export interface RecordedLogin {
  /** The requested database; empty for the login's default. */
  login: string;
  /** What the server sent, in order. */
  answer: AnswerPart[];
}

/** How the server answered a statement. */
export interface RecordedStatement {
  /** The statement without the values of its literals. A procedure call is `EXEC name`. */
  query: string;
  /** Names of its parameters, without `@`. */
  parameters: string[];
  answer: AnswerPart[];
  /** Return status of a procedure, if not 0. */
  returnStatus?: number | undefined;
  /** Output parameters, by name without `@`. */
  outputs?: Record<string, { type: string; value: TextValue }> | undefined;
}

/** One part of an answer. */
export type AnswerPart =
  | { columns: { name: string; type: string }[]; rows: TextValue[][] }
  /** End of a statement; null if the server sent no row count. */
  | { rowsAffected: number | null }
  /** An error, or information if `class` is 10 or less. */
  | { message: RecordedMessage }
  /** ENVCHANGE: 1 database, 2 language, 4 packet size, as text; others as hexadecimal bytes. */
  | { environment: number; value: string; before: string }
  /** LOGINACK. */
  | { server: string; version: string };

export interface RecordedMessage {
  number: number;
  state: number;
  class: number;
  procName: string;
  lineNumber: number;
  text: string;
}

export type RecordedEntry = RecordedLogin | RecordedStatement;

const FORMAT = 'mssql-token-pool/traffic';

export const HEADER: RecordingHeader = { format: FORMAT, version: 1 };

/** A loaded recording, for lookups. */
export class Recording {
  readonly #logins = new Map<string, RecordedLogin>();
  readonly #statements = new Map<string, { entries: RecordedStatement[]; next: number }>();

  /**
   * Reads a file that `recordTraffic()` has written.
   *
   * @throws TypeError with file and line for an invalid file; the error of `fs` if it cannot be read.
   */
  static read(file: string): Recording {
    return Recording.parse(readFileSync(file, 'utf8'), file);
  }

  /** The same for text; `file` is the name used in errors. */
  static parse(text: string, file: string): Recording {
    const recording = new Recording();
    // Some editors begin a file with a byte order mark.
    const lines = text.replace(/^\uFEFF/, '').split('\n');
    if (!isHeader(parseLine(lines[0] ?? ''))) {
      throw new TypeError(`${file} is not a recording: its first line must be ${JSON.stringify(HEADER)}`);
    }
    lines.slice(1).forEach((line, i) => {
      if (line.trim() === '') return;
      const entry = parseLine(line);
      if (!isEntry(entry)) throw new TypeError(`${file}, line ${i + 2}: this is neither a login nor a query`);
      recording.#add(entry);
    });
    return recording;
  }

  #add(entry: RecordedEntry): void {
    if ('login' in entry) {
      const database = entry.login.toLowerCase();
      const known = this.#logins.get(database);
      if (known === undefined || !isAccepted(known) || isAccepted(entry)) this.#logins.set(database, entry);
      return;
    }
    const key = statementKey(entry.query);
    const known = this.#statements.get(key);
    if (known === undefined) this.#statements.set(key, { entries: [entry], next: 0 });
    else known.entries.push(entry);
  }

  /**
   * The server's answer to the last recorded login for a database. A refusal counts only if every login was refused: logins are replayed
   * in any order, and the emulator checks passwords and tokens itself.
   */
  login(database: string): RecordedLogin | undefined {
    return this.#logins.get(database.toLowerCase());
  }

  /** The next answer to a statement. Answers are replayed in order; the last one repeats. */
  statement(sql: string): RecordedStatement | undefined {
    // The recording may have been made while double quotes enclosed identifiers, or while they enclosed literals.
    const known =
      this.#statements.get(statementKey(sql)) ?? this.#statements.get(statementKey(sql, { areLiterals: true }));
    if (known === undefined) return undefined;
    const entry = known.entries[known.next];
    if (known.next < known.entries.length - 1) known.next += 1;
    return entry;
  }

  /** Restarts with the first answer to each statement. */
  rewind(): void {
    for (const known of this.#statements.values()) known.next = 0;
  }
}

function isAccepted({ answer }: RecordedLogin): boolean {
  return answer.some((part) => 'server' in part);
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function isHeader(value: unknown): value is RecordingHeader {
  return isObject(value) && value.format === FORMAT && value.version === 1;
}

function isEntry(value: unknown): value is RecordedEntry {
  if (!isObject(value) || !Array.isArray(value.answer) || !value.answer.every(isPart)) return false;
  if (typeof value.login === 'string') return true;
  const { query, parameters, returnStatus = 0, outputs = {} } = value;
  const named = Array.isArray(parameters) && parameters.every((name) => typeof name === 'string');
  return typeof query === 'string' && named && Number.isInteger(returnStatus) && isObject(outputs);
}

function isPart(value: unknown): value is AnswerPart {
  if (!isObject(value)) return false;
  const { columns, rows, message, environment, server } = value;
  if (columns !== undefined) return isColumns(columns) && Array.isArray(rows) && rows.every(Array.isArray);
  if (message !== undefined)
    return isObject(message) && Number.isInteger(message.number) && typeof message.text === 'string';
  if (environment !== undefined) return Number.isInteger(environment) && typeof value.value === 'string';
  if (server !== undefined) return typeof server === 'string' && typeof value.version === 'string';
  return value.rowsAffected === null || Number.isInteger(value.rowsAffected);
}

function isColumns(value: unknown): boolean {
  return (
    Array.isArray(value) &&
    value.every((column) => isObject(column) && typeof column.name === 'string' && typeof column.type === 'string')
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

import { BIGINT, dateOf, INT, type Moment, type Scalar } from '../tds/data-type.js';
import type { Column } from '../tds/response.js';
import { SqlServerError } from '../tds/server-error.js';
import type { Bound, Scope } from './bound.js';
import { compare, convert, toText } from './conversion.js';
import { endsTransaction, isLostConflict, rollBackAfter } from './error-effects.js';
import { bind, bindCondition } from './expressions.js';
import { databaseId, databaseProperty, FACTS, GLOBALS, objectId, property, sessionProperty } from './facts.js';
import { parseBatch, undeclared } from './parser.js';
import { printf } from './printf.js';
import { exists, type ServerFacts } from './server-facts.js';
import type { SessionState, TransactionEvent, Variables } from './session.js';
import type { Expression, SelectStatement, Series, Statement } from './syntax.js';
import { SYSTEM_VIEWS, type SystemView } from './system-views.js';

/** Receives the results of running statements. */
export interface Output {
  /** Starts a result set and returns a function that takes its rows. */
  resultSet(columns: readonly Column[]): (row: readonly Scalar[]) => void;
  /** Ends a statement, with its row count if it has one. */
  statementDone(rows?: number): void;
  /** An error, or information if the class is 10 or less. */
  message(error: SqlServerError): void;
  transaction(event: TransactionEvent): void;
  databaseChanged(from: string, to: string): void;
  languageChanged(from: string, to: string): void;
  /** Yields to the event loop, and waits until the written data has drained. */
  turn(): Promise<void>;
  readonly cancelled: boolean;
  /** Resolves after `ms`, or at once when the client cancels. */
  delay(ms: number): Promise<void>;
  /** Resolves like `work`, but rejects with a {@link RequestCancelledError} as soon as the client cancels or is gone. */
  unlessCancelled<T>(work: T | PromiseLike<T>): Promise<T>;
  /** Aborted when the client cancels or is gone while the request runs. */
  readonly signal: AbortSignal;
}

export interface Batch {
  session: SessionState;
  variables: Variables;
  output: Output;
  facts: ServerFacts;
}

/** Number of rows between two checks for cancellation and back-pressure. */
export const ROWS_PER_TURN = 1000;

const parsed = new Map<string, Statement[]>();
const PARSED_LIMIT = 500;

/** The statements of a batch. Parsed batches are cached, because pools send the same text repeatedly. */
export function parse(sql: string): Statement[] {
  let statements = parsed.get(sql);
  if (statements === undefined) {
    statements = parseBatch(sql);
    if (parsed.size >= PARSED_LIMIT) parsed.clear();
    if (sql.length < 10_000) parsed.set(sql, statements);
  }
  return statements;
}

/** Runs statements one after the other. Resolves to false if an error ended the batch early. */
export async function run(statements: readonly Statement[], batch: Batch): Promise<boolean> {
  for (const statement of statements) {
    if (batch.output.cancelled) return false;
    try {
      if (!(await runStatement(statement, batch))) return false;
      if (statement.kind !== 'raiserror' && statement.kind !== 'if') batch.session.lastError = 0;
    } catch (error) {
      if (!(error instanceof SqlServerError)) throw error;
      reportError(error, statement.line, batch);
      if (endsBatch(statement, error, batch.session)) return false;
    }
  }
  return true;
}

function reportError(error: SqlServerError, line: number, { session, output }: Batch): void {
  session.lastError = error.number;
  output.message(error.lineNumber > 1 ? error : withLine(error, line));
  rollBackAfter(error, session, output);
  output.statementDone();
}

function withLine(error: SqlServerError, lineNumber: number): SqlServerError {
  if (lineNumber === error.lineNumber) return error;
  const { number, state, class: severity, message, procName } = error;
  return new SqlServerError({ number, state, class: severity, message, procName, lineNumber });
}

/** Errors that end only the statement; all others end the batch. */
const STATEMENT_ERRORS = new Set([8134, 8115, 8152, 220, 242, 244, 248, 536, 537, 3902, 3903, 628, 6401]);

function endsBatch(statement: Statement, error: SqlServerError, session: SessionState): boolean {
  return statement.kind === 'throw' || endsTransaction(error, session) || !STATEMENT_ERRORS.has(error.number);
}

async function runStatement(statement: Statement, batch: Batch): Promise<boolean> {
  const { session, output } = batch;
  const scope = scopeOf(batch);
  const evaluate = (expression: Expression): Bound => bind(expression, scope);
  switch (statement.kind) {
    case 'select':
      await select(statement, batch);
      return true;
    case 'declare':
      for (const { name, type, value } of statement.variables) {
        const key = name.toLowerCase();
        if (batch.variables.has(key)) throw declaredTwice(name);
        const initial = value === undefined ? undefined : evaluate(value);
        batch.variables.set(key, {
          type,
          value: initial === undefined ? null : convert(initial.get(), initial.type, type),
        });
      }
      return true;
    case 'assign':
      assign(statement.name, evaluate(statement.value), batch);
      return true;
    case 'setOption':
      setOption(statement.option, statement.value, batch);
      return true;
    case 'setContextInfo': {
      const { type, get } = evaluate(statement.value);
      session.contextInfo = convert(get(), type, { name: 'varbinary', length: 128 }) as Buffer | null;
      output.statementDone();
      return true;
    }
    case 'setSessionContext': {
      const [key, value] = [evaluate(statement.key), evaluate(statement.value)];
      const name = key.get();
      const readOnly = statement.readOnly === undefined ? 0 : evaluate(statement.readOnly).get();
      const current = value.get();
      session.setContext(
        name === null ? '' : toText(name, key.type),
        { type: value.type, value: current },
        Number(readOnly) === 1,
      );
      output.statementDone();
      return true;
    }
    case 'executeAs': {
      const { type, get } = evaluate(statement.name);
      const name = get();
      session.executeAs(name === null ? '' : toText(name, type));
      output.statementDone();
      return true;
    }
    case 'revert':
      session.revert();
      output.statementDone();
      return true;
    case 'createTemporary':
      session.temporary.create(statement.name);
      output.statementDone();
      return true;
    case 'dropTemporary':
      for (const name of statement.names) session.temporary.drop(name, statement.ifExists);
      output.statementDone();
      return true;
    case 'use':
      use(statement.database, batch);
      return true;
    case 'begin':
      if (session.begin(statement.name)) output.transaction('begin');
      output.statementDone();
      return true;
    case 'commit':
      if (session.commit()) output.transaction('commit');
      output.statementDone();
      return true;
    case 'rollback':
      if (session.rollback(statement.name)) output.transaction('rollback');
      output.statementDone();
      return true;
    case 'save':
      session.save(statement.name);
      output.statementDone();
      return true;
    case 'waitfor':
      await output.delay(delayMs(evaluate(statement.delay)));
      output.statementDone();
      return true;
    case 'print': {
      const { type, get } = evaluate(statement.message);
      const value = get();
      const text = value === null ? ' ' : toText(value, type);
      output.message(new SqlServerError({ number: 0, class: 0, message: text, lineNumber: statement.line }));
      return true;
    }
    case 'raiserror': {
      const error = raised(statement, evaluate);
      if (isLostConflict(error)) throw error;
      if (error.class > 10) session.lastError = error.number;
      output.message(error);
      output.statementDone();
      return true;
    }
    case 'throw':
      throw thrown(statement, evaluate);
    case 'if': {
      const holds = bindCondition(statement.condition, scope)() === true;
      return await run(holds ? statement.body : statement.otherwise, batch);
    }
  }
}

async function select(statement: SelectStatement, batch: Batch): Promise<void> {
  const { session, output } = batch;
  const source = statement.from === undefined ? undefined : sourceOf(statement.from, batch);
  let counted = 0;
  const scope = { ...scopeOf(batch, source?.column), count: () => counted };
  const top = statement.top === undefined ? undefined : bind(statement.top, scope);
  const limit = Math.min(
    top === undefined ? Number.POSITIVE_INFINITY : Number(convert(top.get(), top.type, BIGINT)),
    Number(session.setOptions.get('ROWCOUNT')) || Number.POSITIVE_INFINITY,
  );
  const where = statement.where === undefined ? undefined : bindCondition(statement.where, scope);
  const items = statement.items.flatMap((item) =>
    item.star === true
      ? (source as Source).columns.map((name) => ({
          item: { ...item, alias: name },
          bound: bind({ kind: 'column', name }, scope),
        }))
      : [{ item, bound: bind(item.expression, scope) }],
  );
  const eachRow = (visit: () => boolean): Promise<void> => visitRows(source, where, batch, visit);

  if (items.every(({ item }) => item.assign !== undefined)) {
    let assigned = 0;
    await eachRow(() => {
      for (const { item, bound } of items) assign(item.assign as string, bound, batch);
      assigned += 1;
      return true;
    });
    session.rowCount = assigned;
    output.statementDone(assigned);
    return;
  }
  if (items.some(({ item }) => item.assign !== undefined)) {
    throw new SqlServerError({
      number: 141,
      class: 15,
      message:
        'A SELECT statement that assigns a value to a variable must not be combined with data-retrieval operations.',
    });
  }

  const getters = items.map(({ bound }) => bound.get);
  const compute = (): Scalar[] => getters.map((get) => get());
  // The first row is computed before the result set starts, so that an error in it replaces the result set.
  let write: ((row: readonly Scalar[]) => void) | undefined;
  const start = (): ((row: readonly Scalar[]) => void) =>
    output.resultSet(items.map(({ item, bound }) => ({ name: columnName(item), type: bound.type })));
  let written = 0;
  const emit = (row: readonly Scalar[]): boolean => {
    if (written >= limit) return false;
    write ??= start();
    write(row);
    written += 1;
    return written < limit;
  };
  if (items.some(({ item }) => item.expression.kind === 'count')) {
    await eachRow(() => {
      counted += 1;
      return true;
    });
    emit(compute());
  } else if (statement.orderBy.length > 0) {
    for (const row of await sortedRows(eachRow, compute, statement, scope)) if (!emit(row)) break;
  } else if (limit > 0) {
    await eachRow(() => emit(compute()));
  }
  write ??= start();
  session.rowCount = written;
  output.statementDone(written);
}

/** Visits the rows that meet the condition until `visit` returns false; yields to the event loop in between. */
async function visitRows(
  source: Source | undefined,
  where: (() => boolean | null) | undefined,
  { output }: Batch,
  visit: () => boolean,
): Promise<void> {
  let read = 0;
  for (const _ of source?.rows() ?? ONCE) {
    if ((where === undefined || where() === true) && !visit()) return;
    read += 1;
    if (read % ROWS_PER_TURN === 0) {
      await output.turn();
      if (output.cancelled) return;
    }
  }
}

async function sortedRows(
  eachRow: (visit: () => boolean) => Promise<void>,
  compute: () => Scalar[],
  { orderBy }: SelectStatement,
  scope: Scope,
): Promise<Scalar[][]> {
  const keys = orderBy.map(({ by, descending }) => ({ bound: bind(by, scope), descending }));
  const found: { row: Scalar[]; key: Scalar[] }[] = [];
  await eachRow(() => {
    found.push({ row: compute(), key: keys.map(({ bound }) => bound.get()) });
    return true;
  });
  found.sort((a, b) => {
    for (const [i, { bound, descending }] of keys.entries()) {
      const [x, y] = [a.key[i] as Scalar, b.key[i] as Scalar];
      const order = x === null || y === null ? Number(y === null) - Number(x === null) : compare(x, y, bound.type);
      if (order !== 0) return descending ? -order : order;
    }
    return 0;
  });
  return found.map(({ row }) => row);
}

const ONCE = [undefined];

function columnName(item: SelectStatement['items'][number]): string {
  if (item.alias !== undefined) return item.alias;
  return item.expression.kind === 'column' ? item.expression.name : '';
}

/** The source of FROM: its columns, and an iteration that advances them. */
interface Source {
  columns: readonly string[];
  column(name: string): Bound | undefined;
  rows(): Iterable<void>;
}

function sourceOf(from: NonNullable<SelectStatement['from']>, batch: Batch): Source {
  return from.kind === 'series' ? series(from, batch) : view(from.name, batch);
}

function view(name: string, { session, facts }: Batch): Source {
  const { columns, rows } = SYSTEM_VIEWS.get(name) as SystemView;
  let current: Readonly<Record<string, Scalar>> = {};
  return {
    columns: Object.keys(columns),
    column: (column) => {
      const key = column.toLowerCase();
      const type = Object.hasOwn(columns, key) ? columns[key] : undefined;
      return type === undefined ? undefined : { type, get: () => current[key] ?? null };
    },
    *rows() {
      for (const row of rows(session, facts)) {
        current = row;
        yield;
      }
    },
  };
}

function series(from: Series, batch: Batch): Source {
  const scope = scopeOf(batch);
  const [start, stop] = [bind(from.start, scope), bind(from.stop, scope)];
  const step = from.step === undefined ? undefined : bind(from.step, scope);
  const type = start.type.name === 'bigint' || stop.type.name === 'bigint' ? BIGINT : INT;
  const number = (bound: Bound): number => Number(convert(bound.get(), bound.type, BIGINT));
  let current = 0;
  const column: Bound = { type, get: type === INT ? () => current : () => BigInt(current) };
  return {
    columns: ['value'],
    column: (name) => (name.toLowerCase() === 'value' ? column : undefined),
    *rows() {
      const [first, last] = [number(start), number(stop)];
      const by = step === undefined ? (first <= last ? 1 : -1) : number(step);
      if (by === 0) {
        throw new SqlServerError({
          number: 4199,
          message: 'Argument value 0 is invalid for argument 3 of generate_series function.',
        });
      }
      for (let value = first; by > 0 ? value <= last : value >= last; value += by) {
        current = value;
        yield;
      }
    },
  };
}

function assign(name: string, value: Bound, { variables }: Batch): void {
  const variable = variables.get(name.toLowerCase());
  if (variable === undefined) throw undeclared(name);
  variable.value = convert(value.get(), value.type, variable.type);
}

function setOption(option: string, value: string, { session, output }: Batch): void {
  if (option === 'TRANSACTION ISOLATION LEVEL') {
    session.isolationLevel = value;
    return;
  }
  // Announced even if it is the current one.
  if (option === 'LANGUAGE') output.languageChanged(session.setOptions.get(option) ?? '', value);
  // XACT_ABORT, NOCOUNT and ROWCOUNT take effect. The others are only stored; a reset undoes them.
  for (const name of option.split(',')) {
    session.setOption(name, /^(on|off)$/i.test(value) ? value.toUpperCase() : value);
  }
}

function use(database: string, { session, output, facts }: Batch): void {
  if (!exists(database, facts)) {
    throw new SqlServerError({
      number: 911,
      message: `Database '${database}' does not exist. Make sure that the name is entered correctly.`,
    });
  }
  const from = session.database;
  session.database = database;
  output.databaseChanged(from, database);
  output.statementDone();
}

function delayMs({ type, get }: Bound): number {
  const value = get();
  if (value !== null && typeof value === 'object' && 'ticks' in value)
    return dateOf(value as Moment).getTime() % 86_400_000;
  const text = value === null ? '' : toText(value, type);
  const match = /^(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:[.:](\d{1,3}))?)?$/.exec(text.trim());
  const [, hours = '0', minutes = '0', seconds = '0', fraction = ''] = match ?? [];
  if (match === null || Number(hours) > 23 || Number(minutes) > 59 || Number(seconds) > 59) {
    throw new SqlServerError({
      number: 148,
      class: 15,
      message: `Incorrect time syntax in time string '${text.slice(0, 100)}' used with WAITFOR.`,
    });
  }
  return ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1000 + Number(fraction.padEnd(3, '0'));
}

/** RAISERROR: a text raises error 50000, a number raises that error. */
function raised(
  { message, severity, state, args, log, line }: Extract<Statement, { kind: 'raiserror' }>,
  evaluate: (expression: Expression) => Bound,
): SqlServerError {
  const number = (expression: Expression): number => {
    const { type, get } = evaluate(expression);
    return Number(convert(get(), type, INT));
  };
  const what = evaluate(message);
  const value = what.get();
  const common = { class: number(severity), state: Math.min(255, Math.max(0, number(state))), lineNumber: line };
  if (common.class > 18 && !log) {
    throw new SqlServerError({
      number: 2754,
      message:
        'Error severity levels greater than 18 can only be specified by members of the sysadmin role, using the WITH LOG option.',
    });
  }
  if (typeof value === 'number') return new SqlServerError({ number: value, ...common });
  const values = args.map((arg) => {
    const { type, get } = evaluate(arg);
    const argument = get();
    return argument === null ? '(null)' : toText(argument, type);
  });
  // SQL Server truncates messages at the same length.
  const text = (value === null ? '' : toText(value, what.type)).slice(0, 2047);
  const filled = printf(text, values);
  return new SqlServerError({ number: 50_000, message: filled, ...common });
}

/** THROW. Unlike in SQL Server, any number is valid, so that a test can raise 1205 or 40613 from T-SQL. */
function thrown(
  { number, message, state, line }: Extract<Statement, { kind: 'throw' }>,
  evaluate: (expression: Expression) => Bound,
): SqlServerError {
  const [what, text, which] = [evaluate(number), evaluate(message), evaluate(state)];
  const words = text.get();
  return new SqlServerError({
    number: Number(convert(what.get(), what.type, INT)),
    state: Number(convert(which.get(), which.type, { name: 'tinyint' })),
    class: 16,
    message: words === null ? '' : toText(words, text.type),
    lineNumber: line,
  });
}

function scopeOf({ session, variables, facts }: Batch, column: Scope['column'] = () => undefined): Scope {
  return {
    variable: (name) => {
      const variable = variables.get(name.toLowerCase());
      return variable === undefined ? undefined : { type: variable.type, get: () => variable.value };
    },
    column,
    count: () => 0,
    global: (name) => GLOBALS[name]?.(session, facts),
    fact: (name) => FACTS[name]?.(session, facts),
    property: (name) => property(name, facts),
    objectId: (name) => objectId(name, session),
    databaseId: (name) => databaseId(name ?? session.database, session, facts),
    contextOf: (key) => session.contextOf(key),
    sessionProperty: (name) => sessionProperty(name, session),
    databaseProperty: (database, name) => databaseProperty(database, name, session, facts),
    contextInfo: () => session.contextInfo,
    transactionDepth: () => session.transactionDepth,
    now: facts.now,
  };
}

function declaredTwice(name: string): SqlServerError {
  return new SqlServerError({
    number: 134,
    class: 15,
    state: 2,
    message: `The variable name '${name}' has already been declared. Variable names must be unique within a query batch or stored procedure.`,
  });
}

import { inspect, isDeepStrictEqual } from 'node:util';
import { OBJECT, requireKnownOptions } from '../known-options.js';
import { toJs } from './conversion.js';
import { answerOf, type QueryResult } from './query-answer.js';
import type { QueryHandler } from './query-handler.js';
import type { Variable, Variables } from './session.js';
import { isOnlySettings, textKey } from './statement-text.js';

/**
 * Which queries an expectation matches: a text, a pattern, or a function. A text ignores white space, comments, case outside
 * of literals and brackets around names.
 */
export type QueryMatcher = string | RegExp | ((sql: string, parameters: Record<string, unknown>) => boolean);

/** Further conditions of an expectation, and how many queries it answers. */
export interface ExpectationOptions {
  /** Parameters that the query must have, by name; others are ignored. */
  parameters?: Readonly<Record<string, unknown>> | undefined;
  /** How many queries it answers, and how many `server.verify()` requires. Default: any number, and at least one. */
  times?: number | undefined;
}

/** An expectation created by `server.expect()`. */
export interface Expectation {
  /** Number of queries answered so far. */
  readonly calls: number;
  /** The parameters of each answered query, oldest first. */
  readonly parameters: readonly Readonly<Record<string, unknown>>[];
  /** Removes the expectation. */
  remove(): void;
}

/** The answer of an expectation: rows, an `onQuery` answer, an error to throw, or a handler. */
export type ExpectedAnswer = Exclude<QueryResult, undefined> | Error | QueryHandler;

interface Entry {
  matcher: QueryMatcher;
  /** Of a text. */
  key: string | undefined;
  answer: ExpectedAnswer;
  options: ExpectationOptions;
  parameters: Record<string, unknown>[];
  /** Why the last query that matched otherwise was not answered. */
  nearMiss?: string | undefined;
  /** The last error of the matcher. */
  failure?: Error | undefined;
}

/** A query that is compared with the expectations. */
export interface IncomingQuery {
  sql: string;
  variables: Variables;
  /** The same as JavaScript values. */
  parameters: Record<string, unknown>;
}

/** The expectations of a server, newest first. */
export class Expectations {
  #entries: Entry[] = [];

  add(matcher: QueryMatcher, answer: ExpectedAnswer, options: ExpectationOptions): Expectation {
    requireMatcher(matcher);
    if (typeof answer !== 'function' && !(answer instanceof Error)) requireAnswer(answer);
    requireKnownOptions('expect', options, { parameters: OBJECT, times: true });
    const { times } = options;
    if (times !== undefined && !(Number.isInteger(times) && times >= 0)) {
      throw new RangeError(`times is ${times}; it must be a whole number`);
    }
    const key = typeof matcher === 'string' ? textKey(matcher) : undefined;
    if (key === '') {
      throw new TypeError('The first argument of expect() contains no statement, so that no query can match it.');
    }
    const entry: Entry = { matcher, key, answer, options: { ...options }, parameters: [] };
    this.#entries.unshift(entry);
    return {
      get calls() {
        return entry.parameters.length;
      },
      parameters: entry.parameters,
      remove: () => {
        this.#entries = this.#entries.filter((each) => each !== entry);
      },
    };
  }

  clear(): void {
    this.#entries = [];
  }

  /**
   * The answer to a query as a handler; undefined if no expectation matches. `failure` is the error of a matcher that threw:
   * it did not match, and its query should fail with that error if nothing else answers it.
   */
  find(query: IncomingQuery): { handler?: QueryHandler; failure?: Error } {
    if (this.#entries.length === 0) return {};
    const key = textKey(query.sql);
    // Drivers send SET options at each login and cannot read rows there, so only an exact text can match them.
    const onlyText = isOnlySettings(query.sql);
    let failure: Error | undefined;
    for (const entry of this.#entries) {
      const { options, parameters, key: wanted, answer } = entry;
      if (options.times !== undefined && parameters.length >= options.times) continue;
      if (onlyText && wanted === undefined) continue;
      try {
        if (!matches(entry, query, key)) continue;
      } catch (error) {
        failure = new Error(`The matcher of expect() failed: ${textOf(error)}`, { cause: error });
        entry.failure = failure;
        continue;
      }
      parameters.push(query.parameters);
      return { handler: handlerOf(answer) };
    }
    return failure === undefined ? {} : { failure };
  }

  /** Descriptions of the unmet expectations; empty if all are met. */
  get unmet(): string[] {
    return [...this.#entries].reverse().flatMap(({ matcher, options, parameters, nearMiss, failure }) => {
      const { times } = options;
      if (failure === undefined && (times === undefined ? parameters.length > 0 : parameters.length === times))
        return [];
      const name = typeof matcher === 'function' ? matcher.name || 'a function' : String(matcher);
      const wanted = times === undefined ? 'at least one query' : `${times} ${times === 1 ? 'query' : 'queries'}`;
      const reasons = [nearMiss, failure?.message].filter((reason) => reason !== undefined);
      return [`${name}: ${[`expected ${wanted}, received ${parameters.length}`, ...reasons].join('. ')}`];
    });
  }
}

function requireMatcher(matcher: unknown): void {
  if (typeof matcher === 'string' || typeof matcher === 'function' || matcher instanceof RegExp) return;
  throw new TypeError(
    `The first argument of expect() is ${kindOf(matcher)}; it must be the text of a query, a pattern or a function.`,
  );
}

function requireAnswer(answer: unknown): void {
  if (typeof answer !== 'object' || answer === null) {
    throw new TypeError(
      `The second argument of expect() is ${kindOf(answer)}; it must be an array of rows, an answer, an error or a function.`,
    );
  }
  answerOf(answer, 'expect()');
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

function handlerOf(answer: ExpectedAnswer): QueryHandler {
  if (typeof answer === 'function') return answer;
  return () => {
    if (answer instanceof Error) throw answer;
    return answer;
  };
}

function matches(entry: Entry, { sql, variables, parameters }: IncomingQuery, key: string): boolean {
  const { matcher, options } = entry;
  if (typeof matcher === 'string') {
    if (entry.key !== key) return false;
  } else if (typeof matcher === 'function') {
    const matched: unknown = matcher(sql, parameters);
    if (typeof (matched as PromiseLike<unknown> | undefined)?.then === 'function') {
      throw new TypeError('it returned a promise; it must return true or false.');
    }
    if (!matched) return false;
  } else {
    matcher.lastIndex = 0;
    if (!matcher.test(sql)) return false;
  }
  for (const [name, wanted] of Object.entries(options.parameters ?? {})) {
    const variable = variables.get(`@${name.replace(/^@/, '').toLowerCase()}`);
    if (variable !== undefined && isValue(wanted, variable)) continue;
    const got = variable === undefined ? 'missing' : inspectShort(toJs(variable.value, variable.type));
    entry.nearMiss = `The last such query had another value for a parameter: '${name}' was ${got} instead of ${inspectShort(wanted)}`;
    return false;
  }
  return true;
}

/** Compares as SQL Server does within the type: 5 equals the bigint 5n, and a GUID is the same in either case. */
function isValue(wanted: unknown, { type, value }: Variable): boolean {
  const got = toJs(value, type);
  if (isDeepStrictEqual(got, wanted)) return true;
  if (isNumber(got)) return (isNumber(wanted) && Number(wanted) === Number(got)) || wanted === String(got);
  if (typeof got === 'string' && typeof wanted === 'string') {
    if (type.name === 'uniqueidentifier') return wanted.toUpperCase() === got.toUpperCase();
    return (type.name === 'char' || type.name === 'nchar') && wanted.trimEnd() === got.trimEnd();
  }
  if (got instanceof Uint8Array && wanted instanceof Uint8Array) return Buffer.compare(got, wanted) === 0;
  // A datetime is a multiple of 1/300 s.
  if (got instanceof Date && wanted instanceof Date) {
    return type.name === 'datetime' && Math.abs(got.getTime() - wanted.getTime()) < 4;
  }
  return false;
}

function isNumber(value: unknown): value is number | bigint {
  return typeof value === 'number' || typeof value === 'bigint';
}

function inspectShort(value: unknown): string {
  const text = inspect(value, { depth: 1, breakLength: Number.POSITIVE_INFINITY });
  return text.length > 100 ? `${text.slice(0, 100)}...` : text;
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

import { isDeepStrictEqual } from 'node:util';
import { requireKnownOptions } from '../known-options.js';
import type { QueryHandler, QueryResult } from './query-handler.js';
import type { SqlSession } from './session.js';

/** Which queries an expectation matches: their text (ignoring white space and case), a pattern, or a function. */
export type QueryMatcher = string | RegExp | ((sql: string, parameters: Record<string, unknown>) => boolean);

/** Further conditions of an expectation, and how many queries it answers. */
export interface ExpectationOptions {
  /** Parameters that the query must have, by name without `@`; others are ignored. */
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
  answer: ExpectedAnswer;
  options: ExpectationOptions;
  parameters: Record<string, unknown>[];
}

/** The expectations of a server, newest first. */
export class Expectations {
  #entries: Entry[] = [];

  add(matcher: QueryMatcher, answer: ExpectedAnswer, options: ExpectationOptions): Expectation {
    requireKnownOptions('expect', options, { parameters: true, times: true });
    const { times } = options;
    if (times !== undefined && !(Number.isInteger(times) && times >= 0)) {
      throw new RangeError(`times is ${times}; it must be a whole number`);
    }
    const entry: Entry = {
      matcher: typeof matcher === 'string' ? plain(matcher) : matcher,
      answer,
      options: { ...options },
      parameters: [],
    };
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

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  /** The answer to a query, or undefined if no expectation matches. */
  async answer(sql: string, parameters: Record<string, unknown>, session: SqlSession): Promise<QueryResult> {
    const text = plain(sql);
    const entry = this.#entries.find((each) => isLeft(each) && matches(each, sql, text, parameters));
    if (entry === undefined) return undefined;
    entry.parameters.push(parameters);
    if (entry.answer instanceof Error) throw entry.answer;
    return typeof entry.answer === 'function' ? await entry.answer(sql, parameters, session) : entry.answer;
  }

  /** Descriptions of the unmet expectations; empty if all are met. */
  get unmet(): string[] {
    return [...this.#entries].reverse().flatMap(({ matcher, options, parameters }) => {
      const { times } = options;
      if (times === undefined ? parameters.length > 0 : parameters.length === times) return [];
      const name = typeof matcher === 'function' ? matcher.name || 'a function' : String(matcher);
      const wanted = times === undefined ? 'at least one query' : `${times} ${times === 1 ? 'query' : 'queries'}`;
      return [`${name}: expected ${wanted}, received ${parameters.length}`];
    });
  }
}

function isLeft({ options, parameters }: Entry): boolean {
  return options.times === undefined || parameters.length < options.times;
}

function matches({ matcher, options }: Entry, sql: string, text: string, parameters: Record<string, unknown>): boolean {
  const required = Object.entries(options.parameters ?? {});
  if (!required.every(([name, value]) => isDeepStrictEqual(parameters[name], value))) return false;
  if (typeof matcher === 'string') return matcher === text;
  if (typeof matcher === 'function') return matcher(sql, parameters);
  matcher.lastIndex = 0;
  return matcher.test(sql);
}

function plain(sql: string): string {
  const words = sql.toLowerCase().split(/\s+/).join(' ').trim();
  return words.endsWith(';') ? words.slice(0, -1).trimEnd() : words;
}

import { SqlServerError } from '../tds/server-error.js';

export type TokenKind =
  | 'word'
  | 'quoted'
  | 'variable'
  | 'global'
  | 'string'
  | 'binary'
  | 'integer'
  | 'decimal'
  | 'float'
  | 'money'
  | 'symbol'
  | 'end';

export interface Token {
  kind: TokenKind;
  /** Words in upper case; names and strings without quotes; otherwise as written. */
  text: string;
  /** A word in its original case. */
  source?: string;
  /** A string literal prefixed with `N`. */
  national?: boolean;
  /** Start position in the source. */
  at: number;
  line: number;
}

/** Larger batches are not parsed: parsing them would keep other connections waiting. */
const MOST_TOKENS = 20_000;

/** None of these reads a character twice. */
const SPACE = /\s+|--[^\n]*/y;
const GLOBAL = /@@[\p{L}_$#][\p{L}\p{N}_$#@]*/uy;
const VARIABLE = /@[\p{L}\p{N}_$#@]+/uy;
const WORD = /[\p{L}_#][\p{L}\p{N}_$#@]*/uy;
const BINARY = /0x[0-9a-f]*/iy;
const EXPONENT = /e[+-]?\d+/iy;
const DIGITS = /\d+/y;
const MONEY = /\$(?:\d{1,20}(?:\.\d{0,20})?|\.\d{1,20})/y;
const SYMBOL = /<>|!=|<=|>=|[-+*/%(),.;=<>&|^~:]/y;

/**
 * Splits T-SQL into tokens; the last is always `end`. Throws SQL Server's 102, 105 or 113 for invalid text, and 8631 for
 * a batch with too many tokens.
 */
export function tokenize(sql: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let line = 1;
  while (at < sql.length) {
    const found = next(sql, at, line);
    if (found.kind !== 'space') tokens.push(read(found.kind, found.text, at, line));
    if (tokens.length > MOST_TOKENS) throw tooMuch(line);
    for (let i = found.text.indexOf('\n'); i !== -1; i = found.text.indexOf('\n', i + 1)) line += 1;
    at += found.text.length;
  }
  tokens.push({ kind: 'end', text: '', at, line });
  return tokens;
}

function next(sql: string, at: number, line: number): { kind: TokenKind | 'space'; text: string } {
  const first = sql.charAt(at);
  const second = sql.charAt(at + 1);
  if (first === '/' && second === '*') return { kind: 'space', text: comment(sql, at, line) };
  if (first === "'") return { kind: 'string', text: quoted(sql, at, at, "'", line) };
  if ((first === 'N' || first === 'n') && second === "'") {
    return { kind: 'string', text: quoted(sql, at, at + 1, "'", line) };
  }
  if (first === '[') return { kind: 'quoted', text: quoted(sql, at, at, ']', line) };
  if (first === '"') return { kind: 'quoted', text: quoted(sql, at, at, '"', line) };
  if (first === '0' && /x/i.test(second)) return { kind: 'binary', text: match(BINARY, sql, at) as string };
  if (isDigit(first) || (first === '.' && isDigit(second))) return number(sql, at);
  const kinds = [
    ['space', SPACE],
    ['money', MONEY],
    ['global', GLOBAL],
    ['variable', VARIABLE],
    ['word', WORD],
    ['symbol', SYMBOL],
  ] as const;
  for (const [kind, pattern] of kinds) {
    const text = match(pattern, sql, at);
    if (text !== undefined) return { kind, text };
  }
  throw new SqlServerError({ number: 102, class: 15, message: `Incorrect syntax near '${first}'.`, lineNumber: line });
}

function match(pattern: RegExp, sql: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(sql)?.[0];
}

/** Comments nest in T-SQL. */
function comment(sql: string, at: number, lineNumber: number): string {
  let depth = 1;
  for (let end = at + 2; end < sql.length; end += 1) {
    const pair = sql.slice(end, end + 2);
    if (pair !== '/*' && pair !== '*/') continue;
    depth += pair === '/*' ? 1 : -1;
    if (depth === 0) return sql.slice(at, end + 2);
    end += 1;
  }
  throw new SqlServerError({ number: 113, class: 15, message: "Missing end comment mark '*/'.", lineNumber });
}

/** Reads up to the closing mark; a doubled mark is an escape. */
function quoted(sql: string, at: number, opening: number, mark: string, lineNumber: number): string {
  for (let end = sql.indexOf(mark, opening + 1); end !== -1; end = sql.indexOf(mark, end + 2)) {
    if (sql.charAt(end + 1) !== mark) return sql.slice(at, end + 1);
  }
  const message = `Unclosed quotation mark after the character string '${sql.slice(opening + 1, opening + 30)}'.`;
  throw new SqlServerError({ number: 105, class: 15, message, lineNumber });
}

function number(sql: string, at: number): { kind: 'integer' | 'decimal' | 'float'; text: string } {
  let end = at + (match(DIGITS, sql, at)?.length ?? 0);
  const point = sql.charAt(end) === '.';
  if (point) end += 1 + (match(DIGITS, sql, end + 1)?.length ?? 0);
  const exponent = match(EXPONENT, sql, end)?.length ?? 0;
  const kind = exponent > 0 ? 'float' : point ? 'decimal' : 'integer';
  return { kind, text: sql.slice(at, end + exponent) };
}

function isDigit(character: string): boolean {
  return character >= '0' && character <= '9' && character.length === 1;
}

function read(kind: TokenKind, text: string, at: number, line: number): Token {
  switch (kind) {
    case 'word':
      return { kind, text: text.toUpperCase(), source: text, at, line };
    case 'quoted': {
      const close = text.charAt(text.length - 1);
      return { kind, text: text.slice(1, -1).replaceAll(close + close, close), at, line };
    }
    case 'string': {
      const national = text.charAt(0) !== "'";
      return { kind, text: text.slice(national ? 2 : 1, -1).replaceAll("''", "'"), national, at, line };
    }
    default:
      return { kind, text, at, line };
  }
}

function tooMuch(lineNumber: number): SqlServerError {
  return new SqlServerError({
    number: 8631,
    class: 17,
    message:
      'Internal error: Server stack limit has been reached. Please look for potentially deep nesting in your query, and try to simplify it.',
    lineNumber,
  });
}

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
  | 'symbol'
  | 'end';

export interface Token {
  kind: TokenKind;
  /** Words in upper case, names without their quotes, strings without theirs; otherwise as written. */
  text: string;
  /** A word in the case it was written in. */
  source?: string;
  /** A string literal with `N` before it. */
  national?: boolean;
  /** Where it starts in the source. */
  at: number;
  line: number;
}

const PATTERNS: readonly (readonly [TokenKind | 'space', RegExp])[] = [
  ['space', /\s+|--[^\n]*|\/\*[\s\S]*?\*\//y],
  ['string', /N?'(?:[^']|'')*'/iy],
  ['quoted', /\[(?:[^\]]|\]\])*\]|"(?:[^"]|"")*"/y],
  ['global', /@@[\p{L}_$#][\p{L}\p{N}_$#@]*/uy],
  ['variable', /@[\p{L}\p{N}_$#@]+/uy],
  ['word', /[\p{L}_#][\p{L}\p{N}_$#@]*/uy],
  ['binary', /0x[0-9a-f]*/iy],
  ['float', /(?:\d+\.?\d*|\.\d+)e[+-]?\d+/iy],
  ['decimal', /\d+\.\d*|\.\d+/y],
  ['integer', /\d+/y],
  ['symbol', /<>|!=|<=|>=|[-+*/%(),.;=<>&|^~:]/y],
];

/** Cuts T-SQL into tokens; the last is always `end`. Throws SQL Server's 102 or 105 for what is none. */
export function tokenize(sql: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let line = 1;
  while (at < sql.length) {
    const found = match(sql, at);
    if (found === undefined) throw notAToken(sql, at, line);
    if (found.kind !== 'space') tokens.push(read(found.kind, found.text, at, line));
    for (let i = found.text.indexOf('\n'); i !== -1; i = found.text.indexOf('\n', i + 1)) line += 1;
    at += found.text.length;
  }
  tokens.push({ kind: 'end', text: '', at, line });
  return tokens;
}

function match(sql: string, at: number): { kind: TokenKind | 'space'; text: string } | undefined {
  for (const [kind, pattern] of PATTERNS) {
    pattern.lastIndex = at;
    const text = pattern.exec(sql)?.[0];
    if (text !== undefined) return { kind, text };
  }
  return undefined;
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

function notAToken(sql: string, at: number, lineNumber: number): SqlServerError {
  const character = sql.charAt(at);
  if (character === "'" || character === '"' || character === '[') {
    const rest = sql.slice(at + 1, at + 30);
    return new SqlServerError({
      number: 105,
      class: 15,
      message: `Unclosed quotation mark after the character string '${rest}'.`,
      lineNumber,
    });
  }
  return new SqlServerError({ number: 102, class: 15, message: `Incorrect syntax near '${character}'.`, lineNumber });
}

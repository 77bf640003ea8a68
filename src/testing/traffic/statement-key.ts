/**
 * Normalizes a statement so that its executions compare equal: ignores case, white space, comments and the values of
 * literals. `SELECT 1 WHERE n = N'Ada' -- x` becomes `select ? where n = ?`.
 */
export function statementKey(sql: string, quotes: Quotes = {}): string {
  return normalized(sql, (text) => text.toLowerCase(), quotes).replace(/;$/, '');
}

/** The statement without the values of its literals, in its original case, for storage. */
export function withoutLiterals(sql: string, quotes: Quotes = {}): string {
  return normalized(sql, (text) => text, quotes);
}

/** What double quotes enclose. */
export interface Quotes {
  /** Literals while QUOTED_IDENTIFIER is OFF, otherwise identifiers. */
  areLiterals?: boolean | undefined;
}

/** The values that a statement sets QUOTED_IDENTIFIER to, in order; the setting applies to its whole batch. */
export function quotedIdentifierSettings(sql: string): ('on' | 'off')[] {
  const settings: ('on' | 'off')[] = [];
  let pending = false;
  for (const word of statementKey(sql, { areLiterals: true }).split(/[^a-z_]/)) {
    if (word === 'quoted_identifier' || word === 'ansi_defaults') pending = true;
    else if (pending && (word === 'on' || word === 'off')) {
      settings.push(word);
      pending = false;
    }
  }
  return settings;
}

function normalized(sql: string, word: (text: string) => string, { areLiterals = false }: Quotes): string {
  const out: string[] = [];
  let at = 0;
  const put = (text: string): void => {
    out.push(text);
  };
  while (at < sql.length) {
    const from = at;
    const char = sql[at] as string;
    const next = sql[at + 1];
    if (isBlank(char)) {
      while (at < sql.length && isBlank(sql[at] as string)) at += 1;
      if (out.length > 0 && out.at(-1) !== ' ') put(' ');
    } else if (char === '-' && next === '-') {
      while (at < sql.length && sql[at] !== '\n') at += 1;
    } else if (char === '/' && next === '*') {
      at = endOfComment(sql, at);
    } else if (char === "'" || ((char === 'N' || char === 'n') && next === "'")) {
      at = endOfQuoted(sql, char === "'" ? at : at + 1, "'");
      put('?');
    } else if (char === '"' && areLiterals) {
      at = endOfQuoted(sql, at, '"');
      put('?');
    } else if (char === '[' || char === '"') {
      at = endOfQuoted(sql, at, char === '[' ? ']' : '"');
      put(word(sql.slice(from, at)));
    } else if (isDigit(char) || (char === '.' && next !== undefined && isDigit(next))) {
      // Includes hexadecimal and exponents: any letters and points after the digit.
      while (at < sql.length && (isWord(sql[at] as string) || sql[at] === '.')) at += 1;
      put('?');
    } else if (endOfMoney(sql, at) !== undefined) {
      at = endOfMoney(sql, at) as number;
      put('?');
    } else if (isWord(char)) {
      while (at < sql.length && isWord(sql[at] as string)) at += 1;
      put(word(sql.slice(from, at)));
    } else {
      at += 1;
      put(char);
    }
  }
  return out.join('').trim();
}

/** Comments nest in T-SQL. An unterminated comment extends to the end. */
function endOfComment(sql: string, from: number): number {
  let depth = 0;
  for (let at = from; at < sql.length; at += 1) {
    const pair = sql.slice(at, at + 2);
    if (pair === '/*') depth += 1;
    if (pair === '*/') depth -= 1;
    if (pair === '/*' || pair === '*/') at += 1;
    if (depth === 0) return at + 1;
  }
  return sql.length;
}

/** The end of a quoted part, in which a doubled quote is an escape. An unterminated one extends to the end. */
function endOfQuoted(sql: string, from: number, quote: string): number {
  for (let at = from + 1; at < sql.length; at += 1) {
    if (sql[at] !== quote) continue;
    if (sql[at + 1] !== quote) return at + 1;
    at += 1;
  }
  return sql.length;
}

/** The end of a money literal: a currency symbol, blanks, a sign and an amount. Undefined for `$action` and the like. */
function endOfMoney(sql: string, from: number): number | undefined {
  if (!/\p{Sc}/u.test(sql[from] as string)) return undefined;
  let at = from + 1;
  while (at < sql.length && (isBlank(sql[at] as string) || sql[at] === '-' || sql[at] === '+')) at += 1;
  if (!isDigit(sql[at] ?? '') && sql[at] !== '.') return undefined;
  while (at < sql.length && (isWord(sql[at] as string) || sql[at] === '.')) at += 1;
  return at;
}

function isBlank(char: string): boolean {
  return char === ' ' || (char >= '\t' && char <= '\r') || char === '\u00a0';
}

function isDigit(char: string): boolean {
  return char >= '0' && char <= '9';
}

function isWord(char: string): boolean {
  return /[\p{L}\p{N}_@#$]/u.test(char);
}

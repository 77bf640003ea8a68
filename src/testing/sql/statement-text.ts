import { SqlServerError } from '../tds/server-error.js';
import { parse } from './interpreter.js';
import { type Token, tokenize } from './lexer.js';
import type { Statement } from './syntax.js';

/**
 * A key that is equal for two texts of the same statement. It ignores white space, comments, the case of everything but
 * literals, brackets and quotes around names, the `N` of literals, and a `;` at the end.
 */
export function textKey(sql: string): string {
  let tokens: Token[];
  try {
    tokens = tokenize(sql);
  } catch (error) {
    if (!(error instanceof SqlServerError)) throw error;
    // Not T-SQL, or too long for the lexer.
    return sql.toLowerCase().split(/\s+/).join(' ').trim();
  }
  const words = tokens.flatMap((token) => (token.kind === 'end' ? [] : [keyOf(token)]));
  while (words.at(-1) === ';') words.pop();
  return words.join(' ');
}

function keyOf({ kind, text }: Token): string {
  return kind === 'string' ? `'${text}'` : text.toLowerCase();
}

/** True for a batch of SET options, such as drivers send at each login and after a reset. */
export function isOnlySettings(sql: string): boolean {
  const statements = understood(sql);
  return statements !== undefined && statements.length > 0 && statements.every(({ kind }) => kind === 'setOption');
}

/** `SELECT @@ROWCOUNT` at the end of a batch of several statements, as knex and Sequelize send it after a change. */
export function trailingRowCount(sql: string): Statement[] | undefined {
  let end = sql.length;
  while (end > 0 && /[\s;]/.test(sql.charAt(end - 1))) end -= 1;
  const before = sql.lastIndexOf(';', end - 1);
  // Only a short text can be this statement.
  if (before === -1 || end - before > 200) return undefined;
  const tail = understood(sql.slice(before + 1, end));
  const [statement] = tail ?? [];
  if (tail?.length !== 1 || statement?.kind !== 'select' || statement.from !== undefined) return undefined;
  const [item] = statement.items;
  const counts = item?.expression?.kind === 'global' && item.expression.name === '@@ROWCOUNT';
  return counts && statement.items.length === 1 ? tail : undefined;
}

function understood(sql: string): Statement[] | undefined {
  try {
    return parse(sql);
  } catch (error) {
    if (error instanceof SqlServerError) return undefined;
    throw error;
  }
}

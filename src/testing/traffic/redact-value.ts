import type { Moment, Scalar, SqlType, SqlValue } from '../tds/data-type.js';

/** 2000-01-01, midnight. */
const SOME_DAY: Moment = { days: 730_119, ticks: 0 };

/** A meaningless value of the same type and length; NULL stays NULL. */
export function redactValue(value: Scalar, type: SqlType): Scalar {
  if (value === null) return null;
  if (typeof value === 'boolean') return false;
  if (typeof value === 'number') return 0;
  if (typeof value === 'bigint') return 0n;
  if (Buffer.isBuffer(value)) return Buffer.alloc(value.length);
  if (typeof value === 'string') {
    return type.name === 'uniqueidentifier' ? '00000000-0000-0000-0000-000000000000' : 'x'.repeat(value.length);
  }
  if ('days' in value) return { ...SOME_DAY, ...(value.offset === undefined ? {} : { offset: 0 }) };
  const inner = value as SqlValue;
  return { type: inner.type, value: redactValue(inner.value, inner.type) };
}

/** Quotes and parentheses in the languages of the server, and what closes each. */
const CLOSING = new Map([
  ["'", "'"],
  ['"', '"'],
  ['(', ')'],
  ['«', '»'],
  ['»', '«'],
  ['‘', '’'],
  ['“', '”'],
  ['„', '“'],
  ['「', '」'],
]);

/**
 * Messages that may hold any value without quotes: PRINT (0), errors of CLR types (6522, 6532), user code (THROW, RAISERROR,
 * from 50000) and messages that RAISERROR can fill (from 13000), except those of logins and of Azure.
 */
function isFilledByUsers(number: number): boolean {
  if (number === 0 || number === 6522 || number === 6532 || number >= 50_000) return true;
  return number >= 13_000 && number < 40_000 && !(number >= 18_000 && number < 19_000) && number !== 37_396;
}

/**
 * Removes quoted values from a server's message: SQL Server repeats values in quotes ("Conversion failed when converting
 * the varchar value 'secret'") and in parentheses ("The duplicate key value is (secret)"). Messages that user code can fill
 * are removed entirely.
 */
export function redactMessage(number: number, text: string): string {
  if (isFilledByUsers(number)) return '...';
  let out = '';
  let until: string | undefined;
  for (const char of text) {
    if (until !== undefined) {
      if (char === until) {
        out += `...${char}`;
        until = undefined;
      }
      continue;
    }
    out += char;
    until = CLOSING.get(char);
  }
  return until === undefined ? out : `${out}...`;
}

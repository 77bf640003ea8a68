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

/** Error numbers from here on come from user code (THROW, RAISERROR); PRINT has the number 0. */
const FIRST_OF_USERS = 50_000;

/**
 * Removes quoted values from a server's message: SQL Server repeats values in quotes ("Conversion failed when converting
 * the varchar value 'secret'") and in parentheses ("The duplicate key value is (secret)"). Messages from user code are
 * removed entirely.
 */
export function redactMessage(number: number, text: string): string {
  if (number === 0 || number >= FIRST_OF_USERS) return '...';
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
    if (char === "'" || char === '"') until = char;
    if (char === '(') until = ')';
  }
  return until === undefined ? out : `${out}...`;
}

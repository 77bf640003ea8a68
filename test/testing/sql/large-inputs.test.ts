import { expect, test } from 'vitest';
import { convert } from '../../../src/testing/sql/conversion.js';
import { parse } from '../../../src/testing/sql/interpreter.js';
import { INT, MAX, nvarchar, parseDecimal } from '../../../src/testing/tds/data-type.js';

const MIB = 1024 * 1024;
/** Linear work on 1 MiB takes some tens of milliseconds; quadratic work takes minutes, on any machine. */
const FAR_FROM_QUADRATIC_MS = 3000;

function timeOf(work: () => unknown): number {
  const started = performance.now();
  try {
    work();
  } catch (error) {
    // A SQL Server error, never a stack overflow.
    expect(error).toMatchObject({ name: 'SqlServerError' });
  }
  return performance.now() - started;
}

const BATCHES: [string, string][] = [
  ['an unclosed string of quotes', `SELECT '${"''".repeat(MIB / 2)}`],
  ['an unclosed name', `SELECT [${']]'.repeat(MIB / 2)}`],
  ['comments that never close', `SELECT ${'/*'.repeat(MIB / 2)}`],
  ['digits', `SELECT ${'1'.repeat(MIB)}`],
  ['digits and a point', `SELECT 1.${'1'.repeat(MIB)}`],
  ['digits that look like a float', `SELECT ${'1'.repeat(MIB)}e`],
  ['hexadecimal digits', `SELECT 0x${'ab'.repeat(MIB / 2)}`],
  ['blanks', `SELECT ${' '.repeat(MIB)}1`],
  ['line ends', `${'\n'.repeat(MIB)}SELECT 1`],
  ['opening parentheses', `SELECT ${'('.repeat(MIB)}`],
  ['opening parentheses of a condition', `IF ${'('.repeat(MIB)}`],
  ['parentheses, closed', `IF ${'('.repeat(90)}1${')'.repeat(90)} = 1 SELECT 1`],
  ['signs', `SELECT ${'- '.repeat(MIB / 2)}1`],
  ['NOT', `IF ${'NOT '.repeat(MIB / 4)}1 = 1 SELECT 1`],
  ['a sum', `SELECT 1${'+1'.repeat(MIB / 2)}`],
  ['a product', `SELECT 1${'*1'.repeat(MIB / 2)}`],
  ['alternatives', `IF 1 = 1${' OR 1=1'.repeat(MIB / 7)} SELECT 1`],
  ['statements', 'SELECT 1;'.repeat(MIB / 9)],
  ['nested IF', `${'IF 1=1 '.repeat(MIB / 7)}SELECT 1`],
  ['nested BEGIN', `${'IF 1=1 BEGIN '.repeat(MIB / 13)}`],
  ['nested CASE', `SELECT ${'CASE WHEN 1=1 THEN '.repeat(MIB / 19)}`],
  ['nested calls', `SELECT ${'LEN('.repeat(MIB / 4)}`],
  ['a select list', `SELECT 1${',1'.repeat(MIB / 2)}`],
  ['a list of IN', `IF 1 IN (1${',1'.repeat(MIB / 2)}) SELECT 1`],
  ['rows to insert', `INSERT INTO t VALUES ${"(1,'x'),".repeat(MIB / 8)}`],
];

test.each(BATCHES)('1 MiB of %s does not block the event loop', (_, sql) => {
  expect(timeOf(() => parse(sql))).toBeLessThan(FAR_FROM_QUADRATIC_MS);
});

test.each([
  ['blanks', `${' '.repeat(MIB)}x`],
  ['digits', '9'.repeat(MIB)],
  ['digits and a point', `${'9'.repeat(MIB / 2)}.${'9'.repeat(MIB / 2)}`],
  ['braces', '{'.repeat(MIB)],
  ['blanks in a date', `2020-01-01${' '.repeat(MIB)}x`],
])('1 MiB of %s is no value of another type, and soon', (_, text) => {
  const from = nvarchar(MAX);
  for (const name of ['int', 'bit', 'bigint', 'decimal', 'float', 'datetime2', 'uniqueidentifier'] as const) {
    const to = name === 'decimal' ? { name, precision: 38, scale: 0 } : { name };
    expect(timeOf(() => convert(text, from, to))).toBeLessThan(FAR_FROM_QUADRATIC_MS);
  }
  expect(parseDecimal(text)).toBeUndefined();
  expect(convert('  12 ', from, INT)).toBe(12);
});

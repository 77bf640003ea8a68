import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { STYLES } from '../../src/testing/sql/date-text.js';
import { functionNames } from '../../src/testing/sql/functions.js';

const page = readFileSync('docs/testing-sql-emulator.md', 'utf8');
const expressions = page.slice(
  page.indexOf('Expressions: literals'),
  page.indexOf('All data types that tedious sends'),
);

test('the page of the SQL emulator lists exactly the functions that exist', () => {
  const lists = [...expressions.matchAll(/^- `([^`]+)`/gm)].map(([, list = '']) => list.split(/\s+/));
  const listed = lists.flat();
  expect(listed.toSorted()).toEqual([...new Set(functionNames())].toSorted());
});

test('the page of the SQL emulator lists exactly the styles of CONVERT that exist', () => {
  const [, list = ''] = /\(styles ([\d,\s]+and \d+)\)/.exec(expressions) ?? [];
  expect(list.match(/\d+/g)?.map(Number)).toEqual([...STYLES].sort((a, b) => a - b));
});

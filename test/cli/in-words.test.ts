import { expect, test } from 'vitest';
import { inWords } from '../../src/cli/in-words.js';
import { ConfigurationError } from '../../src/errors.js';

const ours = new ConfigurationError('The installed tedious needs Node.js 22 or later.', { hint: 'Update Node.js.' });

test('the last line of a program is the message and the hint, once', () => {
  expect(inWords(ours)).toBe('The installed tedious needs Node.js 22 or later.\nUpdate Node.js.');
});

test("the hint is also found behind mssql's own error", () => {
  const theirs = Object.assign(new Error(ours.message, { cause: ours }), { code: 'ESOCKET' });
  expect(inWords(theirs)).toBe('The installed tedious needs Node.js 22 or later.\nUpdate Node.js.');
});

test.each([
  [new Error('plain'), 'plain'],
  [new TypeError(), 'TypeError'],
  ['text', 'text'],
  [undefined, 'undefined'],
])('%j is printed without undefined fields', (thrown, words) => {
  expect(inWords(thrown)).toBe(words);
});

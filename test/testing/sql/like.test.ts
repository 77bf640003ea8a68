import { expect, test } from 'vitest';
import { isLike } from '../../../src/testing/sql/like.js';

/** Work that is bounded takes some tens of milliseconds; text × pattern takes many seconds, on any machine. */
const FAR_FROM_PRODUCT_MS = 3000;

test.each([
  ['', '', true],
  ['a', '', false],
  ['', '%', true],
  ['', '%%', true],
  ['', '_', false],
  ['abc', 'abc', true],
  ['abc', 'ABC', true],
  ['abc', 'ab', false],
  ['abc', 'a%', true],
  ['abc', '%c', true],
  ['abc', '%b%', true],
  ['abc', '%b', false],
  ['abc', 'b%', false],
  ['aba', 'ab%ba', false],
  ['abba', 'ab%ba', true],
  ['aXbXc', 'a%b%c', true],
  ['aXcXb', 'a%b%c', false],
  ['aab', '%ab', true],
  ['aaab', '%aab%', true],
  ['abcabd', '%abd%', true],
  ['xaxbxc', '%a_b%', true],
  ['xaxbxc', '%a__b%', false],
  ['x5y', '%[0-9]%', true],
  ['xyz', '%[0-9]%', false],
  ['5', '%[^0-9]%', false],
  ['5a', '%[^0-9]%', true],
  ['a', '[^a]', false],
  ['b', '[^a]', true],
  ['-', '[a-]', true],
  ['b', '%[a-ca-d]%', true],
  ['d', '%[a-ca-d]%', true],
  ['d', '%[^a-cb-d]%', false],
  ['e', '%[^a-cb-d]%', true],
  ['b', '%[c-a]%', false],
  ['b', '%[^c-a]%', true],
  ['\uffff', '%[a-\uffff]%', true],
  ['[', '[[]', true],
  ['[a', '[a', true],
  ['50%', '%[%]', true],
  ['50', '%[%]', false],
])("%j LIKE '%s': %s", (text, pattern, expected) => {
  expect(isLike(text, pattern)).toBe(expected);
});

test.each([31, 32, 33, 63, 64, 65, 1000])(
  'finds a part of %i characters, and only where all of them match',
  (length) => {
    const part = Array.from({ length }, (_, i) => String.fromCharCode(97 + (i % 7))).join('');
    expect(isLike(`abcabcdab${part}xyz`, `%${part}%`)).toBe(true);
    expect(isLike(`abcabcdab${part.slice(0, -1)}!xyz`, `%${part}%`)).toBe(false);
    expect(isLike(`abcabcdab${part}xyz`, `%${part.slice(0, -1)}_x%`)).toBe(true);
    expect(isLike(`!${part.slice(1)}`, `%[!]${part.slice(1)}%`)).toBe(true);
  },
);

/** The definition, which may take very long. */
function isLikeByDefinition(text: string, pattern: string): boolean {
  if (pattern === '') return text === '';
  if (pattern.startsWith('%')) {
    return isLikeByDefinition(text, pattern.slice(1)) || (text !== '' && isLikeByDefinition(text.slice(1), pattern));
  }
  const set = /^\[(\^?)([^\]]+)\]/.exec(pattern);
  const length = set === null ? 1 : set[0].length;
  if (text === '') return false;
  const first = text.charAt(0);
  const fits =
    set !== null ? (set[2] as string).includes(first) !== (set[1] === '^') : pattern[0] === '_' || pattern[0] === first;
  return fits && isLikeByDefinition(text.slice(1), pattern.slice(length));
}

test('agrees with the definition of LIKE for all short texts and patterns', () => {
  const words = (parts: readonly string[], longest: number): string[] =>
    longest === 0 ? [''] : words(parts, longest - 1).flatMap((word) => [word, ...parts.map((part) => word + part)]);
  const texts = [...new Set(words(['a', 'b'], 5))];
  const patterns = [...new Set(words(['a', 'b', '%', '_', '[a]', '[^a]'], 4))];
  const wrong = patterns.flatMap((pattern) =>
    texts
      .filter((text) => isLike(text, pattern) !== isLikeByDefinition(text, pattern))
      .map((text) => `'${text}' LIKE '${pattern}'`),
  );
  expect(wrong).toEqual([]);
});

test.each([
  ['a long part that is almost everywhere', 'a'.repeat(100_000), `%${'a'.repeat(7_000)}b`],
  ['a long part in the middle', 'a'.repeat(100_000), `%${'a'.repeat(7_000)}b%`],
  ['a long part with placeholders', 'a'.repeat(100_000), `%${'_a'.repeat(3_500)}b%`],
  ['a long part of sets', 'a'.repeat(100_000), `%${'[a-y]'.repeat(1_500)}z%`],
  ['many parts', 'a'.repeat(100_000), `${'%a'.repeat(3_999)}%b`],
  [
    'many different characters',
    String.fromCharCode(...Array.from({ length: 60_000 }, (_, i) => 0x100 + i)),
    `%${'[a-y]'.repeat(1_500)}%`,
  ],
  [
    'many different sets and characters',
    String.fromCharCode(...Array.from({ length: 60_000 }, (_, i) => 0x100 + i)),
    `%${String.fromCharCode(...Array.from({ length: 7_000 }, (_, i) => (i % 3 === 0 ? 0x5b : i % 3 === 2 ? 0x5d : 0x4e00 + i)))}a%`,
  ],
  ['sets that never close', 'a'.repeat(100_000), `%${'['.repeat(7_900)}%`],
])('the work is bounded: %s', (_, text, pattern) => {
  const started = performance.now();
  expect(isLike(text, pattern)).toBe(false);
  expect(performance.now() - started).toBeLessThan(FAR_FROM_PRODUCT_MS);
});

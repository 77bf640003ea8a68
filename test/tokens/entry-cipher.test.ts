import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { EntryCipher } from '../../src/tokens/entry-cipher.js';

const KEY = randomBytes(32);

test('a release reads the names and entries of earlier releases', () => {
  const cipher = new EntryCipher(Buffer.alloc(32, 7));
  expect(cipher.nameOf('orders')).toBe('5ukBCC9oKAF-JAuBNiadXY4gUA_u4JLN2UPuq9umE_4');
  expect(cipher.open('ATXy05tQBmohHnsSAIxgiYqFI9warB57u3aNfJOb8iVvaA==', 'orders')).toBe('käse');
});

test('decrypts any text unchanged, including empty text', () => {
  const cipher = new EntryCipher(KEY);
  for (const text of ['', 'käse', 'x'.repeat(5_000)]) expect(cipher.open(cipher.seal(text, 's'), 's')).toBe(text);
});

test('text that is too short or of another version is rejected as an entry', () => {
  const cipher = new EntryCipher(KEY);
  const whole = Buffer.from(cipher.seal('', 's'), 'base64');
  expect(whole).toHaveLength(1 + 12 + 16);
  const otherVersion = Buffer.concat([Buffer.from([2]), whole.subarray(1)]);
  for (const bytes of [Buffer.alloc(0), whole.subarray(0, 28), otherVersion]) {
    expect(() => cipher.open(bytes.toString('base64'), 's')).toThrow('It is not an entry of this library.');
  }
});

test('a key from a file can end with a line break', () => {
  const sealed = new EntryCipher(KEY).seal('text', 's');
  for (const form of ['base64', 'base64url', 'hex'] as const) {
    expect(new EntryCipher(` ${KEY.toString(form)}\n`).open(sealed, 's')).toBe('text');
  }
});

test.each([
  ['longer hex', `${KEY.toString('hex')}00`],
  ['hex and more', `${KEY.toString('hex')}zz`],
  ['more before base64', `!${KEY.toString('base64')}`],
  ['more after base64', `${KEY.toString('base64')}!`],
  ['33 bytes', randomBytes(33)],
  ['a number', 32],
])('%s is no key, and how to make one is said', (_, key) => {
  expect(() => new EntryCipher(key as string)).toThrow(
    expect.objectContaining({ code: 'ERR_CONFIGURATION', hint: 'Create one with: openssl rand -base64 32' }),
  );
});

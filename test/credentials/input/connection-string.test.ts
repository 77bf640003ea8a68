import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseConnectionString } from '../../../src/credentials/input/connection-string.js';
import { ConfigurationError } from '../../../src/errors.js';

test.each([
  ['Server=a;Database=b', { server: 'a', database: 'b' }],
  [' Initial   Catalog = b ; ', { 'initial catalog': 'b' }],
  ['Password="a;b=c"', { password: 'a;b=c' }],
  [`Password='it''s'`, { password: "it's" }],
  ['Password="say ""hi"""', { password: 'say "hi"' }],
  ['a==b=c', { 'a=b': 'c' }],
  ['Key=a=b', { key: 'a=b' }],
  ['Key=;Other=1', { key: '', other: '1' }],
  ['', {}],
])('%s', (text, expected) => {
  expect(Object.fromEntries(parseConnectionString(text))).toEqual(expected);
});

test('for a repeated key, the last value is used, or it is an error, depending on the caller', () => {
  expect(parseConnectionString('a=1;A=2').get('a')).toBe('2');
  expect(() => parseConnectionString('a=1;A=2', { repeated: 'error' })).toThrow('the key at position 4 occurs twice');
});

test.each(['novalue', '=x', 'a="b', 'a="b"c', ';;=1'])('%s is rejected', (text) => {
  expect(() => parseConnectionString(text)).toThrow(ConfigurationError);
});

test('errors do not quote values', () => {
  expect(() => parseConnectionString('Password="s3cret')).toThrow(/^(?!.*s3cret)/);
});

test('any value can be quoted', () => {
  fc.assert(
    fc.property(fc.string(), (value) => {
      const quoted = `Password="${value.replaceAll('"', '""')}";Server=x`;
      expect(parseConnectionString(quoted).get('password')).toBe(value);
      expect(parseConnectionString(quoted).get('server')).toBe('x');
    }),
  );
});

import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { repeatsSecret } from '../../../src/credentials/entra/repeated-secret.js';
import { cpuLimitMs, cpuMsOf } from '../../support/cpu.js';

const part = (bytes: number): string => randomBytes(bytes).toString('base64url');
const TOKEN = `${part(60)}.${part(900)}.${part(256)}`;
const base64 = (text: string, encoding: 'utf8' | 'utf16le' = 'utf8'): string =>
  Buffer.from(text, encoding).toString('base64');
const each = (text: string, form: (character: string) => string): string => [...text].map(form).join('');
const code = (character: string): string => character.charCodeAt(0).toString(16).padStart(2, '0');

const ECHOES: Readonly<Record<string, (token: string) => string>> = {
  'as it is': (token) => token,
  'in quotes': (token) => `"${token}"`,
  'in base64': base64,
  'in base64 of a longer text': (token) => base64(`Bearer ${token}`),
  'in base64 of JSON': (token) => base64(JSON.stringify({ to: token })),
  'in base64url': (token) => Buffer.from(token).toString('base64url'),
  'in base64 of the bytes on the wire': (token) => base64(token, 'utf16le'),
  'in base64 with line breaks': (token) => base64(token).replaceAll(/.{76}/g, '$&\r\n'),
  'in hex': (token) => Buffer.from(token).toString('hex'),
  'in upper-case hex': (token) => Buffer.from(token).toString('hex').toUpperCase(),
  'in hex of the bytes on the wire': (token) => Buffer.from(token, 'utf16le').toString('hex'),
  'as the bytes on the wire': (token) => Buffer.from(token, 'utf16le').toString('latin1'),
  'with each character percent-encoded': (token) => each(token, (character) => `%${code(character)}`),
  'in escapes of JSON': (token) => each(token, (character) => `\\u00${code(character)}`),
  'in escapes of HTML': (token) => each(token, (character) => `&#${character.charCodeAt(0)};`),
  'in hexadecimal escapes of HTML': (token) => each(token, (character) => `&#x${code(character)};`),
  'with blanks between its characters': (token) => [...token].join(' '),
  'with zero-width spaces between its characters': (token) => [...token].join('\u200b'),
  'with tabs': (token) => token.replaceAll(/.{20}/g, '$&\t'),
  'with soft line breaks': (token) => token.replaceAll(/.{30}/g, '$&=\n'),
  'without its first character': (token) => token.slice(1),
  'without its last character': (token) => token.slice(0, -1),
  'with other dots': (token) => token.replaceAll('.', ' , '),
  'its signature': (token) => token.slice(token.lastIndexOf('.') + 1),
  'its second half': (token) => token.slice(token.length / 2),
  '24 characters of it': (token) => token.slice(501, 525),
};

describe('a message that repeats a token is recognized', () => {
  test.each(Object.keys(ECHOES))('%s', (how) => {
    expect(repeatsSecret(`Login failed: ${ECHOES[how]?.(TOKEN)}`, [TOKEN])).toBe(true);
  });
});

test('a password with punctuation is recognized in escapes of HTML', () => {
  const password = 'Tr0ub4dor&3"correct<horse>';
  const escaped = password
    .replaceAll('&', '&amp;')
    .replaceAll('"', '&quot;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;');
  expect(repeatsSecret(`AADSTS7000215: ${escaped}`, [password])).toBe(true);
});

test.each([
  "Login failed for user '<token-identified principal>'. Reason: Token is expired.",
  "Changed database context to 'master'.",
  "Cannot open server 'app' requested by the login. Client with IP address '10.0.0.4' is not allowed to access the server.",
  'AADSTS7000215: Invalid client secret provided. Trace ID: 6f0d6a3c-4c1a-4a0e-8d4c-0d2f6a1b2c00',
])('an ordinary message is not: %s', (message) => {
  expect(repeatsSecret(message, [TOKEN, 'a password'])).toBe(false);
});

test('a long message does not block the event loop', async () => {
  const { longestMs } = await cpuMsOf(async () => {
    for (const text of [
      'x'.repeat(1_000_000),
      '&#'.repeat(500_000),
      '%4'.repeat(500_000),
      `${' '.repeat(1_000_000)}`,
    ]) {
      expect(repeatsSecret(text, [TOKEN])).toBe(false);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  });
  expect(longestMs).toBeLessThan(cpuLimitMs(50));
});

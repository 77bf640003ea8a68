import { describe, expect, test } from 'vitest';
import { redact, redactedCause } from '../../../src/credentials/entra/redact.js';

const SECRET = 'p~4W+x/9&Q =ü"secret\\value';

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

describe('a known secret is removed', () => {
  const echoes: [string, string][] = [
    ['as it is', SECRET],
    ['percent-encoded', encodeURIComponent(SECRET)],
    ['percent-encoded in lower case', encodeURIComponent(SECRET).replaceAll(/%../g, (hex) => hex.toLowerCase())],
    ['form-encoded', new URLSearchParams({ client_secret: SECRET }).toString()],
    ['in JSON', JSON.stringify({ v: SECRET })],
    ['in base64', base64(SECRET)],
    ['in base64url', Buffer.from(SECRET).toString('base64url')],
    ['in the base64 of a longer text', base64(`client-id:${SECRET}`)],
    ['in the base64 of a longer text, at the second alignment', base64(`client-idx:${SECRET} and more`)],
    ['in the base64 of a longer text, at the third alignment', base64(`client-idxy:${SECRET} and more`)],
    ['in escapes of HTML', SECRET.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('ü', '&#252;')],
    ['in hex', Buffer.from(SECRET).toString('hex')],
    ['with line breaks', SECRET.replaceAll(/.{5}/g, '$&\r\n')],
    ['short of its last characters', SECRET.slice(0, -3)],
    ['in base64 of its form-encoded form', base64(`id:${encodeURIComponent(SECRET)}`)],
  ];
  test.each(echoes)('%s', (_, echo) => {
    const clean = redact(`You sent ${echo}, which is wrong.`, [SECRET]);
    expect(clean).not.toContain(echo);
    expect(clean).toContain('[hidden]');
  });

  test('at any position of a long text, before the text is truncated', () => {
    const secret = 'x1y2'.repeat(40);
    for (const length of [300, 390, 399, 400, 8_100, 8_192, 32_700, 32_760, 32_768, 40_000]) {
      const clean = redact(`${'.'.repeat(length)}${secret}${'.'.repeat(50_000)}`, [secret]);
      expect(clean).not.toContain('x1y2x1y2');
    }
  });

  test('repeatedly, so that the text shrinks', () => {
    const secret = 'x1y2'.repeat(300);
    expect(redact(secret.repeat(100), [secret])).not.toContain('x1y2x1y2');
  });
});

test.each([
  ['a JWT', 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl'],
  ['a refresh token of Entra', `1.AX${'aB3-_'.repeat(30)}`],
  ['a value behind its name', 'client_secret=hunter2-hunter2'],
  ['a header of App Service', 'X-IDENTITY-HEADER: 853b9a84-5bfa-4b22-a3f3-0b9a43d9ad8a'],
  ['a variable', 'MSI_SECRET=853b9a84-5bfa'],
  ['an Authorization header', 'Authorization: Basic aHVudGVyMjpodW50ZXIy'],
  ['a private key', '-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA'],
  ['the password of a URL', 'mssql://app:hunter2@db.example/orders'],
])('%s that is unknown is recognized', (_, text) => {
  const clean = redact(`before ${text} after`);
  expect(clean).toContain('[hidden]');
  for (const secret of ['c2lnbmF0dXJl', 'aB3-_aB3', 'hunter2', '853b9a84', 'aHVudGVy', 'MIIEow']) {
    expect(clean).not.toContain(secret);
  }
});

test('a cause keeps its name and code, and nothing that a getter throws', () => {
  const hostile = {
    get message(): string {
      throw new Error('no');
    },
    name: 'Custom',
    code: 'ECONNRESET',
    stack: 42,
  };
  expect(redactedCause(hostile)).toMatchObject({ name: 'Custom', message: '', code: 'ECONNRESET' });
  expect(redactedCause({ message: 'm', code: `secret ${SECRET}` })).not.toHaveProperty('code');
});

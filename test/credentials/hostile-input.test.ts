import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { checkCertificate, readCertificate } from '../../src/credentials/certificate/certificate.js';
import { certificateBlocks } from '../../src/credentials/certificate/pem.js';
import { readJwtClaims } from '../../src/credentials/entra/jwt-claims.js';
import { aadstsOf, asCredentialFailure, providerError } from '../../src/credentials/entra/provider-error.js';
import { redact } from '../../src/credentials/entra/redact.js';
import { readAccessToken } from '../../src/credentials/input/access-token-like.js';
import { parseConnectionString } from '../../src/credentials/input/connection-string.js';
import { createCredential, scopeForServer } from '../../src/index.js';
import { cpuLimitMs } from '../support/cpu.js';

const MIB = 1024 * 1024;

/** Texts on which an expression that backtracks or restarts at each position takes quadratic time. */
const TEXTS: [string, string][] = [
  ['blanks', ' '.repeat(MIB)],
  ['line breaks', '\r\n'.repeat(MIB / 2)],
  ['commas and a line break', `${','.repeat(MIB)}\n`],
  ['BEGIN lines', '-----BEGIN A-----'.repeat(MIB / 17)],
  ['BEGIN lines of private keys', '-----BEGIN PRIVATE KEY-----'.repeat(MIB / 27)],
  ['BEGIN lines with different labels', Array.from({ length: 40_000 }, (_, i) => `-----BEGIN A${i}-----`).join('')],
  ['names of secrets', 'password '.repeat(MIB / 9)],
  ['names of secrets with blanks', `password${' '.repeat(1_000)}`.repeat(1_000)],
  ['starts of tokens', 'eyJaaaaaaaa'.repeat(MIB / 11)],
  ['dots', '.'.repeat(MIB)],
  ['Bearer', 'Bearer '.repeat(MIB / 7)],
  ['schemes', '://a'.repeat(MIB / 4)],
  ['AADSTS', 'AADSTS'.repeat(MIB / 6)],
  ['semicolons', ';'.repeat(MIB)],
  ['equals signs', '='.repeat(MIB)],
  ['key=value', 'a=b;'.repeat(MIB / 4)],
  ['quotes', `a="${'""'.repeat(MIB / 2)}`],
  ['RunAs', '; RunAs'.repeat(MIB / 7)],
];

const READERS: [string, (text: string) => unknown][] = [
  ['redact', (text) => redact(text, ['a-secret-value', 'b'.repeat(2_000)])],
  ['an error_description', (text) => providerError({ status: 400, description: text, error: text }, 'test')],
  ['a thrown message', (text) => asCredentialFailure(Object.assign(new Error(text), { status: 400 }))],
  ['an AADSTS number', aadstsOf],
  ['a server name', (text) => scopeForServer(`${text}host${text}`)],
  ['a PEM text', certificateBlocks],
  ['a certificate', (text) => checkCertificate(`${text}-----BEGIN `, undefined, 'certificate')],
  ['a token', readJwtClaims],
  ['a token of the caller', (text) => readAccessToken({ token: text, expiresOn: Date.now() + 1e6 }, 'the token')],
  ['a connection string', (text) => parseConnectionString(text)],
  ['any text', (text) => createCredential(text)],
  ['an option', (text) => createCredential({ tenantId: text, clientId: text, clientSecret: text, authority: text })],
];

/** The promise is 50 ms of processor time on the reference machine. Linear work on 1 MiB takes some ms, quadratic work 5 to 50 s. */
const LIMIT_MS = 50;

/** CPU time of one reading, ms; the fastest of up to three, because garbage collection may affect one. */
function cpuMsToRead(read: (text: string) => unknown, text: string, enoughMs: number): number {
  let fastest = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < 3 && fastest > enoughMs; attempt += 1) {
    const before = process.cpuUsage();
    try {
      read(text);
    } catch (error) {
      expect(error).toMatchObject({ code: expect.stringMatching(/^ERR_/) });
    }
    const { user, system } = process.cpuUsage(before);
    fastest = Math.min(fastest, (user + system) / 1000);
  }
  return fastest;
}

describe.each(READERS)('%s of 1 MiB does not block the event loop', (_, read) => {
  test.each(TEXTS)('%s', (_, text) => {
    const limitMs = cpuLimitMs(LIMIT_MS);
    expect(cpuMsToRead(read, text, limitMs)).toBeLessThan(limitMs);
  });
});

describe('a PFX file does not block the event loop', () => {
  const pfx = readFileSync(new URL('fixtures/3des.pfx', import.meta.url));

  test('with a MAC digest of 4,000 bytes', () => {
    expect(() => checkCertificate(withMac(pfx, 4_000, 2_048), 'open-sesame', 'certificate')).toThrow(/neither PEM/);
  });

  test('with millions of iterations is rejected', async () => {
    const file = withMac(pfx, 32, 0x7f_ff_ff_ff);
    await expect(readCertificate(file, 'open-sesame', 'certificate')).rejects.toThrow(/neither PEM/);
  });

  test('with the maximum number of iterations: timers keep running', async () => {
    const file = withMac(pfx, 32, 300_000);
    let turns = 0;
    const timer = setInterval(() => {
      turns += 1;
    }, 1);
    await expect(readCertificate(file, 'open-sesame', 'certificate')).rejects.toThrow(/does not open/);
    clearInterval(timer);
    expect(turns).toBeGreaterThan(5);
    // At creation only its structure is checked.
    expect(() => checkCertificate(file, 'open-sesame', 'certificate')).not.toThrow();
  });

  test('with deeply nested elements, or very many of them', () => {
    let nested: Buffer = Buffer.alloc(0);
    for (let depth = 0; depth < 20_000; depth += 1) nested = sequence(nested);
    for (const file of [nested, sequence(Buffer.alloc(120_000, Buffer.from([0x05, 0x00])))]) {
      expect(() => checkCertificate(file, 'x', 'certificate')).toThrow(/neither PEM/);
    }
  });

  /** The file with another MacData at its end (RFC 7292 section 4). */
  function withMac(file: Buffer, digestBytes: number, iterations: number): Buffer {
    const sha256 = der(0x30, der(0x06, Buffer.from('608648016503040201', 'hex')), der(0x05));
    const count = Buffer.alloc(4);
    count.writeUInt32BE(iterations);
    const mac = der(
      0x30,
      der(0x30, sha256, der(0x04, Buffer.alloc(digestBytes, 1))),
      der(0x04, Buffer.alloc(8, 2)),
      der(0x02, count),
    );
    const headerBytes = 4;
    const [version, content] = [file.subarray(headerBytes, headerBytes + 3), contentOf(file)];
    return der(0x30, version, content, mac);
  }

  /** authSafe, the second element of the file. */
  function contentOf(file: Buffer): Buffer {
    const at = 4 + 3;
    return file.subarray(at, at + 4 + file.readUInt16BE(at + 2));
  }

  function sequence(content: Buffer): Buffer {
    return content.length > 100_000 ? content : der(0x30, content);
  }

  function der(tag: number, ...parts: Buffer[]): Buffer {
    const content = Buffer.concat(parts);
    const { length } = content;
    const header =
      length < 0x80
        ? [length]
        : length < 0x10000
          ? [0x82, length >> 8, length & 0xff]
          : [0x83, length >> 16, (length >> 8) & 0xff, length & 0xff];
    return Buffer.concat([Buffer.from([tag, ...header]), content]);
  }
});

test('no credential reads an environment variable that is not part of its identity', () => {
  const folder = new URL('../../src/credentials/', import.meta.url);
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  const readers = files.filter((name) => /process\.env\b/.test(readFileSync(new URL(name, folder), 'utf8')));
  // The example in a docstring, the list of variables, and the environment that a developer tool inherits.
  expect(readers.sort()).toEqual(['create-credential.ts', 'input/environment.ts', 'methods/run-tool.ts']);
});

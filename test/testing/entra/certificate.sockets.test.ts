import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import tls from 'node:tls';
import { expect, test } from 'vitest';
import { makeCertificate, makeCertificateAuthority } from '../../../src/testing/index.js';

const ca = makeCertificateAuthority({ commonName: 'Root of the test' });

async function handshake(server: { cert: string; key: string }, client: tls.ConnectionOptions): Promise<string> {
  const listener = tls.createServer(server, (socket) => socket.end('hello')).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  try {
    const socket = tls.connect({ host: '127.0.0.1', port: (listener.address() as AddressInfo).port, ...client });
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk);
    return Buffer.concat(chunks).toString();
  } finally {
    listener.close();
  }
}

for (const keyType of ['ec', 'rsa'] as const) {
  test(`a client that trusts the authority accepts an ${keyType} certificate by name and by address`, async () => {
    const server = makeCertificate({ commonName: 'sql.test', altNames: ['sql.test'], issuer: ca, keyType });
    for (const servername of ['sql.test', 'localhost']) {
      expect(await handshake(server, { ca: ca.cert, servername })).toBe('hello');
    }
    expect(await handshake(server, { ca: ca.cert })).toBe('hello');
  });
}

test('a self-signed certificate is accepted by a client that trusts exactly this certificate', async () => {
  const server = makeCertificate({ commonName: 'localhost' });
  expect(await handshake(server, { ca: server.cert })).toBe('hello');
});

test('a client that does not trust the authority refuses the certificate', async () => {
  const server = makeCertificate({ commonName: 'localhost', issuer: ca });
  await expect(handshake(server, {})).rejects.toMatchObject({ code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
});

test('another host name is refused', async () => {
  const server = makeCertificate({ commonName: 'localhost', issuer: ca });
  const attempt = handshake(server, { ca: ca.cert, servername: 'elsewhere.test' });
  await expect(attempt).rejects.toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
});

test('an expired certificate is refused', async () => {
  const notAfter = new Date(Date.now() - 60_000);
  const server = makeCertificate({ commonName: 'localhost', issuer: ca, notAfter });
  await expect(handshake(server, { ca: ca.cert })).rejects.toMatchObject({ code: 'CERT_HAS_EXPIRED' });
});

test('dates, names and thumbprints are as requested', () => {
  const options = { notBefore: new Date('2049-12-31T00:00:00Z'), notAfter: new Date('2050-01-02T03:04:05Z') };
  const made = makeCertificate({
    commonName: 'Ünïcode',
    altNames: ['10.1.2.3', 'fe80::1:2', '::ffff:10.1.2.4', 'a.test'],
    ...options,
  });
  const read = new X509Certificate(made.cert);
  expect(read.subject).toBe('CN=Ünïcode');
  expect(new Date(read.validFrom)).toEqual(options.notBefore);
  expect(new Date(read.validTo)).toEqual(options.notAfter);
  expect(read.checkIP('10.1.2.3')).toBe('10.1.2.3');
  expect(read.checkIP('fe80::1:2')).toBe('fe80::1:2');
  expect(read.checkIP('::ffff:10.1.2.4')).toBe('::ffff:10.1.2.4');
  expect(read.checkIP('::1')).toBe('::1');
  expect(read.checkHost('a.test')).toBe('a.test');
  expect(read.fingerprint.replaceAll(':', '')).toBe(made.thumbprint);
  expect(read.fingerprint256.replaceAll(':', '')).toBe(made.thumbprintSha256);
  expect(read.ca).toBe(false);
});

test('key usage is a named bit list without trailing zeros, as DER requires', () => {
  const hex = (made: { cert: string }) => new X509Certificate(made.cert).raw.toString('hex');
  // OID 2.5.29.15, critical, then the bits: digitalSignature and keyEncipherment; keyCertSign and cRLSign.
  expect(hex(makeCertificate({ commonName: 'leaf' }))).toContain('0603551d0f0101ff0404030205a0');
  expect(hex(ca)).toContain('0603551d0f0101ff040403020106');
});

test('an intermediate authority includes its chain', () => {
  const intermediate = makeCertificateAuthority({ commonName: 'Intermediate', issuer: ca, keyType: 'rsa' });
  const leaf = makeCertificate({ commonName: 'leaf', issuer: intermediate });
  const read = new X509Certificate(intermediate.cert);
  expect(read.ca).toBe(true);
  expect(read.checkIssued(new X509Certificate(ca.cert))).toBe(true);
  expect(new X509Certificate(leaf.cert).checkIssued(read)).toBe(true);
  expect(new X509Certificate(leaf.cert).verify(read.publicKey)).toBe(true);
});

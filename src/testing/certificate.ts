import {
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto';
import { isIP } from 'node:net';
import { type OptionNames, requireKnownOptions } from './known-options.js';

/** A certificate with its private key, both PEM, and its two thumbprints. */
export interface Certificate {
  /** The certificate, PEM. */
  cert: string;
  /** Its private key, PKCS #8 PEM, unencrypted. */
  key: string;
  /** SHA-1 thumbprint, upper-case hex without colons: the form shown by Azure portals and Service Fabric. */
  thumbprint: string;
  /** SHA-256 thumbprint, upper-case hex without colons: MSAL's `thumbprintSha256`. */
  thumbprintSha256: string;
}

/** Settings of {@link makeCertificate}. */
export interface CertificateOptions {
  /** Subject common name, e.g. `localhost`. */
  commonName: string;
  /** Further DNS names and IP addresses. `localhost`, `127.0.0.1` and `::1` are always included. */
  altNames?: readonly string[] | undefined;
  /** Validity in days from `notBefore`; default 30. `notAfter` takes precedence. */
  days?: number | undefined;
  /** Start of validity; default one hour ago, so that peers whose clock is slightly behind accept it. */
  notBefore?: Date | undefined;
  /** End of validity; a time in the past makes an expired certificate. */
  notAfter?: Date | undefined;
  /** The signing authority, from {@link makeCertificateAuthority}. Default: self-signed. */
  issuer?: Pick<Certificate, 'cert' | 'key'> | undefined;
  /** `ec` (P-256, the default: quick to make) or `rsa` (2048 bits: what Entra asks of client certificates). */
  keyType?: 'ec' | 'rsa' | undefined;
}

const OPTIONS: OptionNames<CertificateOptions> = {
  commonName: true,
  altNames: true,
  days: true,
  notBefore: true,
  notAfter: true,
  issuer: true,
  keyType: true,
};

/**
 * Makes an X.509 v3 server or client certificate for tests.
 *
 * @example
 * const ca = makeCertificateAuthority();
 * const { cert, key } = makeCertificate({ commonName: 'sql.test', altNames: ['sql.test'], issuer: ca });
 * https.createServer({ cert, key });
 */
export function makeCertificate(options: CertificateOptions): Certificate {
  requireKnownOptions('makeCertificate', options, OPTIONS);
  return build(options, [
    extension(OID.basicConstraints, sequence(), 'critical'),
    extension(OID.keyUsage, bitFlags(KEY_USAGE.digitalSignature | KEY_USAGE.keyEncipherment), 'critical'),
    extension(OID.extendedKeyUsage, sequence(oid(OID.serverAuth), oid(OID.clientAuth))),
    extension(OID.subjectAltName, alternativeNames(['localhost', '127.0.0.1', '::1', ...(options.altNames ?? [])])),
  ]);
}

/**
 * Makes a certificate authority for the `issuer` of {@link makeCertificate}; pass its `cert` as `ca` to clients.
 *
 * @example
 * const ca = makeCertificateAuthority({ commonName: 'Test CA' });
 */
export function makeCertificateAuthority(options: Partial<Omit<CertificateOptions, 'altNames'>> = {}): Certificate {
  return build({ commonName: 'Test certificate authority', ...options }, [
    extension(OID.basicConstraints, sequence(boolean(true)), 'critical'),
    extension(OID.keyUsage, bitFlags(KEY_USAGE.keyCertSign | KEY_USAGE.crlSign), 'critical'),
  ]);
}

const shared = new Map<string, { certificate: Certificate; madeAt: number }>();
/** A long-lived process gets a new certificate well before the 30 days of the last one are over. */
const SHARED_FOR_MS = 7 * 86_400_000;

/** A self-signed certificate shared by all servers of this process, generated on first use. */
export function sharedCertificate(host: string): Certificate {
  const last = shared.get(host);
  if (last !== undefined && Math.abs(Date.now() - last.madeAt) < SHARED_FOR_MS) return last.certificate;
  const certificate = makeCertificate({ commonName: host, altNames: [host] });
  shared.set(host, { certificate, madeAt: Date.now() });
  return certificate;
}

/** RFC 5280 section 4.1: TBSCertificate, signature algorithm, signature. */
function build(options: CertificateOptions, extensions: Buffer[]): Certificate {
  const keys = options.keyType === 'rsa' ? newRsaKeys() : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const notBefore = options.notBefore ?? new Date(Date.now() - 3_600_000);
  const notAfter = options.notAfter ?? new Date(notBefore.getTime() + (options.days ?? 30) * 86_400_000);
  const publicKey = keys.publicKey.export({ type: 'spki', format: 'der' });
  const subject = distinguishedName(options.commonName);
  const signingKey = options.issuer === undefined ? keys.privateKey : createPrivateKey(options.issuer.key);
  const issuer = options.issuer === undefined ? undefined : new X509Certificate(options.issuer.cert);
  const issuerKey = issuer === undefined ? publicKey : issuer.publicKey.export({ type: 'spki', format: 'der' });
  const algorithm = signatureAlgorithm(signingKey);

  const tbs = sequence(
    explicit(0, integer(Buffer.from([2]))), // version 3
    integer(randomBytes(16)),
    algorithm,
    issuer === undefined ? subject : subjectOf(issuer),
    sequence(time(notBefore), time(notAfter)),
    subject,
    publicKey,
    explicit(
      3,
      sequence(
        ...extensions,
        extension(OID.subjectKeyIdentifier, octetString(keyIdentifier(publicKey))),
        extension(OID.authorityKeyIdentifier, sequence(tagged(0x80, keyIdentifier(issuerKey)))),
      ),
    ),
  );
  const der = sequence(tbs, algorithm, bitString(sign('sha256', tbs, signingKey)));
  const hash = (name: string) => createHash(name).update(der).digest('hex').toUpperCase();
  return {
    cert: pem('CERTIFICATE', der),
    key: keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    thumbprint: hash('sha1'),
    thumbprintSha256: hash('sha256'),
  };
}

function newRsaKeys(): { publicKey: KeyObject; privateKey: KeyObject } {
  return generateKeyPairSync('rsa', { modulusLength: 2048 });
}

function signatureAlgorithm(key: KeyObject): Buffer {
  if (key.asymmetricKeyType === 'ec') return sequence(oid(OID.ecdsaWithSha256));
  if (key.asymmetricKeyType === 'rsa') return sequence(oid(OID.sha256WithRsa), tagged(0x05, Buffer.alloc(0)));
  throw new TypeError(`issuer.key is ${key.asymmetricKeyType ?? 'unknown'}; use an RSA or EC key`);
}

/** The issuer name must equal the subject of its certificate byte for byte, so it is copied rather than rebuilt. */
function subjectOf(certificate: X509Certificate): Buffer {
  const tbs = elements(elements(certificate.raw)[0] ?? Buffer.alloc(0));
  // version, serial, algorithm, issuer, validity, subject; version is absent in v1 certificates.
  const subject = tbs[tbs[0]?.[0] === 0xa0 ? 5 : 4];
  if (subject === undefined) throw new TypeError('issuer.cert is not an X.509 certificate');
  return subject;
}

/** The elements inside one constructed DER element, each with its own header. */
function elements(der: Buffer): Buffer[] {
  const found: Buffer[] = [];
  let at = contentStart(der, 0);
  while (at < der.length) {
    const end = contentStart(der, at) + contentLength(der, at);
    found.push(der.subarray(at, end));
    at = end;
  }
  return found;
}

function contentStart(der: Buffer, at: number): number {
  const first = der[at + 1] ?? 0;
  return at + 2 + (first < 0x80 ? 0 : first & 0x7f);
}

function contentLength(der: Buffer, at: number): number {
  const first = der[at + 1] ?? 0;
  return first < 0x80 ? first : der.readUIntBE(at + 2, first & 0x7f);
}

const OID = {
  commonName: '2.5.4.3',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  sha256WithRsa: '1.2.840.113549.1.1.11',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
};

/** Bits of RFC 5280 section 4.2.1.3, counted from the left of the first byte. */
const KEY_USAGE = { digitalSignature: 0x80, keyEncipherment: 0x20, keyCertSign: 0x04, crlSign: 0x02 };

function distinguishedName(commonName: string): Buffer {
  const utf8 = tagged(0x0c, Buffer.from(commonName));
  return sequence(tagged(0x31, sequence(oid(OID.commonName), utf8)));
}

function alternativeNames(names: readonly string[]): Buffer {
  const general = [...new Set(names)].map((name) =>
    isIP(name) === 0 ? tagged(0x82, Buffer.from(name, 'ascii')) : tagged(0x87, addressBytes(name)),
  );
  return sequence(...general);
}

function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number));
  // URL normalizes every IPv6 form, including ::ffff:1.2.3.4, to hexadecimal groups.
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const groups = (text: string) => (text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16)));
  const left = groups(head);
  const right = groups(tail ?? '');
  const all = [...left, ...Array<number>(8 - left.length - right.length).fill(0), ...right];
  return Buffer.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}

function keyIdentifier(spki: Buffer): Buffer {
  return createHash('sha1').update(spki).digest();
}

function extension(id: string, value: Buffer, critical?: 'critical'): Buffer {
  return sequence(oid(id), ...(critical ? [boolean(true)] : []), octetString(value));
}

// DER (X.690); only what a certificate needs.

function tagged(tag: number, content: Buffer): Buffer {
  if (content.length < 0x80) return Buffer.concat([Buffer.from([tag, content.length]), content]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(content.length);
  const digits = length.subarray(length.findIndex((byte) => byte !== 0));
  return Buffer.concat([Buffer.from([tag, 0x80 | digits.length]), digits, content]);
}

function sequence(...parts: Buffer[]): Buffer {
  return tagged(0x30, Buffer.concat(parts));
}

function explicit(number: number, content: Buffer): Buffer {
  return tagged(0xa0 | number, content);
}

function boolean(value: boolean): Buffer {
  return tagged(0x01, Buffer.from([value ? 0xff : 0]));
}

/** A non-negative integer, without redundant leading zero bytes but with one if the first bit would be read as a sign. */
function integer(bytes: Buffer): Buffer {
  const first = bytes.findIndex((byte) => byte !== 0);
  const digits = first === -1 ? Buffer.from([0]) : bytes.subarray(first);
  return tagged(0x02, (digits[0] ?? 0) & 0x80 ? Buffer.concat([Buffer.from([0]), digits]) : digits);
}

function bitString(bytes: Buffer): Buffer {
  return tagged(0x03, Buffer.concat([Buffer.from([0]), bytes]));
}

/** A named bit list in one byte: DER omits trailing zero bits and stores their number. */
function bitFlags(flags: number): Buffer {
  const unused = Math.log2(flags & -flags);
  return tagged(0x03, Buffer.from([unused, flags]));
}

function octetString(bytes: Buffer): Buffer {
  return tagged(0x04, bytes);
}

function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  return tagged(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]));
}

function base128(value: number): number[] {
  const bytes = [value & 0x7f];
  for (let left = value >>> 7; left > 0; left >>>= 7) bytes.unshift(0x80 | (left & 0x7f));
  return bytes;
}

/** UTCTime up to 2049, GeneralizedTime after (RFC 5280 section 4.1.2.5). */
function time(date: Date): Buffer {
  const digits = date.toISOString().replace(/[-:T]|\.\d+/g, '');
  const year = date.getUTCFullYear();
  if (year >= 1950 && year < 2050) return tagged(0x17, Buffer.from(digits.slice(2)));
  return tagged(0x18, Buffer.from(digits));
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

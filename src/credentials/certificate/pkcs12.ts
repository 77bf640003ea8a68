import { createDecipheriv, createHash, createHmac, pbkdf2Sync, timingSafeEqual } from 'node:crypto';
import { children, DER, type DerElement, objectId, readDer, smallInteger } from './der.js';
import { decryptRc2Cbc } from './rc2.js';

/** What is inside a PFX file: DER of its private key (PKCS #8) and of its certificates. */
export interface Pkcs12Content {
  privateKeys: Buffer[];
  certificates: Buffer[];
}

/** The password does not open the file. */
export class WrongPfxPassword extends Error {}

/** RFC 7292, RFC 8018. */
const OID = {
  data: '1.2.840.113549.1.7.1',
  encryptedData: '1.2.840.113549.1.7.6',
  keyBag: '1.2.840.113549.1.12.10.1.1',
  shroudedKeyBag: '1.2.840.113549.1.12.10.1.2',
  certBag: '1.2.840.113549.1.12.10.1.3',
  safeContentsBag: '1.2.840.113549.1.12.10.1.6',
  pbes2: '1.2.840.113549.1.5.13',
  pbkdf2: '1.2.840.113549.1.5.12',
} as const;

const HASHES = new Map([
  ['1.3.14.3.2.26', 'sha1'],
  ['2.16.840.1.101.3.4.2.1', 'sha256'],
  ['2.16.840.1.101.3.4.2.2', 'sha384'],
  ['2.16.840.1.101.3.4.2.3', 'sha512'],
]);
const HMACS = new Map([
  ['1.2.840.113549.2.7', 'sha1'],
  ['1.2.840.113549.2.9', 'sha256'],
  ['1.2.840.113549.2.10', 'sha384'],
  ['1.2.840.113549.2.11', 'sha512'],
]);
const CIPHERS = new Map([
  ['1.2.840.113549.3.7', { name: 'des-ede3-cbc', keyBytes: 24 }],
  ['2.16.840.1.101.3.4.1.2', { name: 'aes-128-cbc', keyBytes: 16 }],
  ['2.16.840.1.101.3.4.1.22', { name: 'aes-192-cbc', keyBytes: 24 }],
  ['2.16.840.1.101.3.4.1.42', { name: 'aes-256-cbc', keyBytes: 32 }],
]);
/** Password-based schemes of PKCS #12 itself, all with SHA-1: Windows and OpenSSL before 3 write them. */
const OWN_SCHEMES = new Map([
  ['1.2.840.113549.1.12.1.3', { cipher: 'des-ede3-cbc', keyBytes: 24 }],
  ['1.2.840.113549.1.12.1.5', { cipher: 'rc2', keyBytes: 16 }],
  ['1.2.840.113549.1.12.1.6', { cipher: 'rc2', keyBytes: 5 }],
]);
/** Files ask for a few thousand; more than this is an attack on the processor. */
const MOST_ITERATIONS = 2_000_000;

/**
 * Opens a PFX file. Node can use one for TLS but gives its key to nobody, and Entra wants an assertion signed with it.
 *
 * @throws WrongPfxPassword, RangeError for anything that is no PFX file or uses a scheme unknown here
 */
export function openPkcs12(file: Buffer, password: string): Pkcs12Content {
  const [, authSafe, macData] = children(readDer(file)[0], DER.SEQUENCE);
  const safes = octets(contentOf(authSafe, OID.data));
  if (macData !== undefined) checkMac(macData, safes, password);
  const content: Pkcs12Content = { privateKeys: [], certificates: [] };
  for (const info of children(readDer(safes)[0], DER.SEQUENCE)) {
    const [type] = children(info, DER.SEQUENCE);
    const bags = objectId(type) === OID.encryptedData ? decryptInfo(info, password) : octets(contentOf(info, OID.data));
    readBags(bags, password, content);
  }
  return content;
}

function readBags(bytes: Buffer, password: string, into: Pkcs12Content): void {
  for (const bag of children(readDer(bytes)[0], DER.SEQUENCE)) {
    const [type, tagged] = children(bag, DER.SEQUENCE);
    const value = tagged === undefined ? undefined : readDer(tagged.content)[0];
    switch (objectId(type)) {
      case OID.keyBag:
        if (value !== undefined) into.privateKeys.push(value.whole);
        break;
      case OID.shroudedKeyBag: {
        const [algorithm, encrypted] = children(value, DER.SEQUENCE);
        into.privateKeys.push(decrypt(algorithm, encrypted?.content, password));
        break;
      }
      case OID.certBag: {
        const [, certificate] = children(value, DER.SEQUENCE);
        if (certificate !== undefined) into.certificates.push(octets(readDer(certificate.content)[0]));
        break;
      }
      case OID.safeContentsBag:
        if (value !== undefined) readBags(value.whole, password, into);
        break;
    }
  }
}

/** ContentInfo: the element inside its explicit tag, if it is of that type. */
function contentOf(info: DerElement | undefined, type: string): DerElement | undefined {
  const [id, tagged] = children(info, DER.SEQUENCE);
  if (objectId(id) !== type || tagged === undefined) throw new RangeError('unexpected content type');
  return readDer(tagged.content)[0];
}

function decryptInfo(info: DerElement, password: string): Buffer {
  const [, encrypted] = children(contentOf(info, OID.encryptedData), DER.SEQUENCE);
  const [, algorithm, data] = children(encrypted, DER.SEQUENCE);
  return decrypt(algorithm, data?.content, password);
}

function checkMac(macData: DerElement, signed: Buffer, password: string): void {
  const [digestInfo, salt, iterations] = children(macData, DER.SEQUENCE);
  const [algorithm, digest] = children(digestInfo, DER.SEQUENCE);
  const hash = known(HASHES, children(algorithm)[0]);
  const rounds = iterations === undefined ? 1 : iterationCount(iterations);
  const length = octets(digest).length;
  // An empty password is written in two ways: no bytes, or two zeros.
  for (const secret of password === '' ? [bmpString(''), Buffer.alloc(0)] : [bmpString(password)]) {
    const key = ownKdf({ hash, purpose: 3, secret, salt: octets(salt), rounds, bytes: length });
    if (timingSafeEqual(createHmac(hash, key).update(signed).digest(), octets(digest))) return;
  }
  throw new WrongPfxPassword();
}

function decrypt(algorithm: DerElement | undefined, encrypted: Buffer | undefined, password: string): Buffer {
  const [scheme, parameters] = children(algorithm, DER.SEQUENCE);
  if (encrypted === undefined) throw new RangeError('nothing to decrypt');
  const own = OWN_SCHEMES.get(objectId(scheme));
  try {
    if (own !== undefined) return decryptOwn(own, parameters, encrypted, password);
    if (objectId(scheme) === OID.pbes2) return decryptPbes2(parameters, encrypted, password);
  } catch (error) {
    // Wrong padding: a file without a MAC has nothing else to tell a wrong password by.
    throw (error as NodeJS.ErrnoException).code === 'ERR_OSSL_BAD_DECRYPT' ? new WrongPfxPassword() : error;
  }
  throw new RangeError(`unknown encryption scheme ${objectId(scheme)}`);
}

function decryptOwn(
  scheme: { cipher: string; keyBytes: number },
  parameters: DerElement | undefined,
  encrypted: Buffer,
  password: string,
): Buffer {
  const [salt, iterations] = children(parameters, DER.SEQUENCE);
  const derive = (purpose: 1 | 2, bytes: number) =>
    ownKdf({
      hash: 'sha1',
      purpose,
      secret: bmpString(password),
      salt: octets(salt),
      rounds: iterationCount(iterations),
      bytes,
    });
  const key = derive(1, scheme.keyBytes);
  const iv = derive(2, 8);
  if (scheme.cipher === 'rc2') return decryptRc2Cbc(key, iv, encrypted);
  const decipher = createDecipheriv(scheme.cipher, key, iv);
  return Buffer.concat([decipher.update(encrypted), decipher.final()]);
}

function decryptPbes2(parameters: DerElement | undefined, encrypted: Buffer, password: string): Buffer {
  const [kdf, encryption] = children(parameters, DER.SEQUENCE);
  const [kdfType, kdfParameters] = children(kdf, DER.SEQUENCE);
  if (objectId(kdfType) !== OID.pbkdf2) throw new RangeError(`unknown key derivation ${objectId(kdfType)}`);
  const [salt, iterations, ...optional] = children(kdfParameters, DER.SEQUENCE);
  const prf = optional.find((element) => element.tag === DER.SEQUENCE);
  const hash = prf === undefined ? 'sha1' : known(HMACS, children(prf)[0]);
  const [cipherType, iv] = children(encryption, DER.SEQUENCE);
  const cipher = known(CIPHERS, cipherType);
  const key = pbkdf2Sync(password, octets(salt), iterationCount(iterations), cipher.keyBytes, hash);
  const decipher = createDecipheriv(cipher.name, key, octets(iv));
  return Buffer.concat([decipher.update(encrypted), decipher.final()]);
}

/** RFC 7292 appendix B.2. Purpose: 1 key, 2 initial vector, 3 MAC key. */
function ownKdf(from: {
  hash: string;
  purpose: 1 | 2 | 3;
  secret: Buffer;
  salt: Buffer;
  rounds: number;
  bytes: number;
}): Buffer {
  const blockBytes = from.hash === 'sha384' || from.hash === 'sha512' ? 128 : 64;
  const diversifier = Buffer.alloc(blockBytes, from.purpose);
  const input = Buffer.concat([stretched(from.salt, blockBytes), stretched(from.secret, blockBytes)]);
  const parts: Buffer[] = [];
  for (let have = 0; have < from.bytes; ) {
    let digest = createHash(from.hash).update(diversifier).update(input).digest();
    for (let round = 1; round < from.rounds; round += 1) digest = createHash(from.hash).update(digest).digest();
    parts.push(digest);
    have += digest.length;
    const addend = Buffer.alloc(blockBytes);
    for (let i = 0; i < blockBytes; i += 1) addend[i] = digest[i % digest.length] as number;
    for (let at = 0; at < input.length; at += blockBytes) addOne(input.subarray(at, at + blockBytes), addend);
  }
  return Buffer.concat(parts).subarray(0, from.bytes);
}

/** block := block + addend + 1, big endian. */
function addOne(block: Buffer, addend: Buffer): void {
  let carry = 1;
  for (let i = block.length - 1; i >= 0; i -= 1) {
    const sum = (block[i] as number) + (addend[i] as number) + carry;
    block[i] = sum & 0xff;
    carry = sum >> 8;
  }
}

function stretched(bytes: Buffer, blockBytes: number): Buffer {
  if (bytes.length === 0) return bytes;
  const length = Math.ceil(bytes.length / blockBytes) * blockBytes;
  return Buffer.alloc(length, bytes);
}

/** UTF-16 big endian with a zero at the end. */
function bmpString(text: string): Buffer {
  return Buffer.from(`${text}\0`, 'utf16le').swap16();
}

function octets(element: DerElement | undefined): Buffer {
  if (element?.tag !== DER.OCTET_STRING) throw new RangeError('octet string expected');
  return element.content;
}

function iterationCount(element: DerElement | undefined): number {
  const count = smallInteger(element);
  if (count < 1 || count > MOST_ITERATIONS) throw new RangeError('iteration count out of range');
  return count;
}

function known<T>(map: ReadonlyMap<string, T>, id: DerElement | undefined): T {
  const value = map.get(objectId(id));
  if (value === undefined) throw new RangeError(`unknown algorithm ${objectId(id)}`);
  return value;
}

import { createDecipheriv, createHmac, timingSafeEqual } from 'node:crypto';
import { children, DER, type DerElement, objectId, readDer, smallInteger } from './der.js';
import { type KeyDerivation, pbkdf2, pkcs12Kdf, scryptKdf } from './key-derivation.js';

/** The content of a PFX file: DER of its private key (PKCS #8) and of its certificates. */
export interface Pkcs12Content {
  privateKeys: Buffer[];
  certificates: Buffer[];
}

/** The password does not open the file. */
export class WrongPfxPassword extends Error {}

/** The file is encrypted with RC2, which OpenSSL 3 no longer has. */
export class Rc2PfxError extends Error {}

/** The steps of reading a file: each yields a key to derive and gets the derived key back. */
type Steps<Result> = Generator<KeyDerivation, Result, Buffer>;

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
  scrypt: '1.3.6.1.4.1.11591.4.11',
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
/** The password-based scheme of PKCS #12 itself with SHA-1 and triple DES: Windows and OpenSSL before 3 write it. */
const TRIPLE_DES_SCHEME = '1.2.840.113549.1.12.1.3';
/** The same with RC2, 128 and 40 bit. */
const RC2_SCHEMES = new Set(['1.2.840.113549.1.12.1.5', '1.2.840.113549.1.12.1.6']);
/** Files have 1 to 600 thousand iterations; more would be an attack on the processor. */
const MOST_ITERATIONS = 2_000_000;
/** Bags inside bags; no tool writes more than one level. */
const DEEPEST = 4;

/**
 * Opens a PFX file step by step. Node can use one for TLS but does not export its key, and Entra requires an assertion
 * that is signed with it.
 *
 * @throws WrongPfxPassword, Rc2PfxError; RangeError for anything that is not a PFX file or uses another scheme
 */
export function* openPkcs12(file: Buffer, password: string): Steps<Pkcs12Content> {
  const [, authSafe, macData] = children(readDer(file)[0], DER.SEQUENCE);
  const safes = octets(contentOf(authSafe, OID.data));
  if (macData !== undefined) yield* checkMac(macData, safes, password);
  const content: Pkcs12Content = { privateKeys: [], certificates: [] };
  for (const info of children(readDer(safes)[0], DER.SEQUENCE)) {
    const [type] = children(info, DER.SEQUENCE);
    const encrypted = objectId(type) === OID.encryptedData;
    const bags = encrypted ? yield* decryptInfo(info, password) : octets(contentOf(info, OID.data));
    yield* readBags(bags, password, content, DEEPEST);
  }
  return content;
}

/** The private key (PKCS #8) in an `ENCRYPTED PRIVATE KEY` of a PEM file. @throws as {@link openPkcs12} */
export function* openEncryptedKey(der: Buffer, password: string): Steps<Buffer> {
  const [algorithm, encrypted] = children(readDer(der)[0], DER.SEQUENCE);
  return yield* decrypt(algorithm, encrypted?.content, password);
}

function* readBags(bytes: Buffer, password: string, into: Pkcs12Content, levels: number): Steps<void> {
  if (levels === 0) throw new RangeError('too many levels of bags');
  for (const bag of children(readDer(bytes)[0], DER.SEQUENCE)) {
    const [type, tagged] = children(bag, DER.SEQUENCE);
    const value = tagged === undefined ? undefined : readDer(tagged.content)[0];
    switch (objectId(type)) {
      case OID.keyBag:
        if (value !== undefined) into.privateKeys.push(value.whole);
        break;
      case OID.shroudedKeyBag: {
        const [algorithm, encrypted] = children(value, DER.SEQUENCE);
        into.privateKeys.push(yield* decrypt(algorithm, encrypted?.content, password));
        break;
      }
      case OID.certBag: {
        const [, certificate] = children(value, DER.SEQUENCE);
        if (certificate !== undefined) into.certificates.push(octets(readDer(certificate.content)[0]));
        break;
      }
      case OID.safeContentsBag:
        if (value !== undefined) yield* readBags(value.whole, password, into, levels - 1);
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

function* decryptInfo(info: DerElement, password: string): Steps<Buffer> {
  const [, encrypted] = children(contentOf(info, OID.encryptedData), DER.SEQUENCE);
  const [, algorithm, data] = children(encrypted, DER.SEQUENCE);
  return yield* decrypt(algorithm, data?.content, password);
}

function* checkMac(macData: DerElement, signed: Buffer, password: string): Steps<void> {
  const [digestInfo, salt, iterations] = children(macData, DER.SEQUENCE);
  const [algorithm, digest] = children(digestInfo, DER.SEQUENCE);
  const hash = known(HASHES, children(algorithm)[0]);
  const rounds = iterations === undefined ? 1 : iterationCount(iterations);
  const length = octets(digest).length;
  // The key has the length of the digest, and each block of it costs all iterations.
  if (length !== createHmac(hash, '').digest().length) throw new RangeError('wrong length of the MAC');
  // An empty password is written in two ways: no bytes, or two zeros.
  for (const secret of password === '' ? [bmpString(''), Buffer.alloc(0)] : [bmpString(password)]) {
    const key = yield pkcs12Kdf({ hash, purpose: 3, secret, salt: saltOf(salt), rounds, bytes: length });
    if (timingSafeEqual(createHmac(hash, key).update(signed).digest(), octets(digest))) return;
  }
  throw new WrongPfxPassword();
}

function* decrypt(algorithm: DerElement | undefined, encrypted: Buffer | undefined, password: string): Steps<Buffer> {
  const [scheme, parameters] = children(algorithm, DER.SEQUENCE);
  if (encrypted === undefined) throw new RangeError('nothing to decrypt');
  const id = objectId(scheme);
  if (RC2_SCHEMES.has(id)) throw new Rc2PfxError();
  if (id === TRIPLE_DES_SCHEME) return yield* decryptTripleDes(parameters, encrypted, password);
  if (id === OID.pbes2) return yield* decryptPbes2(parameters, encrypted, password);
  throw new RangeError(`unknown encryption scheme ${id}`);
}

function* decryptTripleDes(parameters: DerElement | undefined, encrypted: Buffer, password: string): Steps<Buffer> {
  const [salt, iterations] = children(parameters, DER.SEQUENCE);
  const from = {
    hash: 'sha1',
    secret: bmpString(password),
    salt: saltOf(salt),
    rounds: iterationCount(iterations),
  };
  const key = yield pkcs12Kdf({ ...from, purpose: 1, bytes: 24 });
  const iv = yield pkcs12Kdf({ ...from, purpose: 2, bytes: 8 });
  return decipher('des-ede3-cbc', key, iv, encrypted);
}

function* decryptPbes2(parameters: DerElement | undefined, encrypted: Buffer, password: string): Steps<Buffer> {
  const [kdf, encryption] = children(parameters, DER.SEQUENCE);
  const [kdfType, kdfParameters] = children(kdf, DER.SEQUENCE);
  const [cipherType, iv] = children(encryption, DER.SEQUENCE);
  const cipher = known(CIPHERS, cipherType);
  const [salt, cost, ...optional] = children(kdfParameters, DER.SEQUENCE);
  switch (objectId(kdfType)) {
    case OID.pbkdf2: {
      const prf = optional.find((element) => element.tag === DER.SEQUENCE);
      const hash = prf === undefined ? 'sha1' : known(HMACS, children(prf)[0]);
      const key = yield pbkdf2({
        password,
        salt: saltOf(salt),
        rounds: iterationCount(cost),
        bytes: cipher.keyBytes,
        hash,
      });
      return decipher(cipher.name, key, octets(iv), encrypted);
    }
    case OID.scrypt: {
      const [r, p] = optional;
      const [N, blockSize, parallel] = [smallInteger(cost), smallInteger(r), smallInteger(p)];
      const key = yield scryptKdf({
        password,
        salt: saltOf(salt),
        N,
        r: blockSize,
        p: parallel,
        bytes: cipher.keyBytes,
      });
      return decipher(cipher.name, key, octets(iv), encrypted);
    }
    default:
      throw new RangeError(`unknown key derivation ${objectId(kdfType)}`);
  }
}

function decipher(cipher: string, key: Buffer, iv: Buffer, encrypted: Buffer): Buffer {
  try {
    const stream = createDecipheriv(cipher, key, iv);
    return Buffer.concat([stream.update(encrypted), stream.final()]);
  } catch (error) {
    // Wrong padding: a file without a MAC has no other sign of a wrong password.
    throw (error as NodeJS.ErrnoException).code === 'ERR_OSSL_BAD_DECRYPT' ? new WrongPfxPassword() : error;
  }
}

/** UTF-16 big endian with a zero at the end. */
function bmpString(text: string): Buffer {
  return Buffer.from(`${text}\0`, 'utf16le').swap16();
}

function octets(element: DerElement | undefined): Buffer {
  if (element?.tag !== DER.OCTET_STRING) throw new RangeError('octet string expected');
  return element.content;
}

/** Salts have 8 to 64 bytes; each step of the key derivation hashes the salt. */
const LONGEST_SALT = 1_024;

function saltOf(element: DerElement | undefined): Buffer {
  const salt = octets(element);
  if (salt.length > LONGEST_SALT) throw new RangeError('salt too long');
  return salt;
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

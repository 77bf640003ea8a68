import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { ConfigurationError } from '../errors.js';

/** 32 random bytes: a Buffer, or base64 or hex text (`openssl rand -base64 32`). */
export type StoreKey = string | Uint8Array;

const KEY_BYTES = 32;
/** AES-GCM as NIST SP 800-38D recommends it: a random nonce of 96 bits, a tag of 128. */
const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** First byte of an entry: the version of its format. */
const VERSION = 1;

/**
 * Keeps entries unreadable to anyone with access to the store, and detects changes: AES-256-GCM under a key that the
 * store never sees. A name is a keyed hash (HMAC-SHA256) of what the entry is about, which is also the associated data
 * of the encryption: an entry moved to another name cannot be decrypted.
 */
export class EntryCipher {
  readonly #encryption: KeyObject;
  readonly #names: KeyObject;

  /** @throws ConfigurationError for anything but 32 bytes */
  constructor(key: StoreKey) {
    const bytes = keyBytes(key);
    // A separate key for each use (RFC 5869).
    this.#encryption = derive(bytes, 'mssql-token-pool 1 entries');
    this.#names = derive(bytes, 'mssql-token-pool 1 names');
  }

  nameOf(subject: string): string {
    return createHmac('sha256', this.#names).update(subject).digest('base64url');
  }

  seal(text: string, subject: string): string {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, this.#encryption, nonce).setAAD(Buffer.from(subject));
    const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
    return Buffer.concat([Buffer.from([VERSION]), nonce, cipher.getAuthTag(), sealed]).toString('base64');
  }

  /** @throws Error for an entry that was changed, truncated, written under another key, or written for another name */
  open(entry: string, subject: string): string {
    const bytes = Buffer.from(entry, 'base64');
    const start = 1 + NONCE_BYTES + TAG_BYTES;
    if (bytes.length < start || bytes[0] !== VERSION) throw new Error('It is not an entry of this library.');
    const decipher = createDecipheriv(CIPHER, this.#encryption, bytes.subarray(1, 1 + NONCE_BYTES), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(Buffer.from(subject)).setAuthTag(bytes.subarray(1 + NONCE_BYTES, start));
    return decipher.update(bytes.subarray(start), undefined, 'utf8') + decipher.final('utf8');
  }
}

function keyBytes(key: unknown): Uint8Array {
  const bytes = key instanceof Uint8Array ? key : typeof key === 'string' ? decoded(key.trim()) : undefined;
  if (bytes?.length === KEY_BYTES) return bytes;
  throw new ConfigurationError('A key of the token store must be 32 bytes: a Buffer, or base64 or hex text.', {
    hint: 'Create one with: openssl rand -base64 32',
  });
}

function decoded(text: string): Uint8Array | undefined {
  if (/^[0-9a-f]{64}$/i.test(text)) return Buffer.from(text, 'hex');
  return /^[\w+/-]{43}=?$/.test(text) ? Buffer.from(text, 'base64') : undefined;
}

function derive(key: Uint8Array, use: string): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync('sha256', key, '', use, KEY_BYTES)));
}

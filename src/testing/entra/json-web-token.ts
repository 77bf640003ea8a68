import {
  constants,
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { promisify } from 'node:util';

/** A public signing key as `jwks_uri` lists it (RFC 7517). */
export interface PublicJsonWebKey {
  kty: string;
  kid: string;
  use: 'sig';
  /** Thumbprint named by token headers; here equal to `kid`. */
  x5t: string;
  n: string;
  e: string;
}

/** The response of `jwks_uri`. */
export interface JsonWebKeySet {
  keys: readonly PublicJsonWebKey[];
}

/** A signing key pair of the emulator. */
export interface SigningKey {
  readonly privateKey: KeyObject;
  readonly jwk: PublicJsonWebKey;
}

/** Both halves of a token, decoded but not verified. */
export interface DecodedToken {
  header: Record<string, unknown>;
  claims: Record<string, unknown>;
}

export type SignatureAlgorithm = 'RS256' | 'PS256';

/** A signing key that may still be under generation. */
export interface SigningKeySource {
  /** Resolves when {@link get} no longer has to wait. */
  readonly ready: Promise<unknown>;
  /** Returns the key, generating it synchronously if it is not ready. */
  get(): SigningKey;
}

let shared: SigningKeySource | undefined;

/**
 * One key for all emulators of a process, generated in parallel with the rest of the startup, which takes a tenth of the
 * time. Tokens of different emulators still differ by issuer. The key is never shipped with the package, because anyone
 * could then sign tokens with it.
 */
export function sharedSigningKey(): SigningKeySource {
  shared ??= keyInTheMaking();
  return shared;
}

function keyInTheMaking(): SigningKeySource {
  let key: SigningKey | undefined;
  const ready = makeSigningKey().then((made) => {
    key ??= made;
  });
  return {
    ready,
    get: () => {
      key ??= signingKeyOf(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey);
      return key;
    },
  };
}

export function readySigningKey(key: SigningKey): SigningKeySource {
  return { ready: Promise.resolve(), get: () => key };
}

async function makeSigningKey(): Promise<SigningKey> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 });
  return signingKeyOf(privateKey);
}

/** Generates a separate key, for a rotation. */
export async function newSigningKey(): Promise<SigningKeySource> {
  return readySigningKey(await makeSigningKey());
}

/** @throws TypeError if it is not an RSA private key */
export function readSigningKey(pem: string): SigningKeySource {
  let key: KeyObject | undefined;
  try {
    key = createPrivateKey(pem);
  } catch {
    // Reported below, because the parser's message may quote the key.
  }
  if (key?.asymmetricKeyType !== 'rsa') throw new TypeError('signingKey must be an RSA private key in PEM form');
  return readySigningKey(signingKeyOf(key));
}

function signingKeyOf(privateKey: KeyObject): SigningKey {
  const { n = '', e = '' } = createPublicKey(privateKey).export({ format: 'jwk' });
  // Any stable name works; Entra's are 27 characters as well.
  return { privateKey, jwk: { kty: 'RSA', use: 'sig', kid: n.slice(0, 27), x5t: n.slice(0, 27), n, e } };
}

export function signToken(claims: object, key: SigningKey): string {
  const header = { typ: 'JWT', alg: 'RS256', x5t: key.jwk.kid, kid: key.jwk.kid };
  const signed = `${base64url(header)}.${base64url(claims)}`;
  return `${signed}.${sign('sha256', Buffer.from(signed), key.privateKey).toString('base64url')}`;
}

/** Undefined if the text is not a JWT. */
export function decodeToken(token: string): DecodedToken | undefined {
  const parts = token.split('.');
  if (parts.length !== 3) return undefined;
  const [header, claims] = parts.slice(0, 2).map(fromBase64url);
  return header === undefined || claims === undefined ? undefined : { header, claims };
}

export function isSignedBy(token: string, key: KeyObject, algorithm: SignatureAlgorithm): boolean {
  const end = token.lastIndexOf('.');
  const signature = Buffer.from(token.slice(end + 1), 'base64url');
  const padding =
    algorithm === 'PS256'
      ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
      : { padding: constants.RSA_PKCS1_PADDING };
  return verify('sha256', Buffer.from(token.slice(0, end)), { key, ...padding }, signature);
}

/** Whether the RS256 signature matches the key that the token names. */
export function isSignedByOneOf(token: string, header: Record<string, unknown>, keys: JsonWebKeySet): boolean {
  const jwk = keys.keys.find((key) => key.kid === header.kid);
  if (jwk === undefined || header.alg !== 'RS256') return false;
  return isSignedBy(token, createPublicKey({ key: { ...jwk } satisfies JsonWebKey, format: 'jwk' }), 'RS256');
}

function base64url(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url');
}

function fromBase64url(part: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

import { createHash } from 'node:crypto';
import type { TokenCredential } from './credential.js';

/**
 * The identity of a credential, as a key. Two credentials with the same key get the same tokens, so they share one
 * cache (P3: one request in flight per identity and scope in a process); two with different keys never do (P9).
 *
 * Our own credentials register a key made from everything that decides their tokens. It belongs to their `getToken`
 * function, because ORMs clone plain objects but keep functions by reference. Every other credential is identified by
 * the object: its `getToken` may be a function that many objects share and that reads `this`.
 */
const keys = new WeakMap<object, string>();
/** Keys that mean the same principal in every process and on every machine. */
const portableKeys = new WeakMap<object, string>();
let anonymous = 0;

export interface IdentityParts {
  method: string;
  /** Everything that decides which tokens the credential gets. May hold secrets; only a hash is kept. */
  parts: readonly unknown[];
  /** The part that the environment decides. */
  environment?: object | undefined;
  /** `parts` alone name the same principal in every process and on every machine. */
  portable?: boolean | undefined;
}

/**
 * Registers the identity of a credential made of closures. A function or an object among `parts` stands for itself: two
 * that look alike are two identities.
 */
export function registerIdentity(credential: TokenCredential, identity: IdentityParts): void {
  const { method, parts, environment, portable = false } = identity;
  const written = parts.map((part) => (isReference(part) ? { reference: numberOf(part) } : (part ?? null)));
  const key = (content: unknown) => `${method}:${fingerprint(JSON.stringify(content))}`;
  keys.set(credential.getToken, key(environment === undefined ? written : [written, environment]));
  // This process numbers references; another process may give the same number to another object.
  if (portable && !parts.some(isReference)) portableKeys.set(credential.getToken, key(written));
}

/** Makes one of our credentials stand for another credential: both use one token cache. */
export function shareIdentity(credential: TokenCredential, other: TokenCredential): void {
  keys.set(credential.getToken, identityOf(other));
  const portable = portableIdentityOf(other);
  if (portable !== undefined) portableKeys.set(credential.getToken, portable);
}

/** The key of a credential's identity. It stays the same for the life of the object. */
export function identityOf(credential: TokenCredential): string {
  const registered = keys.get(credential.getToken) ?? keys.get(credential);
  if (registered !== undefined) return registered;
  anonymous += 1;
  const key = `credential:${anonymous}`;
  keys.set(credential, key);
  return key;
}

/**
 * The key of a credential's identity, if it means the same principal in every process and on every machine. Undefined
 * if it does not (`system-assigned` is a different identity on each host) or if that is unknown (P9).
 */
export function portableIdentityOf(credential: TokenCredential): string | undefined {
  return portableKeys.get(credential.getToken);
}

/** Short hash that names a secret or token in logs, events and keys. 96 bits of SHA-256. */
export function fingerprint(secret: string): string {
  return createHash('sha256').update(secret).digest('base64url').slice(0, 16);
}

const numbers = new WeakMap<object, number>();
let numbered = 0;

function isReference(part: unknown): part is object {
  return typeof part === 'function' || (typeof part === 'object' && part !== null);
}

function numberOf(part: object): number {
  let number = numbers.get(part);
  if (number === undefined) {
    numbered += 1;
    number = numbered;
    numbers.set(part, number);
  }
  return number;
}

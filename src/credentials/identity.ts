import { createHash } from 'node:crypto';
import type { TokenCredential } from './credential.js';

/**
 * Who a credential is, as a key: two credentials with the same key would get the same tokens, so they share one cache
 * (P3: one request in flight per identity and scope in a process), and two with different keys never do (P9).
 *
 * Our own credentials register a key built from everything that decides their tokens. Everybody else's credential is its
 * own identity. The key hangs on the `getToken` function where the object owns it, because ORMs clone plain objects but
 * keep functions by reference; on the object itself where `getToken` comes from a class.
 */
const keys = new WeakMap<object, string>();
/** Credentials whose key means the same principal in every process and on every machine. */
const portable = new WeakSet<object>();
let anonymous = 0;

/**
 * Registers the identity of a credential made of closures. `parts` may hold secrets; only their hash is kept. A function
 * or an object among them stands for itself: two that look alike are two identities.
 */
export function registerIdentity(
  credential: TokenCredential,
  method: string,
  parts: readonly unknown[],
  sameEverywhere = false,
): void {
  const written = parts.map((part) => (isReference(part) ? { reference: numberOf(part) } : (part ?? null)));
  const at = anchor(credential);
  keys.set(at, `${method}:${fingerprint(JSON.stringify(written))}`);
  // A reference is numbered by this process; another one may give its number to something else.
  if (sameEverywhere && !parts.some(isReference)) portable.add(at);
}

/** Makes a credential stand for another one: both have one token cache. */
export function shareIdentity(credential: TokenCredential, other: TokenCredential): void {
  keys.set(anchor(credential), identityOf(other));
  if (portable.has(anchor(other))) portable.add(anchor(credential));
}

/** The key of a credential's identity; stable for the life of the object. */
export function identityOf(credential: TokenCredential): string {
  const at = anchor(credential);
  let key = keys.get(at);
  if (key === undefined) {
    anonymous += 1;
    key = `credential:${anonymous}`;
    keys.set(at, key);
  }
  return key;
}

/**
 * The key of a credential's identity where it means the same principal in every process and on every machine; undefined
 * where it does not (`system-assigned` is another identity on each host) or where nobody can tell (P9).
 */
export function portableIdentityOf(credential: TokenCredential): string | undefined {
  return portable.has(anchor(credential)) ? identityOf(credential) : undefined;
}

/** Short hash by which a secret or token may be named in logs, events and keys. 96 bits of SHA-256. */
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

function anchor(credential: TokenCredential): object {
  return Object.hasOwn(credential, 'getToken') ? credential.getToken : credential;
}

import { createHash, pbkdf2 as cryptoPbkdf2, scrypt as cryptoScrypt, pbkdf2Sync, scryptSync } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { promisify } from 'node:util';

/**
 * One key to derive from a password. The file sets the number of rounds, which may take seconds. So there are two ways
 * to run it: synchronously, or without blocking the event loop.
 */
export interface KeyDerivation {
  /** Relative cost: rounds of a hash. */
  cost: number;
  now(): Buffer;
  later(): Promise<Buffer>;
}

/** About 10 ms on a small machine. */
export const COST_WITHOUT_BLOCKING = 10_000;

/** Runs the steps without blocking the event loop. */
export async function runLater<Result>(steps: Generator<KeyDerivation, Result, Buffer>): Promise<Result> {
  let step = steps.next();
  while (step.done !== true) step = steps.next(await step.value.later());
  return step.value;
}

/** Runs the steps synchronously if that is cheap. @returns undefined if it is not */
export function runNow<Result>(steps: Generator<KeyDerivation, Result, Buffer>): Result | undefined {
  let cost = 0;
  let step = steps.next();
  while (step.done !== true) {
    cost += step.value.cost;
    if (cost > COST_WITHOUT_BLOCKING) return undefined;
    step = steps.next(step.value.now());
  }
  return step.value;
}

/** RFC 8018 section 5.2. */
export function pbkdf2(from: {
  password: string;
  salt: Buffer;
  rounds: number;
  bytes: number;
  hash: string;
}): KeyDerivation {
  const { password, salt, rounds, bytes, hash } = from;
  return {
    cost: rounds,
    now: () => pbkdf2Sync(password, salt, rounds, bytes, hash),
    later: () => promisify(cryptoPbkdf2)(password, salt, rounds, bytes, hash),
  };
}

/** OpenSSL's own limit for scrypt is 32 MiB. */
const MOST_MEMORY = 64 * 1024 * 1024;

/** RFC 7914. @throws RangeError for parameters that take more than 64 MiB */
export function scryptKdf(from: {
  password: string;
  salt: Buffer;
  N: number;
  r: number;
  p: number;
  bytes: number;
}): KeyDerivation {
  const { password, salt, N, r, p, bytes } = from;
  if (128 * N * r > MOST_MEMORY / 2 || p > 16) throw new RangeError('scrypt parameters out of range');
  const options = { N, r, p, maxmem: MOST_MEMORY };
  return {
    cost: N * r * p,
    now: () => scryptSync(password, salt, bytes, options),
    later: () =>
      new Promise((resolve, reject) => {
        cryptoScrypt(password, salt, bytes, options, (error, key) => (error === null ? resolve(key) : reject(error)));
      }),
  };
}

interface Pkcs12KdfInput {
  hash: string;
  /** 1 key, 2 initial vector, 3 MAC key. */
  purpose: 1 | 2 | 3;
  secret: Buffer;
  salt: Buffer;
  rounds: number;
  bytes: number;
}

/** RFC 7292 appendix B.2. */
export function pkcs12Kdf(from: Pkcs12KdfInput): KeyDerivation {
  return {
    cost: from.rounds,
    now() {
      const steps = pkcs12Rounds(from, Number.POSITIVE_INFINITY);
      const step = steps.next();
      return step.value as Buffer;
    },
    async later() {
      for (const steps = pkcs12Rounds(from, COST_WITHOUT_BLOCKING); ; ) {
        const step = steps.next();
        if (step.done === true) return step.value;
        await nextTurn();
      }
    },
  };
}

/** The number of rounds between pauses. */
function* pkcs12Rounds(from: Pkcs12KdfInput, roundsAtOnce: number): Generator<undefined, Buffer> {
  const blockBytes = from.hash === 'sha384' || from.hash === 'sha512' ? 128 : 64;
  const diversifier = Buffer.alloc(blockBytes, from.purpose);
  const input = Buffer.concat([stretched(from.salt, blockBytes), stretched(from.secret, blockBytes)]);
  const parts: Buffer[] = [];
  for (let have = 0; have < from.bytes; ) {
    let digest = createHash(from.hash).update(diversifier).update(input).digest();
    for (let round = 1; round < from.rounds; round += 1) {
      digest = createHash(from.hash).update(digest).digest();
      if (round % roundsAtOnce === 0) yield;
    }
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

import type { Random } from '../support/random.js';

export function randomBytes(random: Random, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => random.whole(0, 255)));
}

/** A copy with up to `count` bytes changed. */
export function damaged(random: Random, bytes: Buffer, count: number): Buffer {
  const copy = Buffer.from(bytes);
  for (let i = 0; i < count && copy.length > 0; i += 1) copy[random.whole(0, copy.length - 1)] = random.whole(0, 255);
  return copy;
}

/** RFC 2268 section 2: digits of pi, for the key expansion. */
const PI_TABLE = Buffer.from(
  'd978f9c419ddb5ed28e9fd794aa0d89dc67e37832b76538e624c6488448bfba2179a59f587b34f1361456d8d09817d32' +
    'bd8f40eb86b77b0bf09521225c6b4e8254d66593ce60b21c7356c014a78cf1dc1275ca1f3bbee4d1423dd430a33cb626' +
    '6fbf0eda4669075727f21d9bbc944303f811c7f690ef3ee706c3d52fc8661ed708e8eade8052eef784aa72ac354d6a2a' +
    '961ad2715a1549744b9fd05e0418a4ecc2e0416e0f51cbcc2491af50a1f47039997c3a8523b8b47afc02365b25559731' +
    '2d5dfa98e38a92ae05df2910676cbac9d300e6cfe19ea82c6316013f58e289a90d38341bab33ffb0bb480c5fb9b1cd2e' +
    'c5f3db47e5a59c770aa62068fe7fc1ad',
  'hex',
);
const ROTATIONS = [1, 2, 3, 5];

/**
 * Decrypts RC2 in CBC mode (RFC 2268), which OpenSSL 3 has put away and old PFX files still use for their certificates.
 * For reading them only.
 */
export function decryptRc2Cbc(key: Buffer, iv: Buffer, encrypted: Buffer): Buffer {
  const schedule = expandKey(key);
  const plain = Buffer.alloc(encrypted.length);
  let previous = iv;
  for (let at = 0; at + 8 <= encrypted.length; at += 8) {
    const block = encrypted.subarray(at, at + 8);
    const decrypted = decryptBlock(block, schedule);
    for (let i = 0; i < 8; i += 1) plain[at + i] = (decrypted[i] as number) ^ (previous[i] as number);
    previous = block;
  }
  const padding = plain.at(-1) ?? 0;
  if (padding < 1 || padding > 8) throw new RangeError('wrong padding');
  return plain.subarray(0, plain.length - padding);
}

function expandKey(key: Buffer): Uint16Array {
  const pi = (i: number) => PI_TABLE[i & 0xff] as number;
  const bytes = Buffer.alloc(128);
  key.copy(bytes);
  const effective = key.length;
  for (let i = key.length; i < 128; i += 1) {
    bytes[i] = pi((bytes[i - 1] as number) + (bytes[i - key.length] as number));
  }
  bytes[128 - effective] = pi(bytes[128 - effective] as number);
  for (let i = 127 - effective; i >= 0; i -= 1) {
    bytes[i] = pi((bytes[i + 1] as number) ^ (bytes[i + effective] as number));
  }
  return Uint16Array.from({ length: 64 }, (_, i) => bytes.readUInt16LE(i * 2));
}

function decryptBlock(block: Buffer, schedule: Uint16Array): Buffer {
  const r = [0, 2, 4, 6].map((at) => block.readUInt16LE(at));
  const word = (i: number) => r[(i + 4) % 4] as number;
  let next = 63;
  const mix = () => {
    for (let i = 3; i >= 0; i -= 1) {
      const turn = ROTATIONS[i] as number;
      const rotated = ((word(i) >>> turn) | (word(i) << (16 - turn))) & 0xffff;
      const sum = (schedule[next] as number) + (word(i - 1) & word(i - 2)) + (~word(i - 1) & word(i - 3));
      r[i] = (rotated - sum) & 0xffff;
      next -= 1;
    }
  };
  const mash = () => {
    for (let i = 3; i >= 0; i -= 1) r[i] = (word(i) - (schedule[word(i - 1) & 63] as number)) & 0xffff;
  };
  for (const rounds of [5, 6, 5]) {
    if (rounds !== 5 || next !== 63) mash();
    for (let round = 0; round < rounds; round += 1) mix();
  }
  const plain = Buffer.alloc(8);
  for (const [i, value] of r.entries()) plain.writeUInt16LE(value, i * 2);
  return plain;
}

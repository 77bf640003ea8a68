/**
 * Code page 1252, which varchar has in SQL Server's default collation. TextDecoder is not used, because some versions of Node.js
 * decode windows-1252 as Latin-1.
 */

/** The characters of 0x80 to 0x9F, where the code page differs from Latin-1; five of them are not assigned. */
const EXTRAS = '€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ';
const FIRST = 0x80;
const BYTES = new Map([...EXTRAS].map((character, i) => [character, FIRST + i]));

export function encodeCp1252(text: string): Buffer {
  const bytes = Buffer.allocUnsafe(text.length);
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    const same = code < FIRST || (code >= 0xa0 && code <= 0xff);
    bytes[i] = same ? code : (BYTES.get(text.charAt(i)) ?? 0x3f);
  }
  return bytes;
}

export function decodeCp1252(bytes: Buffer): string {
  const text = bytes.toString('latin1');
  return text.replaceAll(/[\u0080-\u009f]/g, (character) => EXTRAS.charAt(character.charCodeAt(0) - FIRST));
}

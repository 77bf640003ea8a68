import { ProtocolError } from './packet.js';

/** Reads little-endian fields from a buffer. Reading past the end throws a {@link ProtocolError}: the peer sent too little. */
export class ByteReader {
  readonly #buffer: Buffer;
  #at: number;

  constructor(buffer: Buffer, at = 0) {
    this.#buffer = buffer;
    this.#at = at;
  }

  get position(): number {
    return this.#at;
  }

  get remaining(): number {
    return this.#buffer.length - this.#at;
  }

  seek(position: number): void {
    if (position < 0 || position > this.#buffer.length)
      throw new ProtocolError(`offset ${position} is outside the message`);
    this.#at = position;
  }

  bytes(length: number): Buffer {
    const from = this.#take(length);
    return this.#buffer.subarray(from, from + length);
  }

  uint8(): number {
    return this.#buffer.readUInt8(this.#take(1));
  }

  uint16(): number {
    return this.#buffer.readUInt16LE(this.#take(2));
  }

  uint16be(): number {
    return this.#buffer.readUInt16BE(this.#take(2));
  }

  uint32(): number {
    return this.#buffer.readUInt32LE(this.#take(4));
  }

  int32(): number {
    return this.#buffer.readInt32LE(this.#take(4));
  }

  uint64(): bigint {
    return this.#buffer.readBigUInt64LE(this.#take(8));
  }

  /** `characters` UTF-16 characters. */
  ucs2(characters: number): string {
    return this.bytes(characters * 2).toString('utf16le');
  }

  /** Text preceded by a one-byte character count. */
  shortText(): string {
    return this.ucs2(this.uint8());
  }

  /** Text preceded by a two-byte character count. */
  longText(): string {
    return this.ucs2(this.uint16());
  }

  #take(length: number): number {
    const from = this.#at;
    if (length < 0 || length > this.#buffer.length - from) {
      throw new ProtocolError(`the message ends ${length - (this.#buffer.length - from)} bytes too early`);
    }
    this.#at = from + length;
    return from;
  }
}

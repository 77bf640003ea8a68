/** A buffer that grows as little-endian fields are written to it. */
export class ByteWriter {
  #buffer: Buffer;
  #length = 0;

  constructor(initialBytes = 512) {
    this.#buffer = Buffer.allocUnsafe(initialBytes);
  }

  get length(): number {
    return this.#length;
  }

  /** The bytes written so far; valid until the next write. */
  view(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Drops the first `count` bytes. */
  drop(count: number): void {
    this.#buffer.copyWithin(0, count, this.#length);
    this.#length -= count;
  }

  /** Removes `count` bytes at `at`. */
  remove(at: number, count: number): void {
    this.#buffer.copyWithin(at, at + count, this.#length);
    this.#length -= count;
  }

  uint8(value: number): this {
    const at = this.#grow(1);
    this.#buffer[at] = value;
    return this;
  }

  uint16(value: number): this {
    const at = this.#grow(2);
    this.#buffer.writeUInt16LE(value & 0xffff, at);
    return this;
  }

  uint16be(value: number): this {
    const at = this.#grow(2);
    this.#buffer.writeUInt16BE(value, at);
    return this;
  }

  int16(value: number): this {
    const at = this.#grow(2);
    this.#buffer.writeInt16LE(value, at);
    return this;
  }

  uint24(value: number): this {
    const at = this.#grow(3);
    this.#buffer.writeUIntLE(value, at, 3);
    return this;
  }

  uint32(value: number): this {
    const at = this.#grow(4);
    this.#buffer.writeUInt32LE(value >>> 0, at);
    return this;
  }

  uint32be(value: number): this {
    const at = this.#grow(4);
    this.#buffer.writeUInt32BE(value >>> 0, at);
    return this;
  }

  int32(value: number): this {
    const at = this.#grow(4);
    this.#buffer.writeInt32LE(value, at);
    return this;
  }

  uint40(value: number): this {
    const at = this.#grow(5);
    this.#buffer.writeUIntLE(value, at, 5);
    return this;
  }

  int64(value: bigint): this {
    const at = this.#grow(8);
    this.#buffer.writeBigInt64LE(value, at);
    return this;
  }

  uint64(value: bigint): this {
    const at = this.#grow(8);
    this.#buffer.writeBigUInt64LE(value, at);
    return this;
  }

  float(value: number): this {
    const at = this.#grow(4);
    this.#buffer.writeFloatLE(value, at);
    return this;
  }

  double(value: number): this {
    const at = this.#grow(8);
    this.#buffer.writeDoubleLE(value, at);
    return this;
  }

  bytes(value: Uint8Array): this {
    const at = this.#grow(value.length);
    this.#buffer.set(value, at);
    return this;
  }

  ucs2(text: string): this {
    const at = this.#grow(text.length * 2);
    this.#buffer.write(text, at, 'utf16le');
    return this;
  }

  /** Text preceded by a one-byte character count; truncated at 255. */
  shortText(text: string): this {
    const cut = text.slice(0, 0xff);
    return this.uint8(cut.length).ucs2(cut);
  }

  /** Text preceded by a two-byte character count; truncated at 65,535. */
  longText(text: string): this {
    const cut = text.slice(0, 0xffff);
    return this.uint16(cut.length).ucs2(cut);
  }

  /** Reserves a 16-bit length that {@link patchUint16} fills in; returns its position. */
  reserveUint16(): number {
    return this.#grow(2);
  }

  /** Writes the number of bytes after `at` to `at`. */
  patchUint16(at: number): void {
    this.#buffer.writeUInt16LE(this.#length - at - 2, at);
  }

  reserveUint32(): number {
    return this.#grow(4);
  }

  patchUint32(at: number): void {
    this.#buffer.writeUInt32LE(this.#length - at - 4, at);
  }

  /** Must be its own statement: `this.#buffer.write(x, this.#grow(n))` would write to the old buffer. */
  #grow(count: number): number {
    const from = this.#length;
    const needed = from + count;
    if (needed > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
      this.#buffer.copy(larger, 0, 0, from);
      this.#buffer = larger;
    }
    this.#length = needed;
    return from;
  }
}

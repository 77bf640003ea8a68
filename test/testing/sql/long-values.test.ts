import { expect, test } from 'vitest';
import { ByteReader } from '../../../src/testing/tds/byte-reader.js';
import { ByteWriter } from '../../../src/testing/tds/byte-writer.js';
import { MAX, type SqlType } from '../../../src/testing/tds/data-type.js';
import { valueWriter } from '../../../src/testing/tds/wire-type.js';

/** The lengths of the chunks of a long value, and its bytes. */
function chunksOf(type: SqlType, value: string | Buffer): { total: bigint; lengths: number[]; bytes: Buffer } {
  const writer = new ByteWriter(1024);
  valueWriter(type)(writer, value);
  const reader = new ByteReader(Buffer.from(writer.view()));
  const total = reader.uint64();
  const chunks: Buffer[] = [];
  for (let length = reader.uint32(); length > 0; length = reader.uint32()) chunks.push(reader.bytes(length));
  expect(reader.remaining).toBe(0);
  return { total, lengths: chunks.map(({ length }) => length), bytes: Buffer.concat(chunks) };
}

test.each([
  [0, []],
  [1, [1]],
  [8_000, [8_000]],
  [8_001, [8_000, 1]],
  [20_000, [8_000, 8_000, 4_000]],
])('a long value of %i bytes is sent in small chunks, which clients join in linear time', (size, lengths) => {
  const value = Buffer.alloc(size, 'ab');
  const type: SqlType = { name: 'varbinary', length: MAX };
  expect(chunksOf(type, value)).toEqual({ total: BigInt(size), lengths, bytes: value });
});

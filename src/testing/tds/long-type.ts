import type { ByteWriter } from './byte-writer.js';
import type { Scalar, SqlType } from './data-type.js';
import { COLLATION, codePage } from './wire-type.js';

/**
 * text, ntext and image as clients before TDS 7.2 read them ([MS-TDS] 2.2.5.4.3): each value follows a text pointer and a
 * timestamp. Later clients get the MAX types instead.
 */
interface LongType {
  id: number;
  /** Bytes of the longest value. */
  longest: number;
  encode(value: Scalar): Buffer;
}

const TYPES: Readonly<Partial<Record<string, LongType>>> = {
  text: { id: 0x23, longest: 0x7fffffff, encode: codePage },
  ntext: { id: 0x63, longest: 0x7ffffffe, encode: (value) => Buffer.from(value as string, 'utf16le') },
  image: { id: 0x22, longest: 0x7fffffff, encode: (value) => value as Buffer },
};
const TEXT_POINTER = Buffer.from('dummy textptr\0\0\0');
const TIMESTAMP = Buffer.from('dummyTS\0');

export function isLongType({ name }: SqlType): boolean {
  return TYPES[name] !== undefined;
}

export function writeLongTypeInfo(writer: ByteWriter, { name }: SqlType): void {
  const { id, longest } = TYPES[name] as LongType;
  writer.uint8(id).uint32(longest);
  if (name !== 'image') writer.bytes(COLLATION);
  // The table, whose name is unknown here.
  writer.uint16(0);
}

export function longValueWriter({ name }: SqlType): (writer: ByteWriter, value: Scalar) => void {
  const { encode } = TYPES[name] as LongType;
  return (writer, value) => {
    if (value === null) {
      writer.uint8(0);
      return;
    }
    const bytes = encode(value);
    writer.uint8(TEXT_POINTER.length).bytes(TEXT_POINTER).bytes(TIMESTAMP).uint32(bytes.length).bytes(bytes);
  };
}

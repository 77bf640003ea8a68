import type { ByteReader } from './byte-reader.js';
import type { ByteWriter } from './byte-writer.js';
import { decodeCp1252, encodeCp1252 } from './code-page-1252.js';
import {
  DAYS_TO_1900,
  MAX,
  type Moment,
  type Scalar,
  type SqlType,
  type SqlValue,
  type TypeName,
} from './data-type.js';
import { ProtocolError } from './packet.js';

/**
 * Data types on the wire ([MS-TDS] 2.2.5.4 and 2.2.5.5): TYPE_INFO, then the value. The reader accepts every type that a
 * client may send as a parameter; the writer uses the nullable form of each.
 */

/** SQL_Latin1_General_CP1_CI_AS: code page 1252. */
export const COLLATION = Buffer.from([0x09, 0x04, 0xd0, 0x00, 0x34]);

const Id = {
  Null: 0x1f,
  Image: 0x22,
  Text: 0x23,
  Guid: 0x24,
  IntN: 0x26,
  Date: 0x28,
  Time: 0x29,
  DateTime2: 0x2a,
  DateTimeOffset: 0x2b,
  TinyInt: 0x30,
  Bit: 0x32,
  SmallInt: 0x34,
  Int: 0x38,
  SmallDateTime: 0x3a,
  Real: 0x3b,
  Money: 0x3c,
  DateTime: 0x3d,
  Float: 0x3e,
  SqlVariant: 0x62,
  NText: 0x63,
  BitN: 0x68,
  DecimalN: 0x6a,
  NumericN: 0x6c,
  FloatN: 0x6d,
  MoneyN: 0x6e,
  DateTimeN: 0x6f,
  SmallMoney: 0x7a,
  BigInt: 0x7f,
  VarBinary: 0xa5,
  VarChar: 0xa7,
  Binary: 0xad,
  Char: 0xaf,
  NVarChar: 0xe7,
  NChar: 0xef,
  Udt: 0xf0,
  Xml: 0xf1,
  Table: 0xf3,
} as const;

const MAX_LENGTH = 0xffff;
const PLP_NULL = 0xffffffffffffffffn;
/**
 * Bytes in one chunk of a long value. SQL Server sends many small ones; tedious joins the packets of an unfinished one again for each
 * packet, which takes minutes for 50 MB in one chunk.
 */
const PLP_CHUNK = 8_000;
const PLP_UNKNOWN_LENGTH = 0xfffffffffffffffen;

/** Fixed-length types, and the type each stands for. */
const FIXED = new Map<number, { name: TypeName; bytes: number }>([
  [Id.TinyInt, { name: 'tinyint', bytes: 1 }],
  [Id.Bit, { name: 'bit', bytes: 1 }],
  [Id.SmallInt, { name: 'smallint', bytes: 2 }],
  [Id.Int, { name: 'int', bytes: 4 }],
  [Id.BigInt, { name: 'bigint', bytes: 8 }],
  [Id.SmallDateTime, { name: 'smalldatetime', bytes: 4 }],
  [Id.DateTime, { name: 'datetime', bytes: 8 }],
  [Id.Real, { name: 'real', bytes: 4 }],
  [Id.Float, { name: 'float', bytes: 8 }],
  [Id.SmallMoney, { name: 'smallmoney', bytes: 4 }],
  [Id.Money, { name: 'money', bytes: 8 }],
]);

/** Type families whose one-byte length selects the member. */
const FAMILIES = new Map<number, ReadonlyMap<number, TypeName>>([
  [
    Id.IntN,
    new Map([
      [1, 'tinyint'],
      [2, 'smallint'],
      [4, 'int'],
      [8, 'bigint'],
    ] as const),
  ],
  [Id.BitN, new Map([[1, 'bit']] as const)],
  [
    Id.FloatN,
    new Map([
      [4, 'real'],
      [8, 'float'],
    ] as const),
  ],
  [
    Id.MoneyN,
    new Map([
      [4, 'smallmoney'],
      [8, 'money'],
    ] as const),
  ],
  [
    Id.DateTimeN,
    new Map([
      [4, 'smalldatetime'],
      [8, 'datetime'],
    ] as const),
  ],
  [Id.Guid, new Map([[16, 'uniqueidentifier']] as const)],
]);

/** Reads TYPE_INFO and the value after it, as in RPC parameters. */
export function readTypedValue(reader: ByteReader): SqlValue {
  const id = reader.uint8();
  if (id === Id.Table) return readTableValue(reader);
  const { type, form } = readTypeInfo(reader, id);
  return { type, value: readValue(reader, type, form) };
}

/** The length prefix of a type's values on the wire. */
type Form = { kind: 'fixed'; bytes: number } | { kind: 'byte' | 'short' | 'long' | 'chunks' | 'variant' | 'null' };

function readTypeInfo(reader: ByteReader, id: number): { type: SqlType; form: Form } {
  const fixed = FIXED.get(id);
  if (fixed !== undefined) return { type: { name: fixed.name }, form: { kind: 'fixed', bytes: fixed.bytes } };
  const family = FAMILIES.get(id);
  if (family !== undefined) {
    const name = family.get(reader.uint8());
    if (name === undefined) throw new ProtocolError(`type 0x${id.toString(16)} has no such size`);
    return { type: { name }, form: { kind: 'byte' } };
  }
  switch (id) {
    case Id.Null:
      return { type: { name: 'int' }, form: { kind: 'null' } };
    case Id.Date:
      return { type: { name: 'date' }, form: { kind: 'byte' } };
    case Id.Time:
      return { type: { name: 'time', scale: readScale(reader) }, form: { kind: 'byte' } };
    case Id.DateTime2:
      return { type: { name: 'datetime2', scale: readScale(reader) }, form: { kind: 'byte' } };
    case Id.DateTimeOffset:
      return { type: { name: 'datetimeoffset', scale: readScale(reader) }, form: { kind: 'byte' } };
    case Id.DecimalN:
    case Id.NumericN: {
      reader.uint8();
      const precision = reader.uint8();
      const scale = reader.uint8();
      if (precision < 1 || precision > 38 || scale > precision)
        throw new ProtocolError(`decimal(${precision},${scale})`);
      return { type: { name: id === Id.DecimalN ? 'decimal' : 'numeric', precision, scale }, form: { kind: 'byte' } };
    }
    case Id.VarChar:
    case Id.Char:
      return sized(reader, id === Id.VarChar ? 'varchar' : 'char', 1, true);
    case Id.NVarChar:
    case Id.NChar:
      return sized(reader, id === Id.NVarChar ? 'nvarchar' : 'nchar', 2, true);
    case Id.VarBinary:
    case Id.Binary:
      return sized(reader, id === Id.VarBinary ? 'varbinary' : 'binary', 1, false);
    case Id.Text:
    case Id.NText:
      reader.uint32();
      reader.bytes(COLLATION.length);
      return { type: { name: id === Id.Text ? 'text' : 'ntext' }, form: { kind: 'long' } };
    case Id.Image:
      reader.uint32();
      return { type: { name: 'image' }, form: { kind: 'long' } };
    case Id.Xml:
      if (reader.uint8() === 1) {
        reader.shortText();
        reader.shortText();
        reader.longText();
      }
      return { type: { name: 'xml' }, form: { kind: 'chunks' } };
    case Id.Udt:
      reader.shortText();
      reader.shortText();
      reader.shortText();
      return { type: { name: 'varbinary', length: MAX }, form: { kind: 'chunks' } };
    case Id.SqlVariant:
      reader.uint32();
      return { type: { name: 'sql_variant' }, form: { kind: 'variant' } };
    default:
      throw new ProtocolError(`type 0x${id.toString(16)} is not known`);
  }
}

function readScale(reader: ByteReader): number {
  const scale = reader.uint8();
  if (scale > 7) throw new ProtocolError(`a time has 7 digits at most, not ${scale}`);
  return scale;
}

function sized(reader: ByteReader, name: TypeName, unit: number, text: boolean): { type: SqlType; form: Form } {
  const length = reader.uint16();
  if (text) reader.bytes(COLLATION.length);
  if (length === MAX_LENGTH) return { type: { name, length: MAX }, form: { kind: 'chunks' } };
  return { type: { name, length: Math.max(1, length / unit) }, form: { kind: 'short' } };
}

function readValue(reader: ByteReader, type: SqlType, form: Form): Scalar {
  switch (form.kind) {
    case 'null':
      return null;
    case 'fixed':
      return decode(type, reader.bytes(form.bytes));
    case 'byte': {
      const length = reader.uint8();
      return length === 0 ? null : decode(type, reader.bytes(length));
    }
    case 'short': {
      const length = reader.uint16();
      return length === 0xffff ? null : decode(type, reader.bytes(length));
    }
    case 'long': {
      const length = reader.uint32();
      return length === 0xffffffff ? null : decode(type, reader.bytes(length));
    }
    case 'chunks': {
      const bytes = readChunks(reader);
      return bytes === null ? null : decode(type, bytes);
    }
    case 'variant': {
      const length = reader.uint32();
      return length === 0 ? null : readVariant(reader, length);
    }
  }
}

/** Partially length-prefixed bytes: MAX types and XML. */
function readChunks(reader: ByteReader): Buffer | null {
  const total = reader.uint64();
  if (total === PLP_NULL) return null;
  const chunks: Buffer[] = [];
  for (let length = reader.uint32(); length > 0; length = reader.uint32()) chunks.push(reader.bytes(length));
  const bytes = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
  if (total !== PLP_UNKNOWN_LENGTH && total !== BigInt(bytes.length)) {
    throw new ProtocolError(`a value declared as ${total} bytes has ${bytes.length}`);
  }
  return bytes;
}

function readVariant(reader: ByteReader, length: number): SqlValue {
  const end = reader.position + length;
  const id = reader.uint8();
  const propertiesEnd = reader.uint8() + reader.position;
  const fixed = FIXED.get(id);
  let type: SqlType | undefined = fixed && { name: fixed.name };
  if (id === Id.Guid) type = { name: 'uniqueidentifier' };
  else if (id === Id.Date) type = { name: 'date' };
  else if (id === Id.Time) type = { name: 'time', scale: readScale(reader) };
  else if (id === Id.DateTime2) type = { name: 'datetime2', scale: readScale(reader) };
  else if (id === Id.DateTimeOffset) type = { name: 'datetimeoffset', scale: readScale(reader) };
  else if (id === Id.DecimalN || id === Id.NumericN) {
    type = { name: id === Id.DecimalN ? 'decimal' : 'numeric', precision: reader.uint8(), scale: reader.uint8() };
  } else if (id === Id.NVarChar || id === Id.NChar) {
    reader.bytes(COLLATION.length);
    type = { name: 'nvarchar', length: 4000 };
  } else if (id === Id.VarChar || id === Id.Char) {
    reader.bytes(COLLATION.length);
    type = { name: 'varchar', length: 8000 };
  } else if (id === Id.VarBinary || id === Id.Binary) type = { name: 'varbinary', length: 8000 };
  if (type === undefined) throw new ProtocolError(`type 0x${id.toString(16)} cannot be in a sql_variant`);
  reader.seek(propertiesEnd);
  if (end < propertiesEnd) throw new ProtocolError('a sql_variant ends before its value');
  return { type, value: decode(type, reader.bytes(end - propertiesEnd)) };
}

/** A column of a bulk load or of a result, and how to read its values. */
export interface WireColumn {
  name: string;
  type: SqlType;
  read(reader: ByteReader): Scalar;
}

/** One column of COLMETADATA ([MS-TDS] 2.2.7.4): of a result, or as sent by clients at the start of a bulk load. */
export function readWireColumn(reader: ByteReader): WireColumn {
  reader.uint32();
  reader.uint16();
  const id = reader.uint8();
  const { type, form } = id === Id.Udt ? readUdtColumn(reader) : readTypeInfo(reader, id);
  const isLongType = id === Id.Text || id === Id.NText || id === Id.Image;
  if (isLongType) for (let parts = reader.uint8(); parts > 0; parts -= 1) reader.longText();
  const name = reader.shortText();
  return {
    name,
    type,
    read: (from) => (isLongType ? readWithTextPointer(from, type, form) : readValue(from, type, form)),
  };
}

/** UDT_INFO of a column ([MS-TDS] 2.2.5.5.2), which has more fields than that of a parameter. */
function readUdtColumn(reader: ByteReader): { type: SqlType; form: Form } {
  reader.uint16();
  for (let names = 0; names < 3; names += 1) reader.shortText();
  reader.longText();
  return { type: { name: 'varbinary', length: MAX }, form: { kind: 'chunks' } };
}

/** In rows, text, ntext and image values follow a text pointer and a timestamp; an empty pointer means NULL. */
function readWithTextPointer(reader: ByteReader, type: SqlType, form: Form): Scalar {
  const length = reader.uint8();
  if (length === 0) return null;
  reader.bytes(length + 8);
  return readValue(reader, type, form);
}

const TVP_END = 0x00;
const TVP_ROW = 0x01;
const TVP_NULL = 0xffff;

function readTableValue(reader: ByteReader): SqlValue {
  reader.shortText();
  const schema = reader.shortText();
  const name = reader.shortText();
  const typeName = schema === '' ? name : `${schema}.${name}`;
  const count = reader.uint16();
  const columns: { type: SqlType; form: Form }[] = [];
  for (let i = 0; count !== TVP_NULL && i < count; i += 1) {
    reader.uint32();
    reader.uint16();
    columns.push(readTypeInfo(reader, reader.uint8()));
    reader.shortText();
  }
  // Optional metadata (order, uniqueness) would follow here; no known client sends any.
  if (reader.uint8() !== TVP_END)
    throw new ProtocolError('a table-valued parameter with optional metadata is not supported');
  const rows: Scalar[][] = [];
  for (let token = reader.uint8(); token !== TVP_END; token = reader.uint8()) {
    if (token !== TVP_ROW) throw new ProtocolError(`token 0x${token.toString(16)} in a table-valued parameter`);
    rows.push(columns.map(({ type, form }) => readValue(reader, type, form)));
  }
  const value = count === TVP_NULL ? null : { typeName, columns: columns.map((column) => column.type), rows };
  return { type: { name: 'table' }, value };
}

function decode(type: SqlType, bytes: Buffer): Scalar {
  switch (type.name) {
    case 'bit':
      return bytes.readUInt8(0) !== 0;
    case 'tinyint':
      return exactly(bytes, 1).readUInt8(0);
    case 'smallint':
      return exactly(bytes, 2).readInt16LE(0);
    case 'int':
      return exactly(bytes, 4).readInt32LE(0);
    case 'bigint':
      return exactly(bytes, 8).readBigInt64LE(0);
    case 'real':
      return exactly(bytes, 4).readFloatLE(0);
    case 'float':
      return exactly(bytes, 8).readDoubleLE(0);
    case 'smallmoney':
      return BigInt(exactly(bytes, 4).readInt32LE(0));
    case 'money':
      return (BigInt(exactly(bytes, 8).readInt32LE(0)) << 32n) | BigInt(bytes.readUInt32LE(4));
    case 'decimal':
    case 'numeric':
      return decodeDecimal(bytes);
    case 'date':
      return { days: exactly(bytes, 3).readUIntLE(0, 3), ticks: 0 };
    case 'time':
      return { days: DAYS_TO_1900, ticks: decodeTicks(bytes, bytes.length, type.scale ?? 7) };
    case 'datetime2':
      return decodeDateTime(bytes, bytes.length - 3, type.scale ?? 7);
    case 'datetimeoffset':
      return {
        ...decodeDateTime(bytes, bytes.length - 5, type.scale ?? 7),
        offset: bytes.readInt16LE(bytes.length - 2),
      };
    case 'datetime':
      return {
        days: DAYS_TO_1900 + exactly(bytes, 8).readInt32LE(0),
        ticks: Math.round((bytes.readUInt32LE(4) * 1e7) / 300),
      };
    case 'smalldatetime':
      return { days: DAYS_TO_1900 + exactly(bytes, 4).readUInt16LE(0), ticks: bytes.readUInt16LE(2) * 600_000_000 };
    case 'uniqueidentifier':
      return decodeGuid(exactly(bytes, 16));
    case 'char':
    case 'varchar':
    case 'text':
      return decodeCp1252(bytes);
    case 'nchar':
    case 'nvarchar':
    case 'ntext':
    case 'xml':
      return bytes.toString('utf16le');
    default:
      return Buffer.from(bytes);
  }
}

function exactly(bytes: Buffer, length: number): Buffer {
  if (bytes.length !== length)
    throw new ProtocolError(`a value has ${bytes.length} bytes where it should have ${length}`);
  return bytes;
}

function decodeDecimal(bytes: Buffer): bigint {
  let unscaled = 0n;
  for (let i = bytes.length - 1; i >= 1; i -= 1) unscaled = (unscaled << 8n) | BigInt(bytes.readUInt8(i));
  return bytes.readUInt8(0) === 0 ? -unscaled : unscaled;
}

function decodeTicks(bytes: Buffer, length: number, scale: number): number {
  if (length !== timeBytes(scale)) throw new ProtocolError(`a time of scale ${scale} does not have ${length} bytes`);
  return bytes.readUIntLE(0, length) * 10 ** (7 - scale);
}

function decodeDateTime(bytes: Buffer, timeLength: number, scale: number): Moment {
  const ticks = decodeTicks(bytes, timeLength, scale);
  return { days: bytes.readUIntLE(timeLength, 3), ticks };
}

function timeBytes(scale: number): number {
  return scale <= 2 ? 3 : scale <= 4 ? 4 : 5;
}

function decodeGuid(bytes: Buffer): string {
  const hex = Buffer.from([...GUID_ORDER].map((from) => bytes.readUInt8(from)))
    .toString('hex')
    .toUpperCase();
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

const GUID_ORDER = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15] as const;

/** Writes TYPE_INFO. */
export function writeTypeInfo(writer: ByteWriter, type: SqlType): void {
  switch (type.name) {
    case 'bit':
      writer.uint8(Id.BitN).uint8(1);
      return;
    case 'tinyint':
      writer.uint8(Id.IntN).uint8(1);
      return;
    case 'smallint':
      writer.uint8(Id.IntN).uint8(2);
      return;
    case 'int':
      writer.uint8(Id.IntN).uint8(4);
      return;
    case 'bigint':
      writer.uint8(Id.IntN).uint8(8);
      return;
    case 'real':
      writer.uint8(Id.FloatN).uint8(4);
      return;
    case 'float':
      writer.uint8(Id.FloatN).uint8(8);
      return;
    case 'smallmoney':
      writer.uint8(Id.MoneyN).uint8(4);
      return;
    case 'money':
      writer.uint8(Id.MoneyN).uint8(8);
      return;
    case 'smalldatetime':
      writer.uint8(Id.DateTimeN).uint8(4);
      return;
    case 'datetime':
      writer.uint8(Id.DateTimeN).uint8(8);
      return;
    case 'date':
      writer.uint8(Id.Date);
      return;
    case 'time':
      writer.uint8(Id.Time).uint8(type.scale ?? 7);
      return;
    case 'datetime2':
      writer.uint8(Id.DateTime2).uint8(type.scale ?? 7);
      return;
    case 'datetimeoffset':
      writer.uint8(Id.DateTimeOffset).uint8(type.scale ?? 7);
      return;
    case 'decimal':
    case 'numeric':
      writer.uint8(type.name === 'decimal' ? Id.DecimalN : Id.NumericN);
      writer
        .uint8(decimalBytes(type.precision ?? 18))
        .uint8(type.precision ?? 18)
        .uint8(type.scale ?? 0);
      return;
    case 'uniqueidentifier':
      writer.uint8(Id.Guid).uint8(16);
      return;
    case 'varchar':
    case 'char':
      writeSize(writer, type.name === 'varchar' ? Id.VarChar : Id.Char, type.length ?? 1, 1).bytes(COLLATION);
      return;
    case 'nvarchar':
    case 'nchar':
      writeSize(writer, type.name === 'nvarchar' ? Id.NVarChar : Id.NChar, type.length ?? 1, 2).bytes(COLLATION);
      return;
    case 'varbinary':
    case 'binary':
      writeSize(writer, type.name === 'varbinary' ? Id.VarBinary : Id.Binary, type.length ?? 1, 1);
      return;
    // The text types are sent as their MAX successors, which every client reads the same way.
    case 'text':
      writeSize(writer, Id.VarChar, MAX, 1).bytes(COLLATION);
      return;
    case 'ntext':
      writeSize(writer, Id.NVarChar, MAX, 2).bytes(COLLATION);
      return;
    case 'image':
    case 'udt':
    case 'table':
      writeSize(writer, Id.VarBinary, MAX, 1);
      return;
    case 'xml':
      writer.uint8(Id.Xml).uint8(0);
      return;
    case 'sql_variant':
      writer.uint8(Id.SqlVariant).uint32(8009);
      return;
  }
}

function writeSize(writer: ByteWriter, id: number, length: number, unit: number): ByteWriter {
  return writer.uint8(id).uint16(length === MAX ? MAX_LENGTH : length * unit);
}

/** A function that writes values of one type; created once per column, called per row. */
export function valueWriter(type: SqlType): (writer: ByteWriter, value: Scalar) => void {
  switch (type.name) {
    case 'bit':
      return nullable((writer, value) => writer.uint8(1).uint8(value ? 1 : 0));
    case 'tinyint':
      return nullable((writer, value) => writer.uint8(1).uint8(value as number));
    case 'smallint':
      return nullable((writer, value) => writer.uint8(2).int16(value as number));
    case 'int':
      return nullable((writer, value) => writer.uint8(4).int32(value as number));
    case 'bigint':
      return nullable((writer, value) => writer.uint8(8).int64(value as bigint));
    case 'real':
      return nullable((writer, value) => writer.uint8(4).float(value as number));
    case 'float':
      return nullable((writer, value) => writer.uint8(8).double(value as number));
    case 'smallmoney':
      return nullable((writer, value) => writer.uint8(4).int32(Number(value)));
    case 'money':
      return nullable((writer, value) => writeMoney(writer.uint8(8), value as bigint));
    case 'decimal':
    case 'numeric':
      return nullable((writer, value) => writeDecimal(writer, value as bigint, decimalBytes(type.precision ?? 18)));
    case 'date':
      return nullable((writer, value) => writer.uint8(3).uint24((value as Moment).days));
    case 'time': {
      const scale = type.scale ?? 7;
      return nullable((writer, value) => writeTicks(writer.uint8(timeBytes(scale)), value as Moment, scale));
    }
    case 'datetime2': {
      const scale = type.scale ?? 7;
      return nullable((writer, value) =>
        writeTicks(writer.uint8(timeBytes(scale) + 3), value as Moment, scale).uint24((value as Moment).days),
      );
    }
    case 'datetimeoffset': {
      const scale = type.scale ?? 7;
      return nullable((writer, value) =>
        writeTicks(writer.uint8(timeBytes(scale) + 5), value as Moment, scale)
          .uint24((value as Moment).days)
          .int16((value as Moment).offset ?? 0),
      );
    }
    case 'datetime':
      return nullable((writer, value) => writeDateTime(writer, value as Moment));
    case 'smalldatetime':
      return nullable((writer, value) => {
        const { days, ticks } = value as Moment;
        writer
          .uint8(4)
          .uint16(days - DAYS_TO_1900)
          .uint16(Math.floor(ticks / 600_000_000));
      });
    case 'uniqueidentifier':
      return nullable((writer, value) => writer.uint8(16).bytes(encodeGuid(value as string)));
    case 'nvarchar':
    case 'nchar':
      return type.length === MAX ? chunkWriter(utf16) : nvarcharWriter;
    case 'varchar':
    case 'char':
      return type.length === MAX ? chunkWriter(codePage) : shortWriter(codePage);
    case 'varbinary':
    case 'binary':
      return type.length === MAX ? chunkWriter(asBytes) : shortWriter(asBytes);
    case 'text':
      return chunkWriter(codePage);
    case 'ntext':
    case 'xml':
      return chunkWriter(utf16);
    case 'image':
    case 'udt':
    case 'table':
      return chunkWriter(asBytes);
    case 'sql_variant':
      return (writer, value) => {
        if (value === null) writer.uint32(0);
        else writeVariant(writer, value as SqlValue);
      };
  }
}

function nullable(write: (writer: ByteWriter, value: Scalar) => unknown): (writer: ByteWriter, value: Scalar) => void {
  return (writer, value) => {
    if (value === null) writer.uint8(0);
    else write(writer, value);
  };
}

function nvarcharWriter(writer: ByteWriter, value: Scalar): void {
  if (value === null) writer.uint16(0xffff);
  else writer.uint16((value as string).length * 2).ucs2(value as string);
}

function shortWriter(encode: (value: Scalar) => Buffer): (writer: ByteWriter, value: Scalar) => void {
  return (writer, value) => {
    if (value === null) {
      writer.uint16(0xffff);
    } else {
      const bytes = encode(value);
      writer.uint16(bytes.length).bytes(bytes);
    }
  };
}

function chunkWriter(encode: (value: Scalar) => Buffer): (writer: ByteWriter, value: Scalar) => void {
  return (writer, value) => {
    if (value === null) {
      writer.uint64(PLP_NULL);
    } else {
      const bytes = encode(value);
      writer.uint64(BigInt(bytes.length));
      for (let at = 0; at < bytes.length; at += PLP_CHUNK) {
        const chunk = bytes.subarray(at, at + PLP_CHUNK);
        writer.uint32(chunk.length).bytes(chunk);
      }
      writer.uint32(0);
    }
  };
}

function utf16(value: Scalar): Buffer {
  return Buffer.from(value as string, 'utf16le');
}

export function codePage(value: Scalar): Buffer {
  return encodeCp1252(value as string);
}

function asBytes(value: Scalar): Buffer {
  return value as Buffer;
}

function writeMoney(writer: ByteWriter, value: bigint): void {
  writer.int32(Number(value >> 32n)).uint32(Number(value & 0xffffffffn));
}

function decimalBytes(precision: number): number {
  return precision <= 9 ? 5 : precision <= 19 ? 9 : precision <= 28 ? 13 : 17;
}

function writeDecimal(writer: ByteWriter, value: bigint, length: number): void {
  writer.uint8(length).uint8(value < 0n ? 0 : 1);
  let rest = value < 0n ? -value : value;
  for (let i = 1; i < length; i += 4) {
    writer.uint32(Number(rest & 0xffffffffn));
    rest >>= 32n;
  }
}

function writeTicks(writer: ByteWriter, moment: Moment, scale: number): ByteWriter {
  const units = Math.floor(moment.ticks / 10 ** (7 - scale));
  const length = timeBytes(scale);
  return length === 3 ? writer.uint24(units) : length === 4 ? writer.uint32(units) : writer.uint40(units);
}

function writeDateTime(writer: ByteWriter, { days, ticks }: Moment): void {
  const DAY = 25_920_000;
  const units = Math.round((ticks * 300) / 1e7);
  writer
    .uint8(8)
    .int32(days - DAYS_TO_1900 + (units === DAY ? 1 : 0))
    .uint32(units === DAY ? 0 : units);
}

function encodeGuid(text: string): Buffer {
  const bytes = Buffer.from(text.replaceAll('-', ''), 'hex');
  return Buffer.from(GUID_ORDER.map((from) => bytes.readUInt8(from)));
}

const VARIANT_IDS = new Map<TypeName, number>([...FIXED].map(([id, { name }]) => [name, id]));

function writeVariant(writer: ByteWriter, { type, value }: SqlValue): void {
  const at = writer.reserveUint32();
  const fixed = VARIANT_IDS.get(type.name);
  // The plain writers write a length before the value, which a sql_variant does not have.
  const body = (lengthBytes: number, properties: Buffer, id: number): void => {
    writer.uint8(id).uint8(properties.length).bytes(properties);
    const scratch = writer.length;
    valueWriter({ ...type, ...(type.length === MAX ? { length: 4000 } : {}) })(writer, value);
    writer.remove(scratch, lengthBytes);
  };
  const none = Buffer.alloc(0);
  if (fixed !== undefined) body(1, none, fixed);
  else if (type.name === 'uniqueidentifier') body(1, none, Id.Guid);
  else if (type.name === 'date') body(1, none, Id.Date);
  else if (type.name === 'time') body(1, Buffer.from([type.scale ?? 7]), Id.Time);
  else if (type.name === 'datetime2') body(1, Buffer.from([type.scale ?? 7]), Id.DateTime2);
  else if (type.name === 'datetimeoffset') body(1, Buffer.from([type.scale ?? 7]), Id.DateTimeOffset);
  else if (type.precision !== undefined) body(1, Buffer.from([type.precision, type.scale ?? 0]), Id.NumericN);
  else if (type.name === 'nvarchar' || type.name === 'nchar') body(2, sizedProperties(8000), Id.NVarChar);
  else if (type.name === 'varchar' || type.name === 'char') body(2, sizedProperties(8000), Id.VarChar);
  else body(2, Buffer.from([0x40, 0x1f]), Id.VarBinary);
  writer.patchUint32(at);
}

function sizedProperties(length: number): Buffer {
  return Buffer.concat([COLLATION, Buffer.from([length & 0xff, length >> 8])]);
}

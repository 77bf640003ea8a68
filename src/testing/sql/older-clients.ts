import { MAX, type Scalar, type SqlType, type TypeName } from '../tds/data-type.js';
import { toText } from './conversion.js';

/**
 * What SQL Server sends in place of a type that is newer than the client's TDS version ([MS-TDS] 2.2.5.4.1): text for the
 * date types of SQL Server 2008 before TDS 7.3; text, ntext and image for the MAX types and XML before 7.2.
 */
export interface ClientType {
  type: SqlType;
  /** The value in that type. */
  from(value: Scalar): Scalar;
}

const SINCE_TDS_7_3 = new Map<TypeName, number>([
  ['date', 10],
  ['time', 16],
  ['datetime2', 27],
  ['datetimeoffset', 34],
]);
/** [MS-TDS] 2.2.5.4.3: the predecessors of the MAX types. */
const BEFORE_MAX = new Map<TypeName, TypeName>([
  ['varchar', 'text'],
  ['nvarchar', 'ntext'],
  ['varbinary', 'image'],
]);
/** Output parameters cannot be text, ntext or image; these hold the most. */
const LONGEST = new Map<TypeName, SqlType>([
  ['text', { name: 'varchar', length: 8000 }],
  ['ntext', { name: 'nvarchar', length: 4000 }],
  ['image', { name: 'varbinary', length: 8000 }],
]);
const unchanged = (value: Scalar): Scalar => value;

/** The type of a column. `tdsVersion` is that of LOGIN7, its first byte 0x71 for TDS 7.1. */
export function columnFor(type: SqlType, tdsVersion: number): ClientType {
  const minor = tdsVersion >>> 24;
  const textLength = SINCE_TDS_7_3.get(type.name);
  if (textLength !== undefined && isBefore(minor, 0x73)) {
    const text: SqlType = { name: 'nvarchar', length: textLength };
    return { type: text, from: (value) => (value === null ? null : toText(value, type)) };
  }
  if (!isBefore(minor, 0x72)) return { type, from: unchanged };
  if (type.name === 'xml') return { type: { name: 'ntext' }, from: unchanged };
  const older = type.length === MAX ? BEFORE_MAX.get(type.name) : undefined;
  return { type: older === undefined ? type : { name: older }, from: unchanged };
}

/** The type of an output parameter: values that are too long for an old client are cut. */
export function outputFor(type: SqlType, tdsVersion: number): ClientType {
  const column = columnFor(type, tdsVersion);
  const longest = isBefore(tdsVersion >>> 24, 0x72) ? LONGEST.get(column.type.name) : undefined;
  if (longest === undefined) return column;
  return { type: longest, from: (value) => (value as string | Buffer | null)?.slice(0, longest.length) ?? null };
}

/** TDS 8 has 0x08 in this place and is newer than all others. */
function isBefore(version: number, other: number): boolean {
  return version >= 0x70 && version < other;
}

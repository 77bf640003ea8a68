/** The SQL Server data types in the emulator. */
export type TypeName =
  | 'bit'
  | 'tinyint'
  | 'smallint'
  | 'int'
  | 'bigint'
  | 'real'
  | 'float'
  | 'decimal'
  | 'numeric'
  | 'smallmoney'
  | 'money'
  | 'date'
  | 'time'
  | 'datetime2'
  | 'datetimeoffset'
  | 'datetime'
  | 'smalldatetime'
  | 'uniqueidentifier'
  | 'char'
  | 'varchar'
  | 'nchar'
  | 'nvarchar'
  | 'binary'
  | 'varbinary'
  | 'text'
  | 'ntext'
  | 'image'
  | 'xml'
  | 'udt'
  | 'sql_variant'
  | 'table';

/** A type with its size. */
export interface SqlType {
  readonly name: TypeName;
  /** In characters for (n)char and (n)varchar, in bytes for binary types; `Infinity` is MAX. */
  readonly length?: number;
  readonly precision?: number;
  /** Digits after the decimal point, of decimals and of fractional seconds. */
  readonly scale?: number;
}

/** A date and a time of day, exact to 100 ns. */
export interface Moment {
  /** Days since 0001-01-01. */
  readonly days: number;
  /** 100 ns units since midnight; in UTC if there is an offset. */
  readonly ticks: number;
  /** Minutes east of UTC, for a `datetimeoffset`. */
  readonly offset?: number;
}

/** A table-valued parameter. */
export interface TableValue {
  readonly typeName: string;
  readonly columns: readonly SqlType[];
  readonly rows: readonly (readonly Scalar[])[];
}

/**
 * A value inside the emulator. Decimals and money are unscaled integers (`money` has four decimal places), so no precision
 * is lost. Character types are strings, binary types buffers, dates and times {@link Moment}s.
 */
export type Scalar = null | boolean | number | bigint | string | Buffer | Moment | TableValue | SqlValue;

export interface SqlValue {
  readonly type: SqlType;
  readonly value: Scalar;
}

export const MAX = Number.POSITIVE_INFINITY;

export const INT: SqlType = { name: 'int' };
/** Type of a bare NULL: int, unless the other operand has a type. Compared by identity. */
export const UNTYPED: SqlType = { name: 'int' };
export const BIGINT: SqlType = { name: 'bigint' };
export const BIT: SqlType = { name: 'bit' };
export const FLOAT: SqlType = { name: 'float' };
export const DATETIME: SqlType = { name: 'datetime' };

export function nvarchar(length: number): SqlType {
  return { name: 'nvarchar', length: length > 4000 ? MAX : Math.max(1, length) };
}

/** Converts a JavaScript date to a moment in UTC. */
export function momentOf(date: Date): Moment {
  const ms = date.getTime();
  const day = Math.floor(ms / 86_400_000);
  return { days: day + DAYS_TO_1970, ticks: (ms - day * 86_400_000) * 10_000, offset: 0 };
}

/** Converts a moment to a JavaScript date, truncated to milliseconds. */
export function dateOf(moment: Moment): Date {
  return new Date((moment.days - DAYS_TO_1970) * 86_400_000 + Math.floor(moment.ticks / 10_000));
}

/** Days from 0001-01-01 to 1970-01-01. */
const DAYS_TO_1970 = 719_162;
/** Days from 0001-01-01 to 1900-01-01. */
export const DAYS_TO_1900 = 693_595;

/** An unscaled decimal as text, e.g. (-105n, 2) as `-1.05`. */
export function decimalText(unscaled: bigint, scale: number): string {
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, '0');
  const sign = unscaled < 0n ? '-' : '';
  return scale === 0 ? sign + digits : `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

/** More digits than any type holds; parsing a BigInt takes time quadratic in its digits. */
const LONGEST_DECIMAL = 400;

/** The digits of a decimal number in text, or undefined if the text is not a number. */
export function parseDecimal(text: string): { unscaled: bigint; precision: number; scale: number } | undefined {
  const given = text.trim();
  const match = given.length > LONGEST_DECIMAL ? null : /^([+-]?)(\d*)(?:\.(\d*))?$/.exec(given);
  if (match === null) return undefined;
  const whole = match[2] ?? '';
  const fraction = match[3] ?? '';
  if (whole === '' && fraction === '') return undefined;
  const unscaled = BigInt(whole + fraction) * (match[1] === '-' ? -1n : 1n);
  const significant = (whole.replace(/^0+/, '') + fraction).length;
  return { unscaled, precision: Math.max(1, significant, fraction.length), scale: fraction.length };
}

/** Changes the number of decimal places, rounding half away from zero. */
export function rescale(unscaled: bigint, from: number, to: number): bigint {
  if (to >= from) return unscaled * 10n ** BigInt(to - from);
  const divisor = 10n ** BigInt(from - to);
  const half = divisor / 2n;
  return unscaled < 0n ? -((-unscaled + half) / divisor) : (unscaled + half) / divisor;
}

/** How a type is written in T-SQL. */
export function typeText(type: SqlType): string {
  if (type.precision !== undefined) return `${type.name}(${type.precision},${type.scale ?? 0})`;
  if (type.scale !== undefined) return `${type.name}(${type.scale})`;
  if (type.length !== undefined && SIZED.has(type.name))
    return `${type.name}(${type.length === MAX ? 'max' : type.length})`;
  return type.name;
}

const SIZED = new Set<TypeName>(['char', 'varchar', 'nchar', 'nvarchar', 'binary', 'varbinary']);
const ALIASES = new Map<string, TypeName>([
  ['integer', 'int'],
  ['dec', 'decimal'],
  ['character', 'char'],
  ['rowversion', 'binary'],
  ['timestamp', 'binary'],
  ['sysname', 'nvarchar'],
]);
const NAMES = new Set<string>([
  ...['bit', 'tinyint', 'smallint', 'int', 'bigint', 'real', 'float', 'decimal', 'numeric', 'smallmoney', 'money'],
  ...['date', 'time', 'datetime2', 'datetimeoffset', 'datetime', 'smalldatetime', 'uniqueidentifier', 'char'],
  ...['varchar', 'nchar', 'nvarchar', 'binary', 'varbinary', 'text', 'ntext', 'image', 'xml', 'sql_variant'],
]);

/** The type for a T-SQL type name and its arguments (`['10', '2']`, `['max']`), or undefined if unknown. */
export function typeNamed(rawName: string, args: readonly string[] = []): SqlType | undefined {
  const lower = rawName.toLowerCase();
  const name = ALIASES.get(lower) ?? lower;
  if (!NAMES.has(name)) return undefined;
  const typeName = name as TypeName;
  const first = args[0]?.toLowerCase() === 'max' ? MAX : args[0] === undefined ? undefined : Number(args[0]);
  if (lower === 'sysname') return { name: typeName, length: 128 };
  if (lower === 'timestamp' || lower === 'rowversion') return { name: typeName, length: 8 };
  if (SIZED.has(typeName)) return { name: typeName, length: first ?? 30 };
  switch (typeName) {
    case 'decimal':
    case 'numeric':
      return { name: typeName, precision: first ?? 18, scale: Number(args[1] ?? 0) };
    case 'time':
    case 'datetime2':
    case 'datetimeoffset':
      return { name: typeName, scale: first ?? 7 };
    case 'float':
      return { name: first !== undefined && first <= 24 ? 'real' : 'float' };
    default:
      return { name: typeName };
  }
}

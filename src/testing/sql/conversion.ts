import { decodeCp1252, encodeCp1252 } from '../tds/code-page-1252.js';
import {
  BIT,
  DAYS_TO_1900,
  dateOf,
  decimalText,
  MAX,
  type Moment,
  momentOf,
  parseDecimal,
  rescale,
  type Scalar,
  type SqlType,
  type SqlValue,
  type TableValue,
  type TypeName,
  typeText,
  UNTYPED,
} from '../tds/data-type.js';
import { SqlServerError } from '../tds/server-error.js';
import { dateText } from './date-text.js';

/** Longer text cannot be a SQL Server number or time, and parsing a BigInt takes time quadratic in its digits. */
const LONGEST_NUMBER = 400;

/** CAST between types, with SQL Server's error for a value that does not fit. */
export function convert(value: Scalar, from: SqlType, to: SqlType): Scalar {
  if (value === null) return null;
  if (from.name === 'sql_variant') {
    const inner = value as SqlValue;
    return to.name === 'sql_variant' ? inner : convert(inner.value, inner.type, to);
  }
  switch (to.name) {
    case 'sql_variant':
      return { type: from, value };
    case 'bit':
      if (isText(from) && /^(true|false)$/i.test((value as string).trim())) return /true/i.test(value as string);
      return isText(from) ? toDecimal(value, from, 0, to) !== 0n : Number(value) !== 0;
    case 'tinyint':
    case 'smallint':
    case 'int':
      return Number(fitsInteger(toInteger(value, from, to), from, to));
    case 'bigint':
      return inRange(toInteger(value, from, to), to);
    case 'real':
    case 'float': {
      const number = toNumber(value, from, to);
      return to.name === 'real' ? Math.fround(number) : number;
    }
    case 'decimal':
    case 'numeric':
      return fitsDecimal(toDecimal(value, from, to.scale ?? 0, to), to);
    case 'money':
    case 'smallmoney':
      return inRange(toDecimal(value, from, 4, to), to, from);
    case 'date':
    case 'time':
    case 'datetime':
    case 'datetime2':
    case 'datetimeoffset':
    case 'smalldatetime':
      return toMoment(value, from, to);
    case 'uniqueidentifier':
      return toGuid(value, from);
    case 'char':
    case 'nchar':
    case 'varchar':
    case 'nvarchar':
    case 'text':
    case 'ntext':
    case 'xml':
      return fitText(toText(value, from), from, to);
    case 'binary':
    case 'varbinary':
    case 'image':
    case 'udt':
      return fitBytes(toBytes(value, from), to);
    case 'table':
      throw clash(from, to);
  }
}

/** CONVERT with a style: of dates as text, and of binary values as hexadecimal text and back. */
export function convertStyled(value: Scalar, from: SqlType, to: SqlType, style: number): Scalar {
  if (value === null) return null;
  if (from.name === 'sql_variant') {
    const inner = value as SqlValue;
    return convertStyled(inner.value, inner.type, to, style);
  }
  if (MOMENTS.has(from.name) && isText(to)) return fitText(dateText(value as Moment, from, style), UNTYPED_TEXT, to);
  const hexadecimal = style === 1 || style === 2;
  if (hexadecimal && isBytes(from) && isText(to)) {
    return fitText((style === 1 ? '0x' : '') + (value as Buffer).toString('hex').toUpperCase(), UNTYPED_TEXT, to);
  }
  if (hexadecimal && isText(from) && isBytes(to)) {
    const [, digits] = (style === 1 ? /^0x((?:[0-9a-f]{2})*)$/i : /^((?:[0-9a-f]{2})*)$/i).exec(value as string) ?? [];
    if (digits === undefined) throw failed(value as string, from, to);
    return fitBytes(Buffer.from(digits, 'hex'), to);
  }
  if (isText(from) && MOMENTS.has(to.name)) return toMoment(reordered(value as string, style), from, to);
  return convert(value, from, to);
}

const UNTYPED_TEXT: SqlType = { name: 'varchar', length: MAX };

/** The text of a date in ISO order. */
function reordered(text: string, style: number): string {
  const separator = style === 104 ? '\\.' : '/';
  if (style !== 101 && style !== 103 && style !== 104) return text;
  const match = new RegExp(`^(\\d\\d?)${separator}(\\d\\d?)${separator}(\\d{4})$`).exec(text.trim());
  if (match === null) return text;
  const [, first = '', second = '', year = ''] = match;
  const [month, day] = style === 101 ? [first, second] : [second, first];
  return `${year}-${month.padStart(2, '0')}-${day.padStart(2, '0')}`;
}

const TEXT = new Set<TypeName>(['char', 'nchar', 'varchar', 'nvarchar', 'text', 'ntext', 'xml']);
const BYTES = new Set<TypeName>(['binary', 'varbinary', 'image', 'udt']);
const MOMENTS = new Set<TypeName>(['date', 'time', 'datetime', 'datetime2', 'datetimeoffset', 'smalldatetime']);

export function isText(type: SqlType): boolean {
  return TEXT.has(type.name);
}

export function isBytes(type: SqlType): boolean {
  return BYTES.has(type.name);
}

/** Decimal places of an exact number. */
export function scaleOf(type: SqlType): number {
  if (type.name === 'money' || type.name === 'smallmoney') return 4;
  return type.precision === undefined ? 0 : (type.scale ?? 0);
}

/** A value as an unscaled integer with `scale` decimal places. */
export function toDecimal(value: Scalar, from: SqlType, scale: number, to: SqlType): bigint {
  switch (typeof value) {
    case 'boolean':
      return rescale(value ? 1n : 0n, 0, scale);
    case 'bigint':
      return rescale(value, scaleOf(from), scale);
    case 'number': {
      if (Number.isInteger(value)) return rescale(BigInt(value), 0, scale);
      const parsed = parseDecimal(value.toFixed(Math.min(20, scale + 2)));
      if (parsed === undefined) throw overflow(from, to);
      return rescale(parsed.unscaled, parsed.scale, scale);
    }
    case 'string': {
      const parsed = parseDecimal(value === '' ? '0' : value);
      if (parsed === undefined) throw failed(value, from, to);
      return rescale(parsed.unscaled, parsed.scale, scale);
    }
    default:
      throw clash(from, to);
  }
}

function toInteger(value: Scalar, from: SqlType, to: SqlType): bigint {
  if (typeof value === 'number') return BigInt(Math.trunc(value));
  if (typeof value === 'bigint') {
    const scale = scaleOf(from);
    // Money is rounded to an integer; decimals are truncated.
    return from.precision === undefined ? rescale(value, scale, 0) : value / 10n ** BigInt(scale);
  }
  if (typeof value === 'string') {
    const digits = value.trim();
    if (digits.length > LONGEST_NUMBER || !/^[+-]?\d*$/.test(digits)) throw failed(value, from, to);
    return BigInt(digits === '' ? 0 : digits.replace(/^\+/, ''));
  }
  if (typeof value === 'boolean') return value ? 1n : 0n;
  if (Buffer.isBuffer(value)) return value.length === 0 ? 0n : BigInt.asIntN(64, BigInt(`0x${value.toString('hex')}`));
  throw clash(from, to);
}

const RANGES: Partial<Record<TypeName, readonly [bigint, bigint]>> = {
  tinyint: [0n, 255n],
  smallint: [-32_768n, 32_767n],
  int: [-2_147_483_648n, 2_147_483_647n],
  bigint: [-9_223_372_036_854_775_808n, 9_223_372_036_854_775_807n],
  // In units of 0.0001.
  smallmoney: [-2_147_483_648n, 2_147_483_647n],
  money: [-9_223_372_036_854_775_808n, 9_223_372_036_854_775_807n],
};

/** The integer itself, or the error of a conversion from that type. */
function fitsInteger(value: bigint, from: SqlType, to: SqlType): bigint {
  const range = RANGES[to.name];
  if (range === undefined || (value >= range[0] && value <= range[1])) return value;
  if (isText(from)) throw textOverflow(value, from, to);
  if ((from.name === 'int' || from.name === 'smallint') && to.name !== 'int') {
    const message = `Arithmetic overflow error for data type ${to.name}, value = ${value}.`;
    throw new SqlServerError({ number: 220, state: 2, message });
  }
  throw overflow(undefined, to);
}

function textOverflow(value: bigint, from: SqlType, to: SqlType): SqlServerError {
  const large = to.name === 'int';
  const column = large ? 'an int' : to.name === 'smallint' ? 'an INT2' : 'an INT1';
  const advice = large ? '' : ' Use a larger integer column.';
  return new SqlServerError({
    number: large ? 248 : 244,
    message: `The conversion of the ${from.name} value '${value}' overflowed ${column} column.${advice}`,
  });
}

/** The integer or the amount of money itself, or error 8115 if it does not fit the type. */
export function inRange(value: bigint, type: SqlType, from?: SqlType): bigint {
  const range = RANGES[type.name];
  if (range !== undefined && (value < range[0] || value > range[1])) throw overflow(from, type);
  return value;
}

export function fitsDecimal(unscaled: bigint, type: SqlType): bigint {
  const limit = 10n ** BigInt(type.precision ?? 18);
  if (unscaled >= limit || unscaled <= -limit) throw overflow(undefined, type);
  return unscaled;
}

export function toNumber(value: Scalar, from: SqlType, to: SqlType): number {
  if (typeof value === 'number') return value;
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (typeof value === 'bigint') return Number(value) / 10 ** scaleOf(from);
  if (typeof value === 'string') {
    const number = Number(value);
    if (Number.isNaN(number)) throw failed(value, from, to);
    return number;
  }
  throw clash(from, to);
}

function toMoment(value: Scalar, from: SqlType, to: SqlType): Moment {
  let moment: Moment;
  if (MOMENTS.has(from.name)) moment = value as Moment;
  else if (typeof value === 'string') moment = parseMoment(value, from, to);
  else throw clash(from, to);
  if (to.name === 'time') return { days: DAYS_TO_1900, ticks: cut(moment.ticks, to.scale ?? 7) };
  if (moment.days < (FIRST_DAYS[to.name] ?? 0) || moment.days > (LAST_DAYS[to.name] ?? LAST_DAY)) {
    throw outOfRange(from, to);
  }
  if (to.name === 'date') return { days: moment.days, ticks: 0 };
  const ticks = to.scale === undefined ? moment.ticks : cut(moment.ticks, to.scale);
  return { days: moment.days, ticks, offset: moment.offset ?? 0 };
}

/** Days since the year 1 of 1753-01-01 and 1900-01-01. */
const FIRST_DAYS: Partial<Record<TypeName, number>> = { datetime: 639_905, smalldatetime: DAYS_TO_1900 };
/** Days since the year 1 of 2079-06-06. */
const LAST_DAYS: Partial<Record<TypeName, number>> = { smalldatetime: DAYS_TO_1900 + 65_535 };
/** Days since the year 1 of 9999-12-31. */
const LAST_DAY = 3_652_058;

function notADate(): SqlServerError {
  const message = 'Conversion failed when converting date and/or time from character string.';
  return new SqlServerError({ number: 241, message });
}

/** A date that does not exist, or that the type cannot hold. */
function outOfRange(from: SqlType, to: SqlType): SqlServerError {
  if (to.name !== 'datetime' && to.name !== 'smalldatetime') return notADate();
  return new SqlServerError({
    number: 242,
    state: 3,
    message: `The conversion of a ${from.name} data type to a ${to.name} data type resulted in an out-of-range value.`,
  });
}

function cut(ticks: number, scale: number): number {
  const unit = 10 ** (7 - scale);
  return Math.floor(ticks / unit) * unit;
}

const TIME_TEXT =
  /^(?:(\d{4})(-?)(\d\d)\2(\d\d))?(?:T|\s{0,20})(?:(\d\d?):(\d\d)(?::(\d\d)(?:\.(\d{1,7}))?)?)?\s{0,20}(Z|[+-]\d\d:\d\d)?$/i;

function parseMoment(text: string, from: SqlType, to: SqlType): Moment {
  const match = TIME_TEXT.exec(text.trim());
  if (match === null || (match[1] === undefined && match[5] === undefined)) throw notADate();
  const [, year = '1900', , month = '01', day = '01', hour = '0', minute = '0', second = '0', fraction = '', zone] =
    match;
  const [y, m, d] = [Number(year), Number(month), Number(day)];
  const date = new Date(0);
  // Unlike Date.UTC, it takes the years 1 to 99 as they are. Both carry month 13 into the next year.
  date.setUTCFullYear(y, m - 1, d);
  const exists = y > 0 && date.getUTCMonth() === m - 1 && date.getUTCDate() === d;
  if (!exists || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) throw outOfRange(from, to);
  const offset = zone === undefined || /z/i.test(zone) ? 0 : zoneMinutes(zone);
  if (Math.abs(offset) > LARGEST_OFFSET || Number(zone?.slice(4) || 0) > 59) throw notADate();
  const seconds = (Number(hour) * 60 + Number(minute) - offset) * 60 + Number(second);
  const ticks = seconds * 10_000_000 + Number(fraction.padEnd(7, '0'));
  const DAY = 864_000_000_000;
  const carry = Math.floor(ticks / DAY);
  return { days: momentOf(date).days + carry, ticks: ticks - carry * DAY, offset };
}

/** 14 hours, in minutes. */
const LARGEST_OFFSET = 840;

function zoneMinutes(zone: string): number {
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(4, 6));
  return zone.startsWith('-') ? -minutes : minutes;
}

function toGuid(value: Scalar, from: SqlType): string {
  if (from.name === 'uniqueidentifier') return value as string;
  const given = typeof value === 'string' ? value.trim() : '';
  const text = given.startsWith('{') && given.endsWith('}') ? given.slice(1, -1) : given;
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) {
    throw new SqlServerError({
      number: 8169,
      state: 2,
      message: 'Conversion failed when converting from a character string to uniqueidentifier.',
    });
  }
  return text.toUpperCase();
}

/** A value as text, as CAST to nvarchar(max) writes it. */
export function toText(value: Scalar, from: SqlType): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean') return value ? '1' : '0';
  if (typeof value === 'number') return String(value);
  if (typeof value === 'bigint') {
    const money = from.name === 'money' || from.name === 'smallmoney';
    return money ? decimalText(rescale(value, 4, 2), 2) : decimalText(value, scaleOf(from));
  }
  if (Buffer.isBuffer(value)) return decodeCp1252(value);
  if (MOMENTS.has(from.name)) return dateText(value as Moment, from);
  throw clash(from, { name: 'nvarchar', length: MAX });
}

/** SQL Server writes these as `*` if they do not fit. */
const STAR_IF_TOO_LONG = new Set<TypeName>(['int', 'smallint', 'tinyint']);

function fitText(text: string, from: SqlType, to: SqlType): string {
  const length = to.length ?? MAX;
  if (text.length > length) {
    if (isText(from) || isBytes(from)) return text.slice(0, length);
    if (STAR_IF_TOO_LONG.has(from.name) && !to.name.startsWith('n')) return '*'.padEnd(to.name === 'char' ? length : 1);
    throw overflow(from, to);
  }
  return to.name === 'char' || to.name === 'nchar' ? text.padEnd(length) : text;
}

function toBytes(value: Scalar, from: SqlType): Buffer {
  if (Buffer.isBuffer(value)) return value;
  if (typeof value === 'string') {
    if (from.name === 'uniqueidentifier') return Buffer.from(value.replaceAll('-', ''), 'hex');
    return from.name.startsWith('n') ? Buffer.from(value, 'utf16le') : encodeCp1252(value);
  }
  if (typeof value === 'number' || typeof value === 'boolean') {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32BE(Number(value));
    return bytes;
  }
  throw clash(from, { name: 'varbinary' });
}

function fitBytes(bytes: Buffer, to: SqlType): Buffer {
  const length = to.length ?? MAX;
  if (bytes.length > length) return bytes.subarray(0, length);
  return to.name === 'binary' ? Buffer.concat([bytes, Buffer.alloc(length - bytes.length)]) : bytes;
}

function failed(text: string, from: SqlType, to: SqlType): SqlServerError {
  const integer = RANGES[to.name] !== undefined || to.name === 'bit';
  if (!integer) {
    return new SqlServerError({
      number: 8114,
      state: 5,
      message: `Error converting data type ${from.name} to ${to.name}.`,
    });
  }
  return new SqlServerError({
    number: 245,
    message: `Conversion failed when converting the ${from.name} value '${text.slice(0, 1000)}' to data type ${to.name}.`,
  });
}

/** Error 8115. */
export function overflow(from: SqlType | undefined, to: SqlType): SqlServerError {
  const what = from === undefined || from.name === to.name ? 'expression' : from.name;
  return new SqlServerError({
    number: 8115,
    state: 2,
    message: `Arithmetic overflow error converting ${what} to data type ${to.name}.`,
  });
}

function clash(from: SqlType, to: SqlType): SqlServerError {
  return new SqlServerError({
    number: 529,
    state: 2,
    message: `Explicit conversion from data type ${typeText(from)} to ${typeText(to)} is not allowed.`,
  });
}

/** The type in which an operation on two types is evaluated. */
export function commonType(left: SqlType, right: SqlType): SqlType {
  if (left === UNTYPED) return right;
  if (right === UNTYPED) return left;
  if (isText(left) && isText(right)) {
    const length = Math.max(left.length ?? MAX, right.length ?? MAX);
    const national = left.name.startsWith('n') || right.name.startsWith('n');
    return { name: national ? 'nvarchar' : 'varchar', length };
  }
  if (left.precision !== undefined || right.precision !== undefined) {
    const other = left.precision === undefined ? left : right;
    if (RANK.indexOf(other.name) < RANK.indexOf('decimal') && other.precision === undefined) return other;
    return mergeDecimals(asDecimal(left), asDecimal(right));
  }
  return RANK.indexOf(left.name) <= RANK.indexOf(right.name) ? left : right;
}

/** Data type precedence, highest first. */
const RANK: readonly TypeName[] = [
  ...(['table', 'udt', 'sql_variant', 'xml', 'datetimeoffset', 'datetime2', 'datetime', 'smalldatetime'] as const),
  ...(['date', 'time', 'float', 'real', 'decimal', 'numeric', 'money', 'smallmoney', 'bigint', 'int'] as const),
  ...(['smallint', 'tinyint', 'bit', 'ntext', 'text', 'image', 'uniqueidentifier', 'nvarchar', 'nchar'] as const),
  ...(['varchar', 'char', 'varbinary', 'binary'] as const),
];

/** The decimal type that holds every value of an exact number type. */
export function asDecimal(type: SqlType): { name: TypeName; precision: number; scale: number } {
  if (type.precision !== undefined) return { name: type.name, precision: type.precision, scale: type.scale ?? 0 };
  const PRECISIONS: Partial<Record<TypeName, number>> = {
    bit: 1,
    tinyint: 3,
    smallint: 5,
    int: 10,
    bigint: 19,
    money: 19,
  };
  const scale = scaleOf(type);
  return { name: 'numeric', precision: PRECISIONS[type.name] ?? (scale > 0 ? 10 : 38), scale };
}

function mergeDecimals(left: ReturnType<typeof asDecimal>, right: ReturnType<typeof asDecimal>): SqlType {
  const scale = Math.max(left.scale, right.scale);
  const whole = Math.max(left.precision - left.scale, right.precision - right.scale);
  return { name: left.name, precision: Math.min(38, whole + scale), scale };
}

/** Compares two values of `type`: -1, 0 or 1. */
export function compare(left: Scalar, right: Scalar, type: SqlType): number {
  if (type.name === 'sql_variant') {
    const [a, b] = [left as SqlValue, right as SqlValue];
    const common = commonType(a.type, b.type);
    return compare(convert(a.value, a.type, common), convert(b.value, b.type, common), common);
  }
  if (MOMENTS.has(type.name)) {
    const [a, b] = [left as Moment, right as Moment];
    return Math.sign(a.days - b.days) || Math.sign(a.ticks - b.ticks);
  }
  if (Buffer.isBuffer(left) && Buffer.isBuffer(right)) return Buffer.compare(left, right);
  if (isText(type)) {
    // The collation ignores case, and comparison ignores trailing blanks.
    const [a, b] = [(left as string).trimEnd().toLowerCase(), (right as string).trimEnd().toLowerCase()];
    return a < b ? -1 : a > b ? 1 : 0;
  }
  const [a, b] = [left as number, right as number];
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The SQL Server type of a JavaScript value, as users of mssql and tedious expect it. */
export function typeOfJs(value: unknown): SqlType | undefined {
  switch (typeof value) {
    case 'boolean':
      return BIT;
    case 'number':
      if (!Number.isInteger(value)) return { name: 'float' };
      if (value >= -0x80000000 && value <= 0x7fffffff) return { name: 'int' };
      return { name: Number.isSafeInteger(value) ? 'bigint' : 'float' };
    case 'bigint':
      return { name: 'bigint' };
    case 'string':
      return { name: 'nvarchar', length: value.length > 4000 ? MAX : 4000 };
    default:
      if (value instanceof Date) return { name: 'datetime2', scale: 7 };
      if (Buffer.isBuffer(value) || value instanceof Uint8Array) return { name: 'varbinary', length: MAX };
      return undefined;
  }
}

/** Converts a JavaScript value to a value of `type`. */
export function fromJs(value: unknown, type: SqlType): Scalar {
  if (value === null || value === undefined) return null;
  const own = typeOfJs(value);
  if (own === undefined) throw new TypeError(`a value of type '${typeof value}' cannot be sent as ${typeText(type)}`);
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw new TypeError(`${value} cannot be sent as ${typeText(type)}`);
  }
  if (value instanceof Date && Number.isNaN(value.getTime())) {
    throw new TypeError(`an invalid Date cannot be sent as ${typeText(type)}`);
  }
  let scalar = value as Scalar;
  if (value instanceof Date) scalar = momentOf(value);
  else if (value instanceof Uint8Array && !Buffer.isBuffer(value)) scalar = Buffer.from(value);
  else if (own.name === 'bigint') scalar = BigInt(value as number | bigint);
  return convert(scalar, own, type);
}

/** Converts a value to JavaScript: numbers where they are safe, `Date`s, strings, buffers; a `bigint` stays one. */
export function toJs(value: Scalar, type: SqlType): unknown {
  if (value === null) return null;
  if (type.name === 'sql_variant') return toJs((value as SqlValue).value, (value as SqlValue).type);
  if (type.name === 'table') return tableToJs(value as TableValue);
  if (MOMENTS.has(type.name)) return dateOf(value as Moment);
  if (typeof value === 'bigint' && type.name !== 'bigint') return Number(decimalText(value, scaleOf(type)));
  return value;
}

/** A table-valued parameter, with T-SQL column types. */
function tableToJs({ typeName, columns, rows }: TableValue): {
  typeName: string;
  columns: string[];
  rows: unknown[][];
} {
  return {
    typeName,
    columns: columns.map(typeText),
    rows: rows.map((row) => row.map((value, i) => toJs(value, columns[i] as SqlType))),
  };
}

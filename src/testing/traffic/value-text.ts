import {
  DAYS_TO_1900,
  dateOf,
  decimalText,
  type Moment,
  momentOf,
  parseDecimal,
  rescale,
  type Scalar,
  type SqlType,
  type SqlValue,
  typeNamed,
  typeText,
} from '../tds/data-type.js';

/** A value in a recording, exact and readable in a diff. */
export type TextValue = null | boolean | number | string | { type: string; value: TextValue };

const TICKS_OF_SECOND = 10_000_000;

/**
 * Numbers and text unchanged; decimals, money and bigint as decimal text; dates and times in ISO 8601 with full precision;
 * binary as base64; a `sql_variant` with its type.
 */
export function toTextValue(value: Scalar, type: SqlType): TextValue {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return value;
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint') return decimalText(value, scaleOf(type));
  if (Buffer.isBuffer(value)) return value.toString('base64');
  if ('days' in value) return momentText(value, type);
  if (type.name === 'sql_variant') {
    const inner = value as SqlValue;
    return { type: typeText(inner.type), value: toTextValue(inner.value, inner.type) };
  }
  throw new TypeError(`a value of type ${type.name} cannot be recorded`);
}

/** @throws TypeError for a value that is invalid for its type. */
export function fromTextValue(value: unknown, type: SqlType): Scalar {
  if (value === null) return null;
  switch (type.name) {
    case 'bit':
      return expectKind(value, 'boolean', type);
    case 'tinyint':
    case 'smallint':
    case 'int':
    case 'real':
    case 'float':
      return expectKind(value, 'number', type);
    case 'bigint':
    case 'decimal':
    case 'numeric':
    case 'money':
    case 'smallmoney': {
      const parsed = parseDecimal(expectKind(value, 'string', type));
      if (parsed === undefined) throw unlike(type);
      return rescale(parsed.unscaled, parsed.scale, scaleOf(type));
    }
    case 'date':
    case 'time':
    case 'datetime':
    case 'datetime2':
    case 'smalldatetime':
    case 'datetimeoffset':
      return momentFrom(expectKind(value, 'string', type), type);
    case 'binary':
    case 'varbinary':
    case 'image':
    case 'udt':
      return Buffer.from(expectKind(value, 'string', type), 'base64');
    case 'sql_variant': {
      const { type: name, value: inner } = value as { type?: unknown; value?: unknown };
      const own = typeof name === 'string' ? parseTypeText(name) : undefined;
      if (own === undefined || own.name === 'sql_variant') throw unlike(type);
      return { type: own, value: fromTextValue(inner, own) };
    }
    case 'table':
      throw unlike(type);
    default:
      return expectKind(value, 'string', type);
  }
}

/** Parses the output of {@link typeText}; undefined for anything else. */
export function parseTypeText(text: string): SqlType | undefined {
  const match = /^(\w{1,40})(?:\(([\w,]{1,20})\))?$/.exec(text);
  return match === null ? undefined : typeNamed(match[1] as string, match[2]?.split(',') ?? []);
}

function scaleOf(type: SqlType): number {
  return type.name === 'money' || type.name === 'smallmoney' ? 4 : (type.scale ?? 0);
}

function momentText(moment: Moment, type: SqlType): string {
  const date = dateOf({ days: moment.days, ticks: 0 }).toISOString().slice(0, 10);
  if (type.name === 'date') return date;
  const fraction = String(moment.ticks % TICKS_OF_SECOND).padStart(7, '0');
  const seconds = Math.floor(moment.ticks / TICKS_OF_SECOND);
  const two = (part: number): string => String(part).padStart(2, '0');
  const time = `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}.${fraction}`;
  if (type.name === 'time') return time;
  // The moment is in UTC; the offset in minutes gives the local time.
  return type.name === 'datetimeoffset' ? `${date}T${time}Z${signed(moment.offset ?? 0)}` : `${date}T${time}`;
}

const MOMENT = /^(?:(\d{4}-\d{2}-\d{2})T?)?(?:(\d{2}):(\d{2}):(\d{2})\.(\d{7}))?(?:Z([+-]\d{1,3}))?$/;

function momentFrom(text: string, type: SqlType): Moment {
  const match = text.length > 40 ? null : MOMENT.exec(text);
  const [, date, hours = '0', minutes = '0', seconds = '0', fraction = '0', offset] = match ?? [];
  const day = date === undefined ? undefined : momentOf(new Date(`${date}T00:00:00Z`)).days;
  if (match === null || text === '' || Number.isNaN(day)) throw unlike(type);
  const ticks = (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * TICKS_OF_SECOND + Number(fraction);
  return { days: day ?? DAYS_TO_1900, ticks, ...(offset === undefined ? {} : { offset: Number(offset) }) };
}

function signed(minutes: number): string {
  return minutes < 0 ? String(minutes) : `+${minutes}`;
}

function expectKind(value: unknown, kind: 'boolean', type: SqlType): boolean;
function expectKind(value: unknown, kind: 'number', type: SqlType): number;
function expectKind(value: unknown, kind: 'string', type: SqlType): string;
function expectKind(value: unknown, kind: string, type: SqlType): unknown {
  if (typeof value !== kind) throw unlike(type);
  return value;
}

function unlike(type: SqlType): TypeError {
  return new TypeError(`a value is not of type ${typeText(type)}`);
}

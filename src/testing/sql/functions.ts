import { randomUUID } from 'node:crypto';
import {
  BIGINT,
  DATETIME,
  FLOAT,
  INT,
  MAX,
  momentOf,
  nvarchar,
  type Scalar,
  type SqlType,
  UNTYPED,
} from '../tds/data-type.js';
import { type SqlErrorInfo, SqlServerError } from '../tds/server-error.js';
import type { Bound, Scope } from './bound.js';
import { commonType, compare, convert, isText, toText } from './conversion.js';
import { FACTS, GLOBALS } from './facts.js';

/** The built-in functions. */

/** True if there is a function of that upper-case name. */
export function isFunction(name: string): boolean {
  return Object.hasOwn(FUNCTIONS, name) || Object.hasOwn(FACTS, name);
}

/** All functions, and the values that are written like one (`@@SPID`, `SYSTEM_USER`); docs/testing-sql-emulator.md lists them. */
export function functionNames(): string[] {
  return [FUNCTIONS, FACTS, GLOBALS].flatMap((group) => Object.keys(group));
}

/** Binds a function call. {@link isFunction} must be true for the name. */
export function callFunction(name: string, args: readonly Bound[], scope: Scope): Bound {
  const fact = scope.fact(name);
  if (fact !== undefined) return { type: nvarchar(128), get: () => fact };
  const [least, most] = COUNTS[name] ?? [0, args.length];
  if (args.length < least || args.length > most) throw wrongCount(name, least, most);
  const build = FUNCTIONS[name] as (call: Call) => Bound;
  return build(new Call(name, args, scope));
}

/** The arguments of a call, in the forms that functions need. */
class Call {
  readonly args: readonly Bound[];
  readonly scope: Scope;
  readonly #name: string;

  constructor(name: string, args: readonly Bound[], scope: Scope) {
    this.#name = name;
    this.args = args;
    this.scope = scope;
  }

  arg(index: number): Bound {
    const arg = this.args[index];
    if (arg === undefined) throw wrongCount(this.#name, index + 1, index + 1);
    return arg;
  }

  text(index: number): () => string | null {
    const { type, get } = this.arg(index);
    return () => {
      const value = get();
      return value === null ? null : toText(value, type);
    };
  }

  count(index: number): () => number {
    const { type, get } = this.arg(index);
    return () => Number(convert(get(), type, INT) ?? 0);
  }

  /** A count that must not be negative. */
  length(index: number, negative: SqlErrorInfo): () => number {
    const count = this.count(index);
    return () => {
      const length = count();
      if (length < 0) throw new SqlServerError(negative);
      return length;
    };
  }

  /** Type of the first argument as text. */
  get textType(): SqlType {
    const { type } = this.arg(0);
    return isText(type) ? type : { name: 'varchar', length: 8000 };
  }

  /** A function of the first argument as text; null stays null. */
  ofText(type: SqlType, change: (value: string) => Scalar): Bound {
    const value = this.text(0);
    return {
      type,
      get: () => {
        const present = value();
        return present === null ? null : change(present);
      },
    };
  }
}

function asVariant(value: string | number | null): Scalar {
  if (value === null) return null;
  return typeof value === 'number' ? { type: INT, value } : { type: nvarchar(128), value };
}

function leftLength(name: string): SqlErrorInfo {
  return { number: 536, message: `Invalid length parameter passed to the ${name} function.` };
}

const SUBSTRING_LENGTH: SqlErrorInfo = {
  number: 537,
  message: 'Invalid length parameter passed to the LEFT or SUBSTRING function.',
};

function now(type: SqlType): (call: Call) => Bound {
  return ({ scope }) => ({ type, get: () => momentOf(new Date(scope.now())) });
}

const FUNCTIONS: Readonly<Record<string, (call: Call) => Bound>> = {
  SYSUTCDATETIME: now({ name: 'datetime2', scale: 7 }),
  SYSDATETIME: now({ name: 'datetime2', scale: 7 }),
  SYSDATETIMEOFFSET: now({ name: 'datetimeoffset', scale: 7 }),
  GETDATE: now(DATETIME),
  GETUTCDATE: now(DATETIME),
  CURRENT_TIMESTAMP: now(DATETIME),
  NEWID: () => ({ type: { name: 'uniqueidentifier' }, get: () => randomUUID().toUpperCase() }),
  XACT_STATE: ({ scope }) => ({ type: { name: 'smallint' }, get: () => (scope.transactionDepth() > 0 ? 1 : 0) }),
  OBJECT_ID: (call) => call.ofText(INT, (name) => call.scope.objectId(name)),
  DB_ID: (call) => {
    const name = call.args.length === 0 ? undefined : call.text(0);
    return { type: { name: 'smallint' }, get: () => call.scope.databaseId(name === undefined ? null : name()) };
  },
  SESSION_CONTEXT: (call) => call.ofText({ name: 'sql_variant' }, (key) => call.scope.contextOf(key) ?? null),
  CONTEXT_INFO: ({ scope }) => ({ type: { name: 'varbinary', length: 128 }, get: () => scope.contextInfo() }),
  SESSIONPROPERTY: (call) => call.ofText(INT, (name) => call.scope.sessionProperty(name)),
  DATABASEPROPERTYEX: (call) => {
    const name = call.text(1);
    return call.ofText(nvarchar(128), (database) => call.scope.databaseProperty(database, name() ?? ''));
  },
  SCOPE_IDENTITY: () => ({ type: { name: 'numeric', precision: 38, scale: 0 }, get: () => null }),
  SERVERPROPERTY: (call) => call.ofText({ name: 'sql_variant' }, (name) => asVariant(call.scope.property(name))),

  LEN: (call) => {
    const long = call.textType.length === MAX;
    return call.ofText(long ? BIGINT : INT, (value) => {
      const { length } = withoutTrailingBlanks(value);
      return long ? BigInt(length) : length;
    });
  },
  DATALENGTH: (call) => {
    const { type, get } = call.arg(0);
    return { type: INT, get: () => storageBytes(get(), type) };
  },
  UPPER: (call) => call.ofText(call.textType, (value) => value.toUpperCase()),
  LOWER: (call) => call.ofText(call.textType, (value) => value.toLowerCase()),
  TRIM: (call) => call.ofText(call.textType, (value) => withoutLeadingBlanks(withoutTrailingBlanks(value))),
  LTRIM: (call) => call.ofText(call.textType, withoutLeadingBlanks),
  RTRIM: (call) => call.ofText(call.textType, withoutTrailingBlanks),
  REVERSE: (call) => call.ofText(call.textType, (value) => [...value].reverse().join('')),
  LEFT: (call) => {
    const length = call.length(1, leftLength('left'));
    return call.ofText(call.textType, (value) => value.slice(0, length()));
  },
  RIGHT: (call) => {
    const length = call.length(1, leftLength('right'));
    return call.ofText(call.textType, (value) => value.slice(Math.max(0, value.length - length())));
  },
  SUBSTRING: (call) => {
    const [from, length] = [call.count(1), call.length(2, SUBSTRING_LENGTH)];
    return call.ofText(call.textType, (value) => {
      const start = from() - 1;
      return value.slice(Math.max(0, start), Math.max(0, start + length()));
    });
  },
  CHARINDEX: (call) => {
    const [what, start] = [call.text(0), call.args.length > 2 ? call.count(2) : () => 1];
    const text = call.text(1);
    return {
      type: INT,
      get: () => {
        const [sought, within] = [what(), text()];
        if (sought === null || within === null) return null;
        // The collation ignores case; an empty text is never found.
        return sought === '' ? 0 : within.toLowerCase().indexOf(sought.toLowerCase(), Math.max(0, start() - 1)) + 1;
      },
    };
  },
  REPLACE: (call) => {
    const [what, by] = [call.text(1), call.text(2)];
    return call.ofText(call.textType, (value) => {
      const searched = what();
      return searched === null || searched === '' ? value : value.replaceAll(searched, () => by() ?? '');
    });
  },
  REPLICATE: (call) => {
    const times = call.count(1);
    // As in SQL Server, the result is truncated at 8000 bytes unless the input has a MAX type.
    const { textType } = call;
    const limit = textType.length === MAX ? MAX : textType.name.startsWith('n') ? 4000 : 8000;
    return call.ofText({ ...textType, length: limit }, (value) =>
      times() < 0 ? null : replicate(value, times(), limit),
    );
  },
  CONCAT: (call) => concatenate(call.args, false),
  STR: (call) => {
    const { type, get } = call.arg(0);
    const length = call.args.length > 1 ? call.count(1) : () => 10;
    const decimals = call.args.length > 2 ? call.count(2) : () => 0;
    return {
      type: { name: 'varchar', length: 8000 },
      get: () => {
        const value = convert(get(), type, FLOAT);
        return value === null ? null : rightAligned(value as number, length(), decimals());
      },
    };
  },
  ISNULL: (call) => {
    const [first, second] = [call.arg(0), call.arg(1)];
    const type = first.type === UNTYPED ? second.type : first.type;
    return { type, get: () => first.get() ?? convert(second.get(), second.type, type) };
  },
  COALESCE: (call) => {
    const type = [call.arg(0), ...call.args.slice(1)].map((arg) => arg.type).reduce(commonType);
    return {
      type,
      get: () => {
        for (const arg of call.args) {
          const value = arg.get();
          if (value !== null) return convert(value, arg.type, type);
        }
        return null;
      },
    };
  },
  NULLIF: (call) => {
    const [first, second] = [call.arg(0), call.arg(1)];
    const type = commonType(first.type, second.type);
    return {
      type: first.type,
      get: () => {
        const [a, b] = [first.get(), second.get()];
        if (a === null || b === null) return a;
        return compare(convert(a, first.type, type), convert(b, second.type, type), type) === 0 ? null : a;
      },
    };
  },
  ABS: (call) => {
    const { type, get } = call.arg(0);
    return {
      type,
      get: () => {
        const value = get();
        if (typeof value === 'number') return Math.abs(value);
        return typeof value === 'bigint' && value < 0n ? -value : value;
      },
    };
  },
};

/** STR: with as many decimal places as fit; asterisks if the whole number does not fit. */
function rightAligned(value: number, length: number, decimals: number): string | null {
  if (length < 0 || length > 8000 || decimals < 0) return null;
  for (let places = Math.min(16, decimals); places >= 0; places -= 1) {
    const text = value.toFixed(places);
    if (text.length <= length && !text.includes('e')) return text.padStart(length);
  }
  return '*'.repeat(length);
}

// No regular expression: ` +$` takes time quadratic in the number of blanks before another character.
function withoutTrailingBlanks(value: string): string {
  let end = value.length;
  while (end > 0 && value.charAt(end - 1) === ' ') end -= 1;
  return value.slice(0, end);
}

function withoutLeadingBlanks(value: string): string {
  let start = 0;
  while (value.charAt(start) === ' ') start += 1;
  return value.slice(start);
}

/** Concatenates texts: with `nullWins` like `+`, without it like CONCAT. */
export function concatenate(parts: readonly Bound[], nullWins: boolean): Bound {
  const national = parts.some((part) => part.type.name.startsWith('n'));
  const lengths = parts.map((part) => (isText(part.type) ? (part.type.length ?? MAX) : 40));
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const length = total === MAX ? MAX : Math.min(national ? 4000 : 8000, Math.max(1, total));
  const texts = parts.map(({ type, get }) => () => {
    const value = get();
    return value === null ? null : toText(value, type);
  });
  return {
    type: { name: national ? 'nvarchar' : 'varchar', length },
    get: () => {
      let joined = '';
      for (const text of texts) {
        const value = text();
        if (value === null && nullWins) return null;
        joined += value ?? '';
      }
      return joined.length > length ? joined.slice(0, length) : joined;
    },
  };
}

function replicate(value: string, times: number, limit: number): string {
  const count = Math.max(0, times);
  if (limit !== MAX) return value.repeat(Math.min(count, Math.ceil(limit / Math.max(1, value.length)))).slice(0, limit);
  if (value.length * count > LARGEST_TEXT) {
    throw new SqlServerError({
      number: 7119,
      message: 'Attempting to grow LOB beyond maximum allowed size of 2147483647 bytes.',
    });
  }
  return value.repeat(count);
}

/** Maximum length of a JavaScript string. */
const LARGEST_TEXT = 0x1fff_ffe8;

function storageBytes(value: Scalar, type: SqlType): number | null {
  if (value === null) return null;
  if (Buffer.isBuffer(value)) return value.length;
  if (typeof value === 'string' && isText(type)) return value.length * (type.name.startsWith('n') ? 2 : 1);
  return STORAGE_BYTES[type.name] ?? 8;
}

const STORAGE_BYTES: Readonly<Record<string, number>> = {
  bit: 1,
  tinyint: 1,
  smallint: 2,
  int: 4,
  real: 4,
  date: 3,
  uniqueidentifier: 16,
};

/** How many arguments a function takes, at least and at most; one that is not listed takes any number. */
const COUNTS: Readonly<Record<string, readonly [number, number]>> = {
  ...counted(0, 0, ['SYSUTCDATETIME', 'SYSDATETIME', 'SYSDATETIMEOFFSET', 'GETDATE', 'GETUTCDATE', 'NEWID']),
  ...counted(0, 0, ['XACT_STATE', 'CONTEXT_INFO', 'SCOPE_IDENTITY']),
  ...counted(0, 1, ['DB_ID']),
  ...counted(1, 1, ['SESSION_CONTEXT', 'SESSIONPROPERTY', 'SERVERPROPERTY', 'LEN', 'DATALENGTH', 'UPPER', 'LOWER']),
  ...counted(1, 1, ['TRIM', 'LTRIM', 'RTRIM', 'REVERSE', 'ABS']),
  ...counted(1, 2, ['OBJECT_ID']),
  ...counted(1, 3, ['STR']),
  ...counted(2, 2, ['DATABASEPROPERTYEX', 'LEFT', 'RIGHT', 'REPLICATE', 'ISNULL', 'NULLIF']),
  ...counted(2, 3, ['CHARINDEX']),
  ...counted(2, 254, ['CONCAT']),
  ...counted(3, 3, ['SUBSTRING', 'REPLACE']),
};

function counted(least: number, most: number, names: readonly string[]): Record<string, readonly [number, number]> {
  return Object.fromEntries(names.map((name) => [name, [least, most]]));
}

function wrongCount(name: string, least: number, most: number): SqlServerError {
  const range = least === most ? `${least} argument(s)` : `${least} to ${most} arguments`;
  const message = `The ${name.toLowerCase()} function requires ${range}.`;
  return new SqlServerError({ number: least === most ? 174 : 189, class: 15, message });
}

import { randomUUID } from 'node:crypto';
import {
  BIGINT,
  DATETIME,
  decimalText,
  INT,
  MAX,
  momentOf,
  nvarchar,
  rescale,
  type Scalar,
  type SqlType,
} from '../tds/data-type.js';
import { SqlServerError } from '../tds/server-error.js';
import {
  asDecimal,
  commonType,
  compare,
  convert,
  fitsDecimal,
  inRange,
  isBytes,
  isText,
  toDecimal,
  toText,
} from './conversion.js';
import type { Condition, Expression } from './syntax.js';

/** An expression whose type is known; `get` computes its value of the moment. */
export interface Bound {
  type: SqlType;
  get: () => Scalar;
}

/** What an expression can refer to. */
export interface Scope {
  variable(name: string): Bound | undefined;
  column(name: string): Bound | undefined;
  /** `@@SPID` and its like, by upper-case name. */
  global(name: string): Bound | undefined;
  /** What `DB_NAME()`, `SUSER_SNAME()` and their like say, by upper-case name. */
  fact(name: string): string | null | undefined;
  transactionDepth(): number;
}

export function bind(expression: Expression, scope: Scope): Bound {
  switch (expression.kind) {
    case 'literal': {
      const { value } = expression;
      return { type: expression.type, get: () => value };
    }
    case 'variable': {
      const variable = scope.variable(expression.name);
      if (variable === undefined) throw undeclared(expression.name);
      return variable;
    }
    case 'global': {
      const global = scope.global(expression.name);
      if (global === undefined) throw undeclared(expression.name);
      return global;
    }
    case 'column': {
      const column = scope.column(expression.name);
      if (column === undefined) throw noSuchColumn(expression.name, expression.qualifier);
      return column;
    }
    case 'cast':
      return cast(bind(expression.operand, scope), expression.type, expression.orNull);
    case 'negate':
      return arithmetic('-', { type: INT, get: () => 0 }, bind(expression.operand, scope));
    case 'binary':
      return binary(expression.operator, bind(expression.left, scope), bind(expression.right, scope));
    case 'case':
      return bindCase(expression, scope);
    case 'call':
      return call(
        expression.name,
        expression.args.map((arg) => bind(arg, scope)),
        scope,
      );
  }
}

/** True, false, or null for unknown. */
export function bindCondition(condition: Condition, scope: Scope): () => boolean | null {
  switch (condition.kind) {
    case 'and': {
      const [left, right] = [bindCondition(condition.left, scope), bindCondition(condition.right, scope)];
      return () => {
        const [a, b] = [left(), right()];
        return a === false || b === false ? false : a === null || b === null ? null : true;
      };
    }
    case 'or': {
      const [left, right] = [bindCondition(condition.left, scope), bindCondition(condition.right, scope)];
      return () => {
        const [a, b] = [left(), right()];
        return a === true || b === true ? true : a === null || b === null ? null : false;
      };
    }
    case 'not': {
      const operand = bindCondition(condition.operand, scope);
      return () => {
        const value = operand();
        return value === null ? null : !value;
      };
    }
    case 'isNull': {
      const operand = bind(condition.operand, scope);
      return () => (operand.get() === null) !== condition.negated;
    }
    case 'compare': {
      const [left, right] = [bind(condition.left, scope), bind(condition.right, scope)];
      const type = commonType(left.type, right.type);
      const holds = COMPARISONS[condition.operator];
      const [a, b] = [cast(left, type), cast(right, type)];
      return () => {
        const [x, y] = [a.get(), b.get()];
        return x === null || y === null ? null : holds(compare(x, y, type));
      };
    }
  }
}

const COMPARISONS: Record<'=' | '<>' | '<' | '<=' | '>' | '>=', (order: number) => boolean> = {
  '=': (order) => order === 0,
  '<>': (order) => order !== 0,
  '<': (order) => order < 0,
  '<=': (order) => order <= 0,
  '>': (order) => order > 0,
  '>=': (order) => order >= 0,
};

function cast(operand: Bound, type: SqlType, orNull = false): Bound {
  if (sameType(operand.type, type)) return operand;
  const get = (): Scalar => convert(operand.get(), operand.type, type);
  if (!orNull) return { type, get };
  return {
    type,
    get: () => {
      try {
        return get();
      } catch (error) {
        if (error instanceof SqlServerError) return null;
        throw error;
      }
    },
  };
}

function sameType(a: SqlType, b: SqlType): boolean {
  return a.name === b.name && a.length === b.length && a.precision === b.precision && a.scale === b.scale;
}

function binary(operator: '+' | '-' | '*' | '/' | '%', left: Bound, right: Bound): Bound {
  if (operator === '+' && isText(left.type) && isText(right.type)) return concatenate([left, right], true);
  if (operator === '+' && isBytes(left.type) && isBytes(right.type)) {
    const type: SqlType = { name: 'varbinary', length: roomFor(left, right, 8000) };
    return { type, get: () => both(left, right, (a, b) => Buffer.concat([a as Buffer, b as Buffer])) };
  }
  return arithmetic(operator, left, right);
}

function both(left: Bound, right: Bound, combine: (a: Scalar, b: Scalar) => Scalar): Scalar {
  const [a, b] = [left.get(), right.get()];
  return a === null || b === null ? null : combine(a, b);
}

function roomFor(left: Bound, right: Bound, limit: number): number {
  const [a, b] = [left.type.length ?? MAX, right.type.length ?? MAX];
  return a === MAX || b === MAX ? MAX : Math.min(limit, a + b);
}

function concatenate(parts: readonly Bound[], nullWins: boolean): Bound {
  const national = parts.some((part) => part.type.name.startsWith('n'));
  const lengths = parts.map((part) => (isText(part.type) ? (part.type.length ?? MAX) : 40));
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const limit = national ? 4000 : 8000;
  const length = total === MAX ? MAX : Math.min(limit, Math.max(1, total));
  return {
    type: { name: national ? 'nvarchar' : 'varchar', length },
    get: () => {
      const values = parts.map((part) => {
        const value = part.get();
        return value === null ? null : toText(value, part.type);
      });
      if (nullWins && values.includes(null)) return null;
      const text = values.map((value) => value ?? '').join('');
      return text.length > length ? text.slice(0, length) : text;
    },
  };
}

const INTEGERS = new Set(['bit', 'tinyint', 'smallint', 'int', 'bigint']);

function arithmetic(operator: '+' | '-' | '*' | '/' | '%', left: Bound, right: Bound): Bound {
  const common = commonType(left.type, right.type);
  if (common.name === 'float' || common.name === 'real') {
    const [a, b] = [cast(left, common), cast(right, common)];
    return { type: common, get: () => both(a, b, (x, y) => ofNumbers(operator, x as number, y as number)) };
  }
  if (INTEGERS.has(common.name)) {
    const type = common.name === 'bit' ? INT : common;
    const [a, b] = [cast(left, type), cast(right, type)];
    if (type.name === 'bigint') {
      return { type, get: () => both(a, b, (x, y) => inRange(ofBigInts(operator, x as bigint, y as bigint), type)) };
    }
    return { type, get: () => both(a, b, (x, y) => smallInteger(operator, x as number, y as number, type)) };
  }
  if (common.precision !== undefined || common.name === 'money' || common.name === 'smallmoney') {
    return decimalArithmetic(operator, left, right, common);
  }
  throw new SqlServerError({
    number: 8117,
    message: `Operand data type ${common.name} is invalid for ${OPERATOR_NAMES[operator]} operator.`,
  });
}

const OPERATOR_NAMES = { '+': 'add', '-': 'subtract', '*': 'multiply', '/': 'divide', '%': 'modulo' } as const;

function smallInteger(operator: '+' | '-' | '*' | '/' | '%', x: number, y: number, type: SqlType): number {
  const result = ofNumbers(operator, x, y);
  const whole = operator === '/' ? Math.trunc(result) : result;
  return Number(inRange(BigInt(whole), type));
}

function ofNumbers(operator: '+' | '-' | '*' | '/' | '%', x: number, y: number): number {
  switch (operator) {
    case '+':
      return x + y;
    case '-':
      return x - y;
    case '*':
      return x * y;
    case '/':
      if (y === 0) throw divideByZero();
      return x / y;
    case '%':
      if (y === 0) throw divideByZero();
      return x % y;
  }
}

function ofBigInts(operator: '+' | '-' | '*' | '/' | '%', x: bigint, y: bigint): bigint {
  switch (operator) {
    case '+':
      return x + y;
    case '-':
      return x - y;
    case '*':
      return x * y;
    case '/':
      if (y === 0n) throw divideByZero();
      return x / y;
    case '%':
      if (y === 0n) throw divideByZero();
      return x % y;
  }
}

/** Precision and scale as in Transact-SQL's table for decimals; money stays money. */
function decimalArithmetic(operator: '+' | '-' | '*' | '/' | '%', left: Bound, right: Bound, common: SqlType): Bound {
  const [a, b] = [asDecimal(numeric(left.type)), asDecimal(numeric(right.type))];
  const money = common.precision === undefined;
  let scale = Math.max(a.scale, b.scale);
  let precision = scale + Math.max(a.precision - a.scale, b.precision - b.scale) + 1;
  if (operator === '*') {
    scale = a.scale + b.scale;
    precision = a.precision + b.precision + 1;
  } else if (operator === '/') {
    scale = Math.max(6, a.scale + b.precision + 1);
    precision = a.precision - a.scale + b.scale + scale;
  }
  if (precision > 38) {
    scale = Math.max(Math.min(scale, 6), scale - (precision - 38));
    precision = 38;
  }
  const type: SqlType = money ? common : { name: common.name, precision, scale };
  const to = money ? 4 : scale;
  return {
    type,
    get: () =>
      both(left, right, (x, y) => {
        const l = toDecimal(x, left.type, a.scale, type);
        const r = toDecimal(y, right.type, b.scale, type);
        return money
          ? ofDecimals(operator, l, a.scale, r, b.scale, to)
          : fitsDecimal(ofDecimals(operator, l, a.scale, r, b.scale, to), type);
      }),
  };
}

/** Text in an operation with a decimal is read as one. */
function numeric(type: SqlType): SqlType {
  return isText(type) ? { name: 'numeric', precision: 38, scale: 6 } : type;
}

function ofDecimals(
  operator: '+' | '-' | '*' | '/' | '%',
  x: bigint,
  xs: number,
  y: bigint,
  ys: number,
  scale: number,
): bigint {
  if (operator === '*') return rescale(x * y, xs + ys, scale);
  if (operator === '/') {
    if (y === 0n) throw divideByZero();
    return (x * 10n ** BigInt(scale + ys - xs)) / y;
  }
  const common = Math.max(xs, ys);
  return rescale(ofBigInts(operator, rescale(x, xs, common), rescale(y, ys, common)), common, scale);
}

function bindCase(expression: Extract<Expression, { kind: 'case' }>, scope: Scope): Bound {
  const branches = expression.branches.map(({ when, result }) => ({
    when: bindCondition(when, scope),
    result: bind(result, scope),
  }));
  const otherwise = expression.otherwise === undefined ? undefined : bind(expression.otherwise, scope);
  const results = [...branches.map(({ result }) => result), ...(otherwise === undefined ? [] : [otherwise])];
  const type = results.map((result) => result.type).reduce(commonType);
  return {
    type,
    get: () => {
      const taken = branches.find(({ when }) => when() === true)?.result ?? otherwise;
      return taken === undefined ? null : convert(taken.get(), taken.type, type);
    },
  };
}

function call(name: string, args: readonly Bound[], scope: Scope): Bound {
  const fact = scope.fact(name);
  if (fact !== undefined) return { type: nvarchar(128), get: () => fact };
  const arg = (index: number): Bound => {
    const found = args[index];
    if (found === undefined) throw wrongArguments(name);
    return found;
  };
  const text = (index: number): (() => string | null) => {
    const { type, get } = arg(index);
    return () => {
      const value = get();
      return value === null ? null : toText(value, type);
    };
  };
  const count = (index: number): (() => number | null) => {
    const { type, get } = arg(index);
    return () => convert(get(), type, INT) as number | null;
  };
  const ofText = (type: SqlType, change: (value: string) => Scalar): Bound => {
    const value = text(0);
    return {
      type,
      get: () => {
        const present = value();
        return present === null ? null : change(present);
      },
    };
  };
  const textType = (): SqlType => (isText(arg(0).type) ? arg(0).type : { name: 'varchar', length: 8000 });
  switch (name) {
    case 'SYSUTCDATETIME':
    case 'SYSDATETIME':
      return { type: { name: 'datetime2', scale: 7 }, get: () => momentOf(new Date()) };
    case 'SYSDATETIMEOFFSET':
      return { type: { name: 'datetimeoffset', scale: 7 }, get: () => momentOf(new Date()) };
    case 'GETDATE':
    case 'GETUTCDATE':
    case 'CURRENT_TIMESTAMP':
      return { type: DATETIME, get: () => momentOf(new Date()) };
    case 'NEWID':
      return { type: { name: 'uniqueidentifier' }, get: () => randomUUID().toUpperCase() };
    case 'XACT_STATE':
      return { type: { name: 'smallint' }, get: () => (scope.transactionDepth() > 0 ? 1 : 0) };
    case 'LEN':
      return ofText(textType().length === MAX ? BIGINT : INT, (value) => {
        const length = value.replace(/ +$/, '').length;
        return textType().length === MAX ? BigInt(length) : length;
      });
    case 'DATALENGTH': {
      const { type, get } = arg(0);
      return {
        type: INT,
        get: () => {
          const value = get();
          if (value === null) return null;
          if (typeof value === 'string' && isText(type)) return value.length * (type.name.startsWith('n') ? 2 : 1);
          return Buffer.isBuffer(value) ? value.length : (STORAGE_BYTES[type.name] ?? 8);
        },
      };
    }
    case 'UPPER':
      return ofText(textType(), (value) => value.toUpperCase());
    case 'LOWER':
      return ofText(textType(), (value) => value.toLowerCase());
    case 'TRIM':
      return ofText(textType(), (value) => value.replace(/^ +| +$/g, ''));
    case 'REVERSE':
      return ofText(textType(), (value) => [...value].reverse().join(''));
    case 'LEFT': {
      const length = count(1);
      return ofText(textType(), (value) => value.slice(0, length() ?? 0));
    }
    case 'RIGHT': {
      const length = count(1);
      return ofText(textType(), (value) => value.slice(Math.max(0, value.length - (length() ?? 0))));
    }
    case 'SUBSTRING': {
      const [from, length] = [count(1), count(2)];
      return ofText(textType(), (value) => {
        const start = (from() ?? 1) - 1;
        return value.slice(Math.max(0, start), Math.max(0, start + (length() ?? 0)));
      });
    }
    case 'REPLACE': {
      const [what, by] = [text(1), text(2)];
      return ofText(textType(), (value) => value.replaceAll(what() || '\0', by() ?? ''));
    }
    case 'REPLICATE': {
      const times = count(1);
      const type = textType();
      // As in SQL Server the result is cut at 8000 bytes unless the input is a MAX type.
      const limit = type.length === MAX ? MAX : type.name.startsWith('n') ? 4000 : 8000;
      return ofText({ ...type, length: limit }, (value) => {
        const n = Math.max(0, times() ?? 0);
        if (value.length * n > 0x7fffffff) throw overflowingText();
        const repeated = value.repeat(limit === MAX ? n : Math.min(n, Math.ceil(limit / Math.max(1, value.length))));
        return repeated.length > limit ? repeated.slice(0, limit) : repeated;
      });
    }
    case 'CONCAT':
      if (args.length < 2) throw wrongArguments(name);
      return concatenate(args, false);
    case 'STR': {
      const { type, get } = arg(0);
      return {
        type: { name: 'varchar', length: 30 },
        get: () => {
          const value = get();
          return value === null ? null : decimalText(toDecimal(value, type, 0, INT), 0).padStart(10);
        },
      };
    }
    case 'ISNULL': {
      const [first, second] = [arg(0), arg(1)];
      const { type } = first;
      return { type, get: () => first.get() ?? convert(second.get(), second.type, type) };
    }
    case 'COALESCE': {
      if (args.length === 0) throw wrongArguments(name);
      const type = args.map((each) => each.type).reduce(commonType);
      return {
        type,
        get: () => {
          for (const each of args) {
            const value = each.get();
            if (value !== null) return convert(value, each.type, type);
          }
          return null;
        },
      };
    }
    case 'NULLIF': {
      const [first, second] = [arg(0), arg(1)];
      const type = commonType(first.type, second.type);
      return {
        type: first.type,
        get: () => {
          const [a, b] = [first.get(), second.get()];
          if (a === null || b === null) return a;
          const equal = compare(convert(a, first.type, type), convert(b, second.type, type), type) === 0;
          return equal ? null : a;
        },
      };
    }
    case 'ABS': {
      const { type, get } = arg(0);
      return {
        type,
        get: () => {
          const value = get();
          if (typeof value === 'number') return Math.abs(value);
          return typeof value === 'bigint' && value < 0n ? -value : value;
        },
      };
    }
    case 'SERVERPROPERTY':
    case 'CONNECTIONPROPERTY':
    case 'SESSIONPROPERTY': {
      const property = text(0);
      return {
        type: { name: 'nvarchar', length: 128 },
        get: () => scope.fact(`${name}:${(property() ?? '').toUpperCase()}`) ?? null,
      };
    }
    case 'ISNUMERIC':
      return ofText(INT, (value) => (value.trim() !== '' && Number.isFinite(Number(value)) ? 1 : 0));
    case 'IS_MEMBER':
    case 'IS_SRVROLEMEMBER':
      return { type: INT, get: () => 0 };
    default:
      throw new SqlServerError({
        number: 195,
        class: 15,
        state: 10,
        message: `'${name.toLowerCase()}' is not a recognized built-in function name.`,
      });
  }
}

const STORAGE_BYTES: Record<string, number> = {
  bit: 1,
  tinyint: 1,
  smallint: 2,
  int: 4,
  real: 4,
  date: 3,
  uniqueidentifier: 16,
};

/** A variable or global as a bound expression. */
export function constant(type: SqlType, value: Scalar): Bound {
  return { type, get: () => value };
}

export function undeclared(name: string): SqlServerError {
  return new SqlServerError({
    number: 137,
    class: 15,
    state: 2,
    message: `Must declare the scalar variable "${name}".`,
  });
}

function noSuchColumn(name: string, qualifier: string | undefined): SqlServerError {
  if (qualifier === undefined) return new SqlServerError({ number: 207, message: `Invalid column name '${name}'.` });
  return new SqlServerError({
    number: 4104,
    message: `The multi-part identifier "${qualifier}.${name}" could not be bound.`,
  });
}

function divideByZero(): SqlServerError {
  return new SqlServerError({ number: 8134, message: 'Divide by zero error encountered.' });
}

function wrongArguments(name: string): SqlServerError {
  return new SqlServerError({
    number: 174,
    class: 15,
    message: `The ${name.toLowerCase()} function does not have that number of arguments.`,
  });
}

function overflowingText(): SqlServerError {
  return new SqlServerError({
    number: 7119,
    message: 'Attempting to grow LOB beyond maximum allowed size of 2147483647 bytes.',
  });
}

import { INT, MAX, rescale, type Scalar, type SqlType, UNTYPED } from '../tds/data-type.js';
import { SqlServerError } from '../tds/server-error.js';
import type { Bound, Scope } from './bound.js';
import {
  asDecimal,
  commonType,
  compare,
  convert,
  convertStyled,
  fitsDecimal,
  inRange,
  isBytes,
  isText,
  toDecimal,
  toText,
} from './conversion.js';
import { callFunction, concatenate } from './functions.js';
import { isLike } from './like.js';
import { undeclared } from './parser.js';
import type { Condition, Expression } from './syntax.js';

/** Bytes of a pattern of LIKE. */
const LONGEST_PATTERN = 8_000;

type Literal = Extract<Expression, { kind: 'literal' }>;

/** Determines the type of an expression and how to compute it. Throws SQL Server's error for an invalid expression. */
export function bind(expression: Expression, scope: Scope): Bound {
  switch (expression.kind) {
    case 'literal': {
      const { type, value } = expression;
      if (type.name === 'money') inRange(value as bigint, type);
      return { type, get: () => value };
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
      if (column === undefined)
        throw new SqlServerError({ number: 207, message: `Invalid column name '${expression.name}'.` });
      return column;
    }
    case 'count':
      return { type: INT, get: () => scope.count() };
    case 'cast':
      return cast(bind(expression.operand, scope), expression.type, expression.orNull, expression.style);
    case 'negate':
      // The least amount has no positive counterpart.
      if (isMoney(expression.operand)) return bind(negative(expression.operand), scope);
      return arithmetic('-', { type: INT, get: () => 0 }, bind(expression.operand, scope));
    case 'binary':
      return binary(expression.operator, bind(expression.left, scope), bind(expression.right, scope));
    case 'case':
      return bindCase(expression, scope);
    case 'call':
      return callFunction(
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
    case 'in': {
      const tests = condition.list.map((right) =>
        bindCondition({ kind: 'compare', operator: '=', left: condition.operand, right }, scope),
      );
      return () => {
        const results = tests.map((test) => test());
        return results.includes(true) ? true : results.includes(null) ? null : false;
      };
    }
    case 'like': {
      const [operand, pattern] = [bind(condition.operand, scope), bind(condition.pattern, scope)];
      const national = operand.type.name.startsWith('n') || pattern.type.name.startsWith('n');
      return () => {
        const [value, like] = [operand.get(), pattern.get()];
        if (value === null || like === null) return null;
        const [text, sought] = [toText(value, operand.type), toText(like, pattern.type)];
        if (sought.length * (pattern.type.name.startsWith('n') ? 2 : 1) > LONGEST_PATTERN) throw patternTooLong();
        // Blanks at the end of the text count only in Unicode.
        const trimmed = national ? text : text.trimEnd();
        return isLike(text, sought) || (trimmed !== text && isLike(trimmed, sought));
      };
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

function cast(operand: Bound, type: SqlType, orNull = false, style?: number): Bound {
  if (sameType(operand.type, type)) return operand;
  const get = (): Scalar =>
    style === undefined
      ? convert(operand.get(), operand.type, type)
      : convertStyled(operand.get(), operand.type, type, style);
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
  if (left.type === UNTYPED && right.type !== UNTYPED) return binary(operator, { ...left, type: right.type }, right);
  if (right.type === UNTYPED && left.type !== UNTYPED) return binary(operator, left, { ...right, type: left.type });
  if (operator === '+' && isText(left.type) && isText(right.type)) return concatenate([left, right], true);
  if (operator === '+' && isBytes(left.type) && isBytes(right.type)) {
    const type: SqlType = { name: 'varbinary', length: joinedLength(left, right, 8000) };
    return { type, get: () => both(left, right, (a, b) => Buffer.concat([a as Buffer, b as Buffer])) };
  }
  return arithmetic(operator, left, right);
}

function both(left: Bound, right: Bound, combine: (a: Scalar, b: Scalar) => Scalar): Scalar {
  const [a, b] = [left.get(), right.get()];
  return a === null || b === null ? null : combine(a, b);
}

function joinedLength(left: Bound, right: Bound, limit: number): number {
  const [a, b] = [left.type.length ?? MAX, right.type.length ?? MAX];
  return a === MAX || b === MAX ? MAX : Math.min(limit, a + b);
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

/** Precision and scale according to Transact-SQL's table for decimals; money stays money. */
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
          ? inRange(ofDecimals(operator, l, a.scale, r, b.scale, to), type)
          : fitsDecimal(ofDecimals(operator, l, a.scale, r, b.scale, to), type);
      }),
  };
}

/** Text in an operation with a decimal is parsed as a decimal. */
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

function isMoney(expression: Expression): expression is Literal {
  return expression.kind === 'literal' && expression.type.name === 'money';
}

function negative(literal: Literal): Literal {
  return { ...literal, value: -(literal.value as bigint) };
}

function patternTooLong(): SqlServerError {
  return new SqlServerError({ number: 8152, state: 10, message: 'String or binary data would be truncated.' });
}

function divideByZero(): SqlServerError {
  return new SqlServerError({ number: 8134, message: 'Divide by zero error encountered.' });
}

import fc from 'fast-check';
import { CredentialRejectedError, TokenPoolError, TokenThrottledError } from '../../../src/index.js';

/** Makes a value anew for each use: some of them remember that they were read. */
export type Maker = () => unknown;

/** A name for the report, and the value. */
export interface Strange {
  name: string;
  make: Maker;
}

/** Text with a secret in forms that can be recognised as one. */
function textWithSecret(secret: string): fc.Arbitrary<string> {
  return fc.constantFrom(
    `client_secret=${secret}`,
    `{"access_token":"${secret}"}`,
    `grant_type=x&client_assertion=${secret}&scope=y`,
    `Authorization: Bearer ${secret}`,
    `${' '.repeat(390)}refresh_token=${secret}`,
    `password="${secret}"`,
  );
}

/** Anything at all, as a field of something that is thrown or returned. */
function field(secret: string): fc.Arbitrary<unknown> {
  return fc.oneof(
    { weight: 3, arbitrary: textWithSecret(secret) },
    { weight: 3, arbitrary: fc.constantFrom<unknown>(undefined, null, true, 0, -1, 42, 1e300, 10n, '', ' ', [], {}) },
    { weight: 3, arbitrary: fc.constantFrom<unknown>(Number.NaN, Infinity, -Infinity, 'soon', '5', -5, 0.1, 2 ** 53) },
    { weight: 1, arbitrary: fc.constantFrom<unknown>(Symbol('s'), () => 1, new Date(Number.NaN), new Map([[1, 2]])) },
    { weight: 2, arbitrary: fc.jsonValue({ maxDepth: 2 }) },
    {
      weight: 1,
      arbitrary: fc.constantFrom<unknown>('AADSTS7000215: bad', 'AADSTS'.repeat(1000), ' '.repeat(100_000)),
    },
  );
}

/** Properties that the library may look at in what is thrown or returned. */
const FIELDS = [
  'name',
  'message',
  'code',
  'stack',
  'cause',
  'errors',
  'status',
  'statusCode',
  'errorCode',
  'errorMessage',
  'subError',
  'aadsts',
  'retryAfterMs',
  'retryAfter',
  'correlationId',
  'errorResponse',
  'response',
  'headers',
  'responseHeaders',
  'token',
  'expiresOnTimestamp',
  'refreshAfterTimestamp',
  'tokenType',
  'then',
] as const;

/** An object with strange fields, of which some throw when they are read. */
function strangeObject(secret: string): fc.Arbitrary<Strange> {
  const part = fc.record({
    key: fc.constantFrom(...FIELDS),
    value: field(secret),
    throws: fc.nat(9).map((chance) => chance === 0),
  });
  return fc
    .record({ parts: fc.array(part, { maxLength: 6 }), base: fc.constantFrom('object', 'null', 'error', 'ours') })
    .map(({ parts, base }) => ({
      name: `${base} ${parts.map(({ key, value, throws }) => `${key}=${throws ? '(throws)' : show(value)}`).join(' ')}`,
      make: () => {
        const target = baseOf(base, secret);
        for (const { key, value, throws } of parts) {
          const get = () => {
            if (throws) throw new Error('this getter throws');
            return value;
          };
          Object.defineProperty(target, key, { enumerable: true, configurable: true, get });
        }
        return target;
      },
    }));
}

function baseOf(base: string, secret: string): object {
  if (base === 'null') return Object.create(null);
  if (base === 'object') return {};
  const error =
    base === 'error'
      ? new Error(`it failed with client_secret=${secret}`)
      : new CredentialRejectedError('Refused.', { retryAfterMs: Number.NaN });
  // With --enable-source-maps Node reads the message when it first formats the stack: here, and not once a getter throws.
  String(error.stack);
  return error;
}

function show(value: unknown): string {
  try {
    return String(JSON.stringify(value)).slice(0, 60);
  } catch {
    return String(typeof value);
  }
}

/** A class of a user's own, below ours, that cannot be built in our way. */
class Unbuildable extends TokenPoolError {
  constructor(needed: { text: string }) {
    super(needed.text);
  }
}

function cyclic(): Error {
  const error = new AggregateError([], 'cyclic');
  error.errors.push(error);
  error.cause = error;
  return error;
}

function responseWith(headers: unknown): object {
  return Object.assign(new Error('failed'), { statusCode: 429, response: { headers } });
}

/** Values that have broken programs before. */
export const NAMED_VALUES: readonly Strange[] = [
  { name: 'undefined', make: () => undefined },
  { name: 'null', make: () => null },
  { name: 'a text', make: () => 'no' },
  { name: 'a number', make: () => 42 },
  { name: 'a symbol', make: () => Symbol('no') },
  { name: 'a bigint', make: () => 10n },
  { name: 'a function', make: () => () => 'no' },
  { name: 'a message that is an object', make: () => ({ status: 400, message: {} }) },
  { name: 'a message that is a number', make: () => ({ statusCode: 500, message: 42 }) },
  { name: 'a message without prototype', make: () => ({ statusCode: 500, message: Object.create(null) }) },
  { name: 'a message that is a symbol', make: () => ({ status: 400, message: Symbol('no') }) },
  { name: 'a description that is no text', make: () => ({ status: 400, errorResponse: { errorDescription: [1] } }) },
  { name: 'codes that are no array', make: () => ({ status: 400, errorResponse: { errorCodes: 'x' } }) },
  { name: 'an error code that is an object', make: () => ({ status: 400, errorCode: {}, errorResponse: 7 }) },
  { name: 'a numeric Retry-After', make: () => responseWith({ get: () => 30 }) },
  { name: 'a Retry-After list', make: () => responseWith({ get: () => ['30', '40'] }) },
  { name: 'headers that throw', make: () => responseWith({ get: () => JSON.parse('{') }) },
  { name: 'headers without get', make: () => responseWith('none') },
  { name: 'retryAfterMs NaN', make: () => Object.assign(new TokenThrottledError('x'), { retryAfterMs: Number.NaN }) },
  { name: 'retryAfterMs text', make: () => ({ status: 429, retryAfterMs: 'soon' }) },
  {
    name: 'retryAfterMs Infinity',
    make: () => new TokenThrottledError('x', { retryAfterMs: Number.POSITIVE_INFINITY }),
  },
  { name: 'retryAfterMs negative', make: () => new TokenThrottledError('x', { retryAfterMs: -1e9 }) },
  { name: 'a class that cannot be built again', make: () => new Unbuildable({ text: 'mine' }) },
  { name: 'a cycle', make: cyclic },
  {
    name: 'a proxy that throws at everything',
    make: () =>
      new Proxy(new Error('x'), {
        get: () => {
          throw new Error('trap');
        },
        getPrototypeOf: () => {
          throw new Error('trap');
        },
      }),
  },
  {
    name: 'a revoked proxy',
    make: () => {
      const { proxy, revoke } = Proxy.revocable({}, {});
      revoke();
      return proxy;
    },
  },
  {
    name: 'toString that throws',
    make: () => ({
      toString: () => {
        throw new Error('no text');
      },
    }),
  },
  { name: 'a name that is a symbol', make: () => Object.assign(new Error('x'), { name: Symbol('n') }) },
  { name: 'a stack that is an object', make: () => Object.assign(new Error('x'), { stack: {} }) },
  { name: 'a frozen error', make: () => Object.freeze(new CredentialRejectedError('Frozen.')) },
  { name: 'a message of a million blanks', make: () => new Error(' '.repeat(1_000_000)) },
];

/** Anything that can be thrown or returned. */
export function strangeValue(secret: string): fc.Arbitrary<Strange> {
  return fc.oneof(
    { weight: 2, arbitrary: fc.constantFrom(...NAMED_VALUES) },
    { weight: 4, arbitrary: strangeObject(secret) },
    { weight: 1, arbitrary: fc.anything().map((value) => ({ name: show(value), make: () => value })) },
  );
}

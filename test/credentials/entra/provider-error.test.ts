import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { retryAfterMs } from '../../../src/credentials/entra/http-request.js';
import { asCredentialFailure, providerError } from '../../../src/credentials/entra/provider-error.js';
import { TokenPoolError } from '../../../src/index.js';

const throwing = (): never => {
  throw new Error('from a getter');
};
const hostileProxy = new Proxy({}, { get: throwing, has: throwing, getPrototypeOf: () => null });

const THROWN: [string, unknown][] = [
  ['undefined', undefined],
  ['null', null],
  ['a string', 'failed'],
  ['a number', 42],
  ['NaN', Number.NaN],
  ['a bigint', 10n],
  ['a symbol', Symbol('failed')],
  ['true', true],
  ['a function', () => {}],
  ['an array', ['failed']],
  ['an empty object', {}],
  ['an object without a prototype', Object.create(null)],
  ['a message that is an object', { status: 400, message: {} }],
  ['a message that is a number', { statusCode: 400, message: 42 }],
  ['a message that is a symbol', { status: 500, message: Symbol('m') }],
  ['a message without toString', { status: 400, message: Object.create(null) }],
  [
    'a message that throws',
    {
      status: 400,
      get message() {
        return throwing();
      },
    },
  ],
  [
    'a name that throws',
    {
      get name() {
        return throwing();
      },
    },
  ],
  ['a name that is a number', { name: 5, message: 'm' }],
  ['a status that is text', { status: '429', message: 'm' }],
  ['a status that is NaN', { status: Number.NaN, message: 'm' }],
  ['a status out of range', { status: 1e9, message: 'm' }],
  ['a description that is no text', { status: 400, errorResponse: { error: 1, errorDescription: {} } }],
  ['error codes that are no list', { status: 400, errorResponse: { errorCodes: 'x' }, message: 'm' }],
  [
    'an error response that throws',
    {
      status: 400,
      get errorResponse() {
        return throwing();
      },
    },
  ],
  ['a numeric retry-after header', { status: 429, response: { headers: { get: () => 7 } } }],
  ['a retry-after header that throws', { status: 429, response: { headers: { get: throwing } } }],
  ['headers without get', { status: 429, response: { headers: null } }],
  ['a pause that is NaN', { status: 429, retryAfterMs: Number.NaN }],
  ['a pause that is text', { status: 429, retryAfterMs: '5' }],
  ['a pause that is infinite', { status: 503, retryAfterMs: Number.POSITIVE_INFINITY }],
  ['a negative pause', { status: 503, retryAfterMs: -5 }],
  ['a proxy that throws', hostileProxy],
  [
    'a revoked proxy',
    (() => {
      const { proxy, revoke } = Proxy.revocable({}, {});
      revoke();
      return proxy;
    })(),
  ],
  ['an aggregate error', new AggregateError([new Error('one')], 'several')],
  [
    'an error with a cyclic cause',
    (() => {
      const e = new Error('x');
      e.cause = e;
      return e;
    })(),
  ],
];

describe('any value that a credential throws becomes a typed error', () => {
  test.each(THROWN)('%s', (_, thrown) => {
    const error = asCredentialFailure(thrown);
    expect(error).toBeInstanceOf(TokenPoolError);
    expect(error.message).not.toBe('');
    const { retryAfterMs: pause } = error;
    if (pause !== undefined) {
      expect(pause).toBeGreaterThanOrEqual(0);
      expect(pause).toBeLessThanOrEqual(3_600_000);
    }
    expect(() => inspect(error)).not.toThrow();
  });
});

test('a numeric Retry-After of the caller’s credential is obeyed', () => {
  expect(asCredentialFailure({ status: 429, response: { headers: { get: () => 7 } } })).toMatchObject({
    code: 'ERR_TOKEN_THROTTLED',
    retryAfterMs: 7_000,
  });
});

test.each([
  ['7', 7_000],
  [' 1.5 ', 1_500],
  // A provider that asks for the longest pause gets the longest.
  ['99999999999', 3_600_000],
  ['9007199254740991', 3_600_000],
  ['9'.repeat(33), undefined],
  ['1e999', undefined],
  ['-5', undefined],
  ['NaN', undefined],
  ['Infinity', undefined],
  ['', undefined],
  ['9999999', 3_600_000],
  [new Date(Date.now() + 864e9).toUTCString(), 3_600_000],
  ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
  ['x'.repeat(100_000), undefined],
  [null, undefined],
  [{}, undefined],
])('Retry-After %j is %j ms', (header, expected) => {
  expect(retryAfterMs(header)).toBe(expected);
});

describe('a copied credential that has lost its private fields is a mistake, not an outage', () => {
  class WithPrivateField {
    #token = 'token';
    async getToken() {
      return { token: this.#token, expiresOnTimestamp: 0 };
    }
  }
  class WithPrivateMethod {
    async getToken() {
      return this.#ask();
    }
    async #ask() {
      return { token: 'token', expiresOnTimestamp: 0 };
    }
  }
  class WithMethods {
    async getToken() {
      return this.ask();
    }
    async ask() {
      return { token: 'token', expiresOnTimestamp: 0 };
    }
  }
  const copies: [string, { getToken(): Promise<unknown> }][] = [
    ['a private field', Object.create(WithPrivateField.prototype)],
    ['a private method', Object.create(WithPrivateMethod.prototype)],
    ['a method', { getToken: WithMethods.prototype.getToken }],
  ];
  test.each(copies)('%s', async (_, copy) => {
    const thrown = await copy.getToken().catch((error: unknown) => error);
    expect(asCredentialFailure(thrown)).toMatchObject({
      code: 'ERR_CONFIGURATION',
      message: expect.stringContaining('copy'),
      hint: expect.stringContaining('Pass the credential itself'),
    });
  });

  test("fetch's own TypeError stays an outage", () => {
    expect(asCredentialFailure(new TypeError('fetch failed'))).toMatchObject({ code: 'ERR_TOKEN_UNAVAILABLE' });
  });
});

test.each([
  [500131, /audience must be this clientId/],
  [7000114, /signed-in person/],
  [50027, /without 'Bearer '/],
])('AADSTS%i does not ask for a new sign-in, which would not help', (aadsts, hint) => {
  const answer = { status: 400, error: 'invalid_grant', description: `AADSTS${aadsts}: no.`, aadsts };
  expect(providerError(answer, 'on-behalf-of request', { person: true })).toMatchObject({
    code: 'ERR_CREDENTIAL_REJECTED',
    hint: expect.stringMatching(hint),
  });
});

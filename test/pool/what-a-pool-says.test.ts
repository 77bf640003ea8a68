import { describe, expect, test } from 'vitest';
import { type CredentialError, ServerUnavailableError, TokenUnavailableError } from '../../src/errors.js';
import { acquireTimedOut, isOfFullPool, tokenExpired, unavailableUntil } from '../../src/pool/acquire-errors.js';
import { healthOf, type Vitals } from '../../src/pool/health.js';
import { holdersInWords } from '../../src/pool/leak-detection.js';

const down = new ServerUnavailableError('connect ECONNREFUSED');
const noToken = new TokenUnavailableError('HTTP 503');

describe('health', () => {
  const stats = { size: 1, borrowed: 1, max: 10, pending: 0, isSuspended: false, borrowers: [] };
  const well: Vitals = {
    stats,
    isClosed: false,
    connectFailure: undefined,
    tokenFailure: undefined,
    hasToken: true,
    longestWaitMs: 0,
    leaking: 0,
    openingForMs: 0,
    isUnserved: false,
  };
  const empty = { stats: { ...stats, size: 0 } };

  test.each<[what: string, vitals: Partial<Vitals>, status: string, ...messages: string[]]>([
    ['working', {}, 'ok'],
    ['unused', { ...empty, hasToken: undefined }, 'ok'],
    ['closed', { isClosed: true, connectFailure: down }, 'down', 'The pool is closed.'],
    [
      'with connections, while the server is away',
      { connectFailure: down },
      'degraded',
      'No connection can be opened: ERR_SERVER_UNAVAILABLE: connect ECONNREFUSED',
    ],
    [
      'without connections, while the server is away',
      { ...empty, connectFailure: down },
      'down',
      'No connection can be opened: ERR_SERVER_UNAVAILABLE: connect ECONNREFUSED',
    ],
    [
      'with a token that cannot be refreshed',
      { ...empty, tokenFailure: noToken },
      'degraded',
      'The token cannot be refreshed: ERR_TOKEN_UNAVAILABLE: HTTP 503',
    ],
    [
      'without a token and without connections',
      { ...empty, tokenFailure: noToken, hasToken: false },
      'down',
      'No token is available: ERR_TOKEN_UNAVAILABLE: HTTP 503',
    ],
    [
      'without a token, with connections',
      { tokenFailure: noToken, hasToken: false },
      'degraded',
      'No token is available: ERR_TOKEN_UNAVAILABLE: HTTP 503',
    ],
    ['without a token, before the first request', { ...empty, hasToken: false }, 'ok'],
    ['suspended', { stats: { ...stats, isSuspended: true } }, 'degraded', 'The pool is suspended: callers wait.'],
    [
      'with callers that wait',
      { stats: { ...stats, borrowed: 10, pending: 3 }, longestWaitMs: 1_000 },
      'degraded',
      '3 waiting for a connection, the first for 1.0 s; 10 of 10 are borrowed.',
    ],
    ['with callers that wait for a moment', { stats: { ...stats, pending: 3 }, longestWaitMs: 999 }, 'ok'],
    ['with leaks', { leaking: 2 }, 'degraded', '2 borrowed for longer than pool.leakDetectionMillis.'],
    [
      'after an error without a code, which is long and names a token',
      { connectFailure: new Error(`eyJhbGciOiJSUzI1NiJ9.eyJvaWQiOiIxIn0.c2ln ${'x'.repeat(400)}`) },
      'degraded',
      `No connection can be opened: [hidden] ${'x'.repeat(291)}`,
    ],
  ])('of a pool %s', (_, vitals, status, ...messages) => {
    const health = healthOf({ ...well, ...vitals });
    expect([health.status, ...health.reasons.map(({ message }) => message)]).toEqual([status, ...messages]);
  });
});

describe('a timeout', () => {
  const stats = { borrowed: 3, opening: 0, pending: 2, max: 10, borrowers: [] };
  const seen = {
    timeoutMs: 3_000,
    openingForMs: 1_250,
    lastFailure: undefined,
    isSuspended: false,
    waitsFor: undefined,
  };
  const said = (more: object, what: object = {}) => {
    const error = acquireTimedOut({ ...stats, ...more } as never, { ...seen, ...what });
    return { text: `${error.message}\n${error.hint}`, cause: error.cause, isOfFullPool: isOfFullPool(error) };
  };

  test('with a connection that is being opened', () => {
    expect(said({ opening: 1 })).toEqual({
      text:
        'No connection became available within 3000 ms: 3 of 10 borrowed, 1 being opened for up to 1.3 s, 1 other caller waiting.\n' +
        'The login has not ended yet: the server or the identity provider is slow to answer, or does not answer.',
      cause: undefined,
      isOfFullPool: false,
    });
  });

  test('after a failure', () => {
    expect(said({ pending: 1 }, { lastFailure: down })).toEqual({
      text:
        'No connection became available within 3000 ms: 3 of 10 borrowed, 0 other callers waiting.\n' +
        'No new connection could be opened; the cause says why.',
      cause: down,
      isOfFullPool: false,
    });
  });

  test('with every connection borrowed', () => {
    const borrowers = [{ connection: 1, borrowedMs: 61_000, holder: 'orders (a.js:1:2)', stack: undefined }];
    expect(said({ borrowed: 10, pending: 3, borrowers }, { lastFailure: down })).toEqual({
      text:
        'No connection became available within 3000 ms: 10 of 10 borrowed, 2 other callers waiting. Borrowed: 1 by orders (a.js:1:2), longest 61.0 s.\n' +
        'Return connections sooner, look for one that is never returned, or raise pool.max.',
      cause: undefined,
      isOfFullPool: true,
    });
  });

  test('says that the pool is suspended', () => {
    expect(said({}, { isSuspended: true, lastFailure: down })).toEqual({
      text:
        'The pool is suspended. No connection became available within 3000 ms: 3 of 10 borrowed, 1 other caller waiting.\n' +
        'pool.resume() lets callers continue.',
      cause: down,
      isOfFullPool: false,
    });
  });

  test('before the next attempt', () => {
    expect(unavailableUntil(4_200.4, down)).toMatchObject({
      code: 'ERR_ACQUIRE_TIMEOUT',
      message: "No connection is open, and the next attempt to open one starts in 4.2 s, after the caller's timeout.",
      hint: 'The cause says why the server cannot be used now.',
      retryAfterMs: 4_201,
      cause: down,
    });
  });

  test('with tokens near their end', () => {
    const source = { scope: 's', tokens: { status: () => ({ failure: noToken }) } };
    const message = 'The token of every connection is near its end, and no later one is available.';
    expect(tokenExpired(source as never, true)).toMatchObject({
      message,
      cause: noToken,
      hint: 'strictExpiry is on: without it, the session would have remained in use.',
    });
    const ofReset = tokenExpired(undefined, false) as CredentialError;
    expect([ofReset.message, ofReset.cause, ofReset.hint]).toEqual([
      message,
      undefined,
      "pool.resetSession is 'always': the server validates the token again at a reset, and would refuse it.",
    ]);
  });
});

test('the holders of most connections are named, those that hold one longest first among equals', () => {
  const held = (holder: string | undefined, ...seconds: number[]) =>
    seconds.map((s, connection) => ({ connection, borrowedMs: s * 1_000, holder, stack: undefined }));
  expect(holdersInWords([])).toBe('');
  expect(holdersInWords(held(undefined, 1))).toBe(' Borrowed: 1 by callers that were not sampled, longest 1.0 s.');
  const three = [...held('a', 1), ...held('b', 2, 9), ...held('c', 5)];
  expect(holdersInWords(three)).toBe(' Borrowed: 2 by b, longest 9.0 s; 1 by c, longest 5.0 s; 1 by a, longest 1.0 s.');
  const more = [...three, ...held('d', 0.5), ...held('e', 0.4, 0.1), ...held('f', 0.3)];
  expect(holdersInWords(more)).toMatch(/; \d+ by others\.$/);
});

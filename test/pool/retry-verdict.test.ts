import type { Connection } from 'tedious';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { AbortedError, LoginRefusedError, ServerUnavailableError, StaleTokenError } from '../../src/errors.js';
import {
  checkoutVerdict,
  errorNumber,
  retryVerdict,
  retryWaitMs,
  waitForRetry,
  wasLost,
  wasNotSent,
  wasRolledBack,
} from '../../src/pool/retry-verdict.js';
import { clockPerTest } from '../support/clock-per-test.js';

const clock = clockPerTest(undefined, { immediates: false });

afterEach(() => void vi.restoreAllMocks());

const message = (number: number) => ({ number, state: 1, class: 16, message: 'x' });
const failure = (properties: object) => Object.assign(new Error('x'), properties);

const healthy = { state: { name: 'LoggedIn' } } as unknown as Connection;
const closed = { closed: true, state: { name: 'Final' } } as unknown as Connection;

/** Each way in which a library links the driver's error. */
const WRAPPED: [library: string, wrap: (error: unknown) => unknown][] = [
  ['tedious', (error) => error],
  ['a cause', (cause) => failure({ cause })],
  ['mssql', (originalError) => failure({ originalError })],
  ['Sequelize', (original) => failure({ original })],
  ['Sequelize, older', (parent) => failure({ parent })],
  ['TypeORM', (driverError) => failure({ driverError })],
  ['two of them', (originalError) => failure({ cause: failure({ originalError }) })],
];

describe.each(WRAPPED)('an error of %s', (_, wrap) => {
  test.each([1205, 3960, 3961, 41301, 41302, 41305, 41325, 41839])(
    '%i: the transaction was rolled back',
    async (number) => {
      const error = wrap(failure({ number }));
      expect(wasRolledBack(error)).toBe(true);
      expect(await retryVerdict(error, [], healthy)).toBe('soon');
      expect(errorNumber(error)).toBe(number);
    },
  );

  test('40501: Azure SQL asks the client to try again later', async () => {
    const error = wrap(failure({ number: 40501 }));
    expect(wasRolledBack(error)).toBe(false);
    expect(await retryVerdict(error, [], healthy)).toBe('later');
  });

  test.each(['ESOCKET', 'ECLOSE', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ECONNCLOSED'])(
    '%s: the connection was lost, unless it is still good',
    async (code) => {
      const error = wrap(failure({ code }));
      expect(await wasLost(error, closed)).toBe(true);
      expect(await wasLost(error, undefined)).toBe(true);
      expect(await wasLost(error, healthy)).toBe(false);
      expect(await retryVerdict(error, [], closed)).toBe('later');
      expect(await retryVerdict(error, [], healthy)).toBe('final');
    },
  );

  test('the request was not sent, because the connection was closed or busy', async () => {
    const busy = wrap(
      Object.assign(new Error('Requests can only be made in the LoggedIn state'), { code: 'EINVALIDSTATE' }),
    );
    expect(wasNotSent(busy)).toBe(true);
    expect(await wasLost(busy, closed)).toBe(false);
    const text = 'Requests can only be made in the LoggedIn state, not the Final state';
    const final = wrap(Object.assign(new Error(text), { code: 'EINVALIDSTATE' }));
    expect(wasNotSent(final)).toBe(true);
    expect(await wasLost(final, closed)).toBe(true);
    expect(await wasLost(wrap(new Error(text)), closed)).toBe(false);
    expect(wasNotSent(wrap(failure({ code: 'EREQUEST' })))).toBe(false);
  });

  test('the server ended the TLS session in order', async () => {
    expect(await wasLost(wrap(new Error('unexpected end of message stream')), closed)).toBe(true);
  });

  test('of a wrong statement is final', async () => {
    const error = wrap(failure({ number: 208, code: 'EREQUEST' }));
    expect(await retryVerdict(error, [], healthy)).toBe('final');
    expect(await retryVerdict(error, [], closed)).toBe('final');
    expect(errorNumber(error)).toBe(208);
  });
});

test('a connection that closes a moment after its statement failed counts as lost', async () => {
  const connection = { closed: false, state: { name: 'LoggedIn' } };
  const lost = wasLost(failure({ code: 'ESOCKET' }), connection as unknown as Connection);
  connection.closed = true;
  expect(await lost).toBe(true);
});

test("the server's messages count if the library hides the error number", async () => {
  const hidden = new Error('the query failed');
  expect(await retryVerdict(hidden, [message(37396)], healthy)).toBe('at-once');
  expect(await retryVerdict(hidden, [message(0), message(1205), message(5701)], healthy)).toBe('soon');
  expect(wasRolledBack(hidden, [message(208), message(3960)])).toBe(true);
  expect(await retryVerdict(hidden, [message(208), message(40613)], healthy)).toBe('later');
  expect(await retryVerdict(hidden, [message(40613), message(208)], healthy)).toBe('final');
  expect(await retryVerdict(hidden, [], healthy)).toBe('final');
});

test.each([undefined, null, 'text', 1205, {}, [], () => 1205])('%o as an error is final', async (error) => {
  expect(await retryVerdict(error, [], healthy)).toBe('final');
  expect(errorNumber(error)).toBeUndefined();
});

test('an error that wraps itself, is nested deeper than eight levels, or throws when it is read does not cause a hang', async () => {
  const cyclic = failure({});
  cyclic.cause = failure({ cause: cyclic, parent: failure({ number: 1205 }) });
  expect(await retryVerdict(cyclic, [], healthy)).toBe('soon');
  const nested = (depth: number): Error =>
    depth === 0 ? failure({ number: 1205 }) : failure({ cause: nested(depth - 1) });
  expect(await retryVerdict(nested(7), [], healthy)).toBe('soon');
  expect(await retryVerdict(nested(8), [], healthy)).toBe('final');
  const refusing = new Proxy(
    {},
    {
      get() {
        throw new Error('no');
      },
    },
  );
  expect(await retryVerdict(failure({ cause: refusing, original: failure({ number: 1205 }) }), [], healthy)).toBe(
    'soon',
  );
});

test('the number is the first one that is a number', () => {
  expect(
    errorNumber(failure({ number: '1205', cause: failure({ number: 208, cause: failure({ number: 1205 }) }) })),
  ).toBe(208);
});

test('a checkout is tried again while the server cannot be reached or the token is stale', () => {
  expect(checkoutVerdict(new ServerUnavailableError('x'))).toBe('later');
  expect(checkoutVerdict(new StaleTokenError('x'))).toBe('later');
  expect(checkoutVerdict(new LoginRefusedError('x'))).toBe('final');
  expect(checkoutVerdict(undefined)).toBe('final');
});

test('how long each verdict waits', () => {
  const random = vi.spyOn(Math, 'random').mockReturnValue(0);
  const waits = (verdict: 'at-once' | 'soon' | 'later') => [1, 2, 3, 20].map((n) => retryWaitMs(verdict, n, 5_000));
  expect(waits('at-once')).toEqual([0, 10_000, 20_000, 60_000]);
  expect(waits('later')).toEqual([5_000, 10_000, 20_000, 60_000]);
  expect(waits('soon')).toEqual([25, 50, 100, 1_000]);
  random.mockReturnValue(1);
  expect(waits('later')).toEqual([5_500, 11_000, 22_000, 66_000]);
  // Two deadlock victims that wait equally long would meet again.
  expect(waits('soon')).toEqual([75, 150, 300, 3_000]);
});

test('the wait for the next attempt can be aborted', async () => {
  const end = new AbortController();
  let state = 'waiting';
  const waited = waitForRetry(5_000, end.signal).then(
    () => {
      state = 'over';
    },
    (error: unknown) => error,
  );
  await clock.pass(4_999);
  expect(state).toBe('waiting');
  end.abort(new Error('shutting down'));
  const error = await waited;
  expect(error).toBeInstanceOf(AbortedError);
  expect(error).toMatchObject({
    message: 'The wait for the next attempt was aborted.',
    cause: expect.objectContaining({ message: 'shutting down' }),
  });
  await expect(waitForRetry(0, end.signal)).rejects.toThrow(AbortedError);
});

test('no wait takes no time, and a wait ends by itself', async () => {
  await waitForRetry(0, undefined);
  await waitForRetry(0, new AbortController().signal);
  expect(clock.pending.size).toBe(0);
  const waited = waitForRetry(5_000, undefined);
  await clock.pass(5_000);
  await waited;
});

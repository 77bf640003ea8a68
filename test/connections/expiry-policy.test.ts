import { describe, expect, test, vi } from 'vitest';
import {
  assess,
  assessPatiently,
  endsSession,
  evictionReason,
  isLaterToken,
  mayReset,
  nextVerdictAt,
  recheckMs,
  type TokenOutlook,
} from '../../src/connections/expiry-policy.js';
import { SessionExpiry, type TokenTimes } from '../../src/connections/session-expiry.js';
import { clockPerTest } from '../support/clock-per-test.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const MAX_AGE = 9.5 * HOUR;

const clock = clockPerTest(56 * MINUTE);

/** A token of an hour: refresh after 50 min, evict after 55, no login after 59. Times count from 0. */
function token(id: string, startsAt = 0): TokenTimes {
  return {
    id,
    obtainedAt: startsAt,
    expiresOn: startsAt + HOUR,
    refreshOn: startsAt + 50 * MINUTE,
    evictAt: startsAt + 55 * MINUTE,
    loginBefore: startsAt + 59 * MINUTE,
    now: () => startsAt,
    remainingMs() {
      return this.expiresOn;
    },
  };
}

const own = token('own');
const later = token('later', 50 * MINUTE);
const half = (): number => 0.5;
const nothing: TokenOutlook = { current: undefined, refreshingForMs: undefined, failing: false };
const onItsWay: TokenOutlook = { ...nothing, refreshingForMs: 0 };

const session = (maxAge = MAX_AGE): SessionExpiry => new SessionExpiry({ token: own, openedAt: 0 }, maxAge, half);
const sqlLogin = (maxAge = MAX_AGE): SessionExpiry =>
  new SessionExpiry({ token: undefined, openedAt: 0 }, maxAge, half);

describe('limits of a session', () => {
  test('renewal lies between refresh and eviction margin, not quite at either end', () => {
    const at = (random: number) => new SessionExpiry({ token: own, openedAt: 0 }, 0, () => random).renewAt / MINUTE;
    expect([at(0), at(0.5), at(1)]).toEqual([50.5, 52.5, 54.5]);
  });

  test('a session that opens after the refresh is due is renewed between its opening and the margin', () => {
    const { renewAt } = new SessionExpiry({ token: own, openedAt: 53 * MINUTE }, 0, half);
    expect(renewAt).toBe(54 * MINUTE);
    expect(new SessionExpiry({ token: own, openedAt: 57 * MINUTE }, 0, half).renewAt).toBe(57 * MINUTE);
  });

  test('age renews a session up to 10 % early, and ends it at the limit', () => {
    expect(sqlLogin()).toMatchObject({ renewAt: 0.95 * MAX_AGE, agedAt: 0.95 * MAX_AGE, retireAt: MAX_AGE });
    expect(sqlLogin().checkAt).toBe(MAX_AGE);
    expect(session().checkAt).toBe(own.evictAt);
  });

  test('without a limit or a token, nothing is ever due', () => {
    const never = Number.POSITIVE_INFINITY;
    expect(sqlLogin(0)).toMatchObject({ renewAt: never, agedAt: never, retireAt: never, checkAt: never });
  });
});

describe('later token', () => {
  test.each([
    ['none', undefined, 0, false],
    ['the same', own, 0, false],
    ['the same, with another end', { ...own, expiresOn: own.expiresOn + HOUR }, 0, false],
    ['the same, although it has ended', own, 2 * HOUR, false],
    ['by less than half the margin', { ...later, expiresOn: own.expiresOn + 2.5 * MINUTE }, 0, false],
    ['by more than half the margin', { ...later, expiresOn: own.expiresOn + 2.5 * MINUTE + 1 }, 0, true],
    ['by a moment, once its own is unusable', { ...later, expiresOn: own.expiresOn + 1 }, own.loginBefore, true],
    ['an earlier one', { ...later, expiresOn: own.expiresOn - 1 }, own.loginBefore, false],
  ] as const)('%s', (_, current, now, expected) => {
    expect(isLaterToken(own, current, now)).toBe(expected);
  });

  test('no token replaces a session without one', () => {
    expect(isLaterToken(undefined, later, 0)).toBe(false);
  });
});

describe('verdict', () => {
  const withLater: TokenOutlook = { ...nothing, current: later };
  const withOwn: TokenOutlook = { ...nothing, current: own };
  const at = { start: 0, renewal: 52.5 * MINUTE, margin: 55 * MINUTE, unusable: 59 * MINUTE, ended: 61 * MINUTE };

  test.each([
    ['new', at.start, withOwn, 'fit', 'fit'],
    ['new, with a later token', at.start, withLater, 'fit', 'fit'],
    ['just before its renewal', at.renewal - 1, withLater, 'fit', 'fit'],
    ['due for renewal', at.renewal, withLater, 'renew', 'renew'],
    ['due for renewal, no later token', at.renewal, withOwn, 'fit', 'fit'],
    ['due for renewal, later token on its way', at.renewal, onItsWay, 'fit', 'fit'],
    ['just outside the margin', at.margin - 1, withLater, 'renew', 'renew'],
    ['in the margin, later token', at.margin, withLater, 'replace', 'replace'],
    ['in the margin, no token', at.margin, nothing, 'fit', 'expired'],
    ['in the margin, its own token only', at.margin, withOwn, 'fit', 'expired'],
    ['in the margin, later token on its way', at.margin, onItsWay, 'wait', 'wait'],
    ['in the margin, its own token, later on its way', at.margin, { ...onItsWay, current: own }, 'wait', 'wait'],
    ['on its way for 999 ms', at.margin, { ...onItsWay, refreshingForMs: 999 }, 'wait', 'wait'],
    ['on its way for a second', at.margin, { ...onItsWay, refreshingForMs: 1_000 }, 'fit', 'wait'],
    ['on its way after a failure, login still possible', at.margin, { ...onItsWay, failing: true }, 'fit', 'wait'],
    ['on its way after a failure, no login possible', at.unusable, { ...onItsWay, failing: true }, 'wait', 'wait'],
    ['ended, nothing available', at.ended, nothing, 'fit', 'expired'],
    ['ended, later token', at.ended, withLater, 'replace', 'replace'],
    ['past its age', MAX_AGE, nothing, 'replace', 'replace'],
  ] as const)('%s', (_, now, outlook, lenient, strict) => {
    expect(assess(session(), outlook, now, { strictExpiry: false })).toBe(lenient);
    expect(assess(session(), outlook, now, { strictExpiry: true })).toBe(strict);
  });

  test.each([
    ['near its age', 0.95 * MAX_AGE, 'renew'],
    ['before that', 0.95 * MAX_AGE - 1, 'fit'],
    ['past its age', MAX_AGE, 'replace'],
  ] as const)('a SQL login %s', (_, now, expected) => {
    for (const strictExpiry of [true, false]) expect(assess(sqlLogin(), nothing, now, { strictExpiry })).toBe(expected);
  });

  test('an aged session in its margin is renewed only if a login is possible', () => {
    const aged = session(40 * MINUTE * 1.5);
    expect(assess(aged, withOwn, 58 * MINUTE, { strictExpiry: false })).toBe('renew');
    expect(assess(aged, nothing, 58 * MINUTE, { strictExpiry: false })).toBe('fit');
  });

  test.each([
    ['as long as a login with its token is possible', at.unusable - 1, 'fit'],
    ['not afterwards: the server would refuse its token', at.unusable, 'expired'],
  ] as const)('P1: a session that has to be reset is used %s', (_, now, verdict) => {
    expect(mayReset(session(), now)).toBe(verdict === 'fit');
    expect(assess(session(), nothing, now, { strictExpiry: false, resets: true })).toBe(verdict);
    expect(assess(session(), nothing, now, { strictExpiry: false })).toBe('fit');
  });

  test('P1: a reset waits for the token in flight once a login is no longer possible', () => {
    const slow = { ...onItsWay, refreshingForMs: 5_000 };
    expect(assess(session(), slow, at.unusable, { strictExpiry: false, resets: true })).toBe('wait');
    expect(assess(session(), slow, at.unusable - 1, { strictExpiry: false, resets: true })).toBe('fit');
  });

  test('a session of a SQL login can be reset at any time', () => {
    expect(mayReset(sqlLogin(), Number.MAX_SAFE_INTEGER)).toBe(true);
  });

  test('P11: the time for a renewal counts from the first later token, not from the latest', () => {
    const first = { ...later, obtainedAt: 54 * MINUTE };
    const second = { ...token('second', 54.5 * MINUTE), obtainedAt: 54.8 * MINUTE };
    const own = token('of this test');
    const expiry = new SessionExpiry({ token: own, openedAt: 0 }, 0, half);
    const verdict = (current: TokenTimes, now: number) =>
      assess(expiry, { ...nothing, current }, now, { strictExpiry: false });
    // 40 % of the way from the arrival of the first to the eviction margin.
    const due = 54.4 * MINUTE;
    expect([verdict(first, due - 1), verdict(first, due), verdict(second, due)]).toEqual(['fit', 'renew', 'renew']);
    expect(verdict(second, due - 1)).toBe('fit');
  });

  test('a session that the server has ended is unusable at any time', () => {
    for (const expiry of [session(), sqlLogin()]) {
      expiry.unusable = 'broken';
      for (const now of Object.values(at)) {
        expect(assess(expiry, withLater, now, { strictExpiry: false })).toBe('unusable');
      }
    }
  });
});

test('the first reason for closing is the server, then age, then the token', () => {
  const expiry = session();
  expect(evictionReason(expiry, 55 * MINUTE)).toBe('token-expiry');
  expect(evictionReason(expiry, 0.95 * MAX_AGE)).toBe('max-age');
  expect(evictionReason(expiry, MAX_AGE)).toBe('max-age');
  expect(evictionReason(expiry, 0.95 * MAX_AGE - 1)).toBe('token-expiry');
  expiry.supersede(0);
  expect(evictionReason(expiry, MAX_AGE)).toBe('credential-replaced');
  expiry.unusable = 'token-invalidated';
  expect(evictionReason(expiry, MAX_AGE)).toBe('token-invalidated');
});

describe('when to assess a session again', () => {
  const withLater: TokenOutlook = { ...nothing, current: later };
  const never = Number.POSITIVE_INFINITY;
  const renewal = 52.5 * MINUTE;

  test.each<[string, TokenOutlook, number, number]>([
    ['when the refresh of its token is due', nothing, 0, own.refreshOn],
    ['when it may be renewed', nothing, own.refreshOn, renewal],
    ['after a while, if there is no later token yet', nothing, renewal, renewal + 5_000],
    ['at the eviction margin', nothing, own.evictAt - 1, own.evictAt],
    [
      'when its turn has come',
      { ...nothing, current: { ...later, obtainedAt: 54 * MINUTE } },
      54 * MINUTE,
      54.4 * MINUTE,
    ],
    ['after a while, although its turn has come', withLater, renewal, renewal + 5_000],
  ])('%s', (_, outlook, now, expected) => {
    // Its own token object: which later token came first is remembered.
    const expiry = new SessionExpiry({ token: { ...own }, openedAt: 0 }, 0, half);
    expect(nextVerdictAt(expiry, outlook, now)).toBe(expected);
  });

  test.each([
    ['when it is renewed for its age', 0, 0.95 * MAX_AGE],
    ['at its maximum age', 0.95 * MAX_AGE, MAX_AGE],
    ['never afterwards', MAX_AGE, never],
  ])('of a SQL login: %s', (_, now, expected) => {
    expect(nextVerdictAt(sqlLogin(), nothing, now)).toBe(expected);
  });

  test('of a SQL login without an age limit: never', () => {
    expect(nextVerdictAt(sqlLogin(0), nothing, 0)).toBe(never);
  });

  test.each([
    [HOUR, 5_000],
    [MINUTE, 1_500],
    [1_000, 50],
  ])('for a later token than one of %i ms: after %i ms', (lifeMs, ms) => {
    const obtainedAt = 10 * MINUTE;
    expect(recheckMs({ ...own, obtainedAt, expiresOn: obtainedAt + lifeMs })).toBe(ms);
  });

  test('for a token if there is none: after a second', () => {
    expect(recheckMs(undefined)).toBe(1_000);
  });
});

test.each([
  ['token refused on a live session', 37396, 1, 16, 'token-invalidated'],
  ['token expired at a reset', 18456, 233, 14, 'token-invalidated'],
  ['fatal', 21, 1, 20, 'broken'],
  ['fatal', 823, 2, 24, 'broken'],
  ['session killed', 596, 1, 16, 'broken'],
  ['server shuts down', 6005, 1, 14, 'broken'],
  ['resource limit', 701, 1, 19, undefined],
  ['deadlock', 1205, 13, 13, undefined],
  ['login failed', 18456, 1, 14, undefined],
] as const)('%s: error %i, state %i, class %i', (_, number, state, severity, expected) => {
  expect(endsSession({ number, state, class: severity, message: 'x' })).toBe(expected);
});

test.each([
  ['refused while another user is impersonated', 18059, 20, 'reset-failed'],
  ['session killed', 596, 21, 'broken'],
  ['login failed', 18456, 14, 'token-invalidated'],
  ['deadlock', 1205, 13, undefined],
] as const)('during a reset, %s: error %i, class %i', (_, number, severity, expected) => {
  expect(endsSession({ number, state: 1, class: severity, message: 'x' }, true)).toBe(expected);
});

describe('a check that waits', () => {
  /** A provider whose request has been under way for a while, and ends on command. */
  function provider(refreshingForMs: number | undefined, current: TokenTimes | undefined = own) {
    let end: () => void = () => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    const state: { -readonly [K in keyof TokenOutlook]: TokenOutlook[K] } = {
      current,
      refreshingForMs,
      failing: false,
    };
    const source = { outlook: () => ({ ...state }), refreshed: vi.fn(() => ended) };
    const answer = (next: TokenTimes | undefined): void => {
      Object.assign(state, { refreshingForMs: undefined, ...(next ? { current: next } : { failing: true }) });
      end();
    };
    return { source, answer };
  }

  const check = (source: ReturnType<typeof provider>['source'], strictExpiry: boolean, timeoutMs?: number) => {
    const seen: { verdict?: string; at?: number } = {};
    const startedAt = Date.now();
    void assessPatiently(session(), source, Date.now, { strictExpiry, timeoutMs }).then((verdict) =>
      Object.assign(seen, { verdict, at: Date.now() - startedAt }),
    );
    return seen;
  };

  test('does not wait if no request is under way', async () => {
    const { source } = provider(undefined);
    const [lenient, strict] = [check(source, false), check(source, true)];
    await clock.pass(0);
    expect([lenient.verdict, strict.verdict]).toEqual(['fit', 'expired']);
    expect(source.refreshed).not.toHaveBeenCalled();
  });

  test.each([false, true])('replaces the session when the token comes (strictExpiry: %s)', async (strict) => {
    const { source, answer } = provider(100);
    const seen = check(source, strict);
    await clock.pass(200);
    expect(seen.verdict).toBeUndefined();
    answer(later);
    await clock.pass(0);
    expect(seen).toEqual({ verdict: 'replace', at: 200 });
    expect(clock.pending.size).toBe(0);
  });

  test.each([
    [false, 'fit'],
    [true, 'expired'],
  ] as const)('ends when the request fails (strictExpiry: %s)', async (strict, verdict) => {
    const { source, answer } = provider(100);
    const seen = check(source, strict);
    answer(undefined);
    await clock.pass(0);
    expect(seen).toEqual({ verdict, at: 0 });
  });

  test('uses the session once the request has taken a second, counted from its start', async () => {
    const { source } = provider(400);
    const seen = check(source, false);
    await clock.pass(599);
    expect(seen.verdict).toBeUndefined();
    await clock.pass(1);
    expect(seen).toEqual({ verdict: 'fit', at: 600 });
  });

  test('waits no longer than the caller, strict or not', async () => {
    const { source } = provider(0);
    const [lenient, strict] = [check(source, false, 300), check(source, true, 5_000)];
    await clock.pass(300);
    expect(lenient).toEqual({ verdict: 'fit', at: 300 });
    expect(strict.verdict).toBeUndefined();
    await clock.pass(4_700);
    expect(strict).toEqual({ verdict: 'expired', at: 5_000 });
  });
});

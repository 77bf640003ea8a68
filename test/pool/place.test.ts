import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Session } from '../../src/connections/session.js';
import { Place } from '../../src/pool/place.js';
import { CachedToken } from '../../src/tokens/cached-token.js';

const NOW = Date.UTC(2026, 0, 1);
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const NEVER = Number.POSITIVE_INFINITY;

beforeEach(() => {
  vi.useFakeTimers({ now: NOW });
});
afterEach(() => {
  vi.useRealTimers();
});

function session(token?: CachedToken): Session {
  return { token, openedAt: NOW } as Session;
}

/** Refresh after 45 min, last checkout after 55, end after 60. */
function token(): CachedToken {
  return new CachedToken(
    { token: 't', expiresOnTimestamp: NOW + HOUR },
    { obtainedAt: NOW, refreshOn: NOW + 45 * MINUTE },
  );
}

/** First and last of many instants chosen at random, ms from now. */
function range(choose: () => number): [first: number, last: number] {
  const all = Array.from({ length: 500 }, () => choose() - NOW);
  return [Math.min(...all), Math.max(...all)];
}

function filled(of: Session, maxAgeMillis: number): Place {
  const place = new Place();
  place.fill(of, maxAgeMillis);
  return place;
}

test("a new place is nobody's, and nothing is the matter with it", () => {
  const no = {
    borrowed: false,
    isLent: false,
    renewWhenBack: false,
    waitsForToken: false,
    resting: false,
    gone: false,
  };
  expect(new Place()).toMatchObject(no);
});

test('without a token and without an age nothing is ever due', () => {
  expect(filled(session(), 0)).toMatchObject({ lookAt: NEVER, renewAt: NEVER, ripeAt: NEVER, retireAt: NEVER });
});

test('renewals for the token lie between its refresh and its last checkout, at neither end', () => {
  const [first, last] = range(() => filled(session(token()), 0).renewAt);
  expect(first).toBeGreaterThanOrEqual(46 * MINUTE);
  expect(first).toBeLessThan(46.5 * MINUTE);
  expect(last).toBeLessThanOrEqual(54 * MINUTE);
  expect(last).toBeGreaterThan(53.5 * MINUTE);
  expect(filled(session(token()), 0).lookAt).toBe(NOW + 55 * MINUTE);
});

test('a connection opened on an older token is not due before it was opened', () => {
  const old = new CachedToken(
    { token: 't', expiresOnTimestamp: NOW + 30 * MINUTE },
    { obtainedAt: NOW - HOUR, refreshOn: NOW - 10 * MINUTE },
  );
  const [first, last] = range(() => filled(session(old), 0).renewAt);
  expect(first).toBeGreaterThanOrEqual(2.5 * MINUTE);
  expect(last).toBeLessThanOrEqual(22.5 * MINUTE);
});

test('age is a reason up to 10 % before its bound, which is looked at on checkout', () => {
  const [first, last] = range(() => filled(session(), HOUR).renewAt);
  expect(first).toBeGreaterThanOrEqual(54 * MINUTE);
  expect(first).toBeLessThan(55 * MINUTE);
  expect(last).toBeLessThanOrEqual(HOUR);
  expect(last).toBeGreaterThan(59 * MINUTE);
  const place = filled(session(), HOUR);
  expect(place).toMatchObject({ retireAt: NOW + HOUR, lookAt: NOW + HOUR, ripeAt: place.renewAt });
});

test('of token and age the earlier one counts', () => {
  const byToken = filled(session(token()), 10 * HOUR);
  expect(byToken.renewAt).toBeLessThan(NOW + 55 * MINUTE);
  expect([byToken.lookAt, byToken.retireAt]).toEqual([NOW + 55 * MINUTE, NOW + 10 * HOUR]);
  const byAge = filled(session(token()), 10 * MINUTE);
  expect(byAge.renewAt).toBeLessThanOrEqual(NOW + 10 * MINUTE);
  expect(byAge.lookAt).toBe(NOW + 10 * MINUTE);
});

test('it is too old from the very end of its age on', () => {
  const place = filled(session(), HOUR);
  vi.setSystemTime(NOW + HOUR - 1);
  expect(place.isTooOld).toBe(false);
  vi.setSystemTime(NOW + HOUR);
  expect(place.isTooOld).toBe(true);
});

test('a new connection starts with a clean slate and gives back the one before', () => {
  const [one, other] = [session(), session()];
  const place = filled(one, HOUR);
  Object.assign(place, { doomed: 'age', resting: true, replacement: other, renewWhenBack: true, waitsForToken: true });
  place.failure = new Error('refused');
  vi.advanceTimersByTime(500);
  expect(place.fill(other, HOUR)).toBe(one);
  expect(place).toMatchObject({ resting: false, renewWhenBack: false, waitsForToken: false, session: other });
  expect([place.doomed, place.replacement, place.failure]).toEqual([undefined, undefined, undefined]);
  expect(place.idleSince).toBe(performance.now());
});

test('an empty place is never due', () => {
  const one = session(token());
  const place = filled(one, HOUR);
  Object.assign(place, { doomed: 'age', resting: true, renewWhenBack: true });
  expect(place.vacate()).toBe(one);
  expect(place).toMatchObject({ resting: false, renewWhenBack: false });
  expect([place.session, place.doomed]).toEqual([undefined, undefined]);
  expect(place).toMatchObject({ lookAt: NEVER, renewAt: NEVER, ripeAt: NEVER, retireAt: NEVER });
});

test('a failure is news for a second', () => {
  const place = new Place();
  const error = new Error('refused');
  vi.advanceTimersByTime(10_000);
  place.failure = error;
  vi.advanceTimersByTime(999);
  expect(place.failure).toBe(error);
  vi.advanceTimersByTime(1);
  expect(place.failure).toBeUndefined();
});

test('connections that waited for a later token are spread over the time that is left', () => {
  vi.setSystemTime(NOW + 50 * MINUTE);
  const waiting = () => {
    const place = filled(session(token()), 0);
    place.waitsForToken = true;
    place.spreadAgain();
    expect(place.waitsForToken).toBe(false);
    return place.renewAt;
  };
  const [first, last] = range(waiting);
  expect(first).toBeGreaterThanOrEqual(50 * MINUTE);
  expect(first).toBeLessThan(50.2 * MINUTE);
  expect(last).toBeLessThanOrEqual(54 * MINUTE);
  expect(last).toBeGreaterThan(53.8 * MINUTE);
  vi.setSystemTime(NOW + 56 * MINUTE);
  expect(waiting()).toBe(NOW + 56 * MINUTE);
});

test('one that did not wait for a token keeps its time, and so does one without', () => {
  for (const place of [filled(session(token()), 0), filled(session(), HOUR)]) {
    const { renewAt } = place;
    place.waitsForToken = place.session?.token === undefined;
    place.spreadAgain();
    expect(place.renewAt).toBe(renewAt);
  }
});

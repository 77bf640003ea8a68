import { expect, test } from 'vitest';
import { CachedToken, refreshTime } from '../../src/tokens/cached-token.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

function held(lifeMs: number): CachedToken {
  return new CachedToken({ token: 't', expiresOnTimestamp: lifeMs }, { obtainedAt: 0, refreshOn: lifeMs / 2 });
}

/** Earliest and latest of many, since each is moved forward at random. */
function refreshTimes(lifeMs: number, askedMs?: number): { first: number; last: number } {
  const token = { token: 't', expiresOnTimestamp: lifeMs, refreshAfterTimestamp: askedMs };
  const times = Array.from({ length: 500 }, () => refreshTime(token, 0));
  return { first: Math.min(...times), last: Math.max(...times) };
}

test('an hour: no login in the last minute, no checkout in the last five', () => {
  expect(held(HOUR)).toMatchObject({ loginBefore: 59 * MINUTE, evictAt: 55 * MINUTE });
});

test('a short token: no login in the last tenth, no checkout in the last quarter', () => {
  expect(held(100_000)).toMatchObject({ loginBefore: 90_000, evictAt: 75_000 });
});

test('the margins of a token that has already expired do not extend beyond its expiry', () => {
  expect(held(-MINUTE)).toMatchObject({ loginBefore: -MINUTE, evictAt: -MINUTE });
});

test.each([
  ['a late time of the issuer is moved well before the last checkout', HOUR, 59 * MINUTE, 52.5 * MINUTE],
  ['a short token too has its refresh well before its last checkout', 100_000, 99_000, 62_500],
  ['a time beyond the end does not count', 24 * HOUR, 25 * HOUR, 23 * HOUR + 50 * MINUTE],
  ['a time at the very end does not count', 24 * HOUR, 24 * HOUR, 23 * HOUR + 50 * MINUTE],
  ['without a time, it is ten minutes before the end', HOUR, undefined, 50 * MINUTE],
])('%s; up to 10 %% earlier, never later', (_, lifeMs, askedMs, dueMs) => {
  const { first, last } = refreshTimes(lifeMs, askedMs);
  expect(last).toBeLessThanOrEqual(dueMs);
  expect(last).toBeGreaterThan(dueMs * 0.98);
  expect(first).toBeGreaterThanOrEqual(Math.floor(dueMs * 0.9));
  expect(first).toBeLessThan(dueMs * 0.92);
});

import { expect, test } from 'vitest';
import { assess } from '../../src/connections/expiry-policy.js';
import { renewalShares } from '../../src/connections/renewal-share.js';
import { SessionExpiry, type TokenTimes } from '../../src/connections/session-expiry.js';

const SECOND = 1_000;

/** A token of 32 s: refresh after 8 s, evict after 24. Times count from 0. */
function token(id: string, startsAt: number): TokenTimes {
  return {
    id,
    obtainedAt: startsAt,
    expiresOn: startsAt + 32 * SECOND,
    refreshOn: startsAt + 8 * SECOND,
    evictAt: startsAt + 24 * SECOND,
    loginBefore: startsAt + 29 * SECOND,
    now: () => startsAt,
    remainingMs() {
      return this.expiresOn;
    },
  };
}

/** The most that lie within a tenth of the period. */
function mostInATenth(shares: number[]): number {
  return Math.max(...shares.map((from) => shares.filter((share) => share >= from && share < from + 0.1).length));
}

test.each([10, 50, 200])('%i sessions on one token are renewed evenly over the renewal period', (count) => {
  const own = token('own', 0);
  const shares = Array.from({ length: count }, () => renewalShares.next(own));
  for (const share of shares) expect(share >= 0 && share < 1).toBe(true);
  expect(mostInATenth(shares)).toBeLessThanOrEqual(count / 10 + 3);
});

test('sessions on their own tokens, or on none, do not follow the same order', () => {
  const shares = Array.from({ length: 1_000 }, (_, i) => renewalShares.next(token(String(i), 0)));
  expect(new Set(shares).size).toBeGreaterThan(900);
  const ofPasswords = Array.from({ length: 1_000 }, () => renewalShares.next(undefined));
  expect(new Set(ofPasswords).size).toBeGreaterThan(900);
});

test('a third token does not postpone the renewal of a session that has been waiting since the second', () => {
  const [first, second, third] = [token('first', 0), token('second', 8 * SECOND), token('third', 16 * SECOND)];
  const shares = Array.from({ length: 9 }, (_, i) => (i + 1) / 10);
  const sessions = shares.map((share) => new SessionExpiry({ token: first, openedAt: 0 }, 0, () => share));
  const renewedAt = sessions.map(() => Number.POSITIVE_INFINITY);
  for (let now = 0; now < 24 * SECOND; now += 100) {
    const current = now < 8 * SECOND ? first : now < 16 * SECOND ? second : third;
    for (const [i, session] of sessions.entries()) {
      const verdict = assess(session, { current, refreshingForMs: undefined, failing: false }, now, {
        strictExpiry: false,
      });
      if (verdict === 'renew') renewedAt[i] = Math.min(renewedAt[i] as number, now);
    }
  }
  // Between the tenth and the ninth tenth of the 16 s from the refresh to the eviction margin.
  expect(renewedAt.map((at) => at / SECOND)).toEqual(
    shares.map((share) => expect.closeTo(8 + 16 * (0.1 + 0.8 * share), 0.5)),
  );
});

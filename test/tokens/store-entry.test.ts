import { expect, test } from 'vitest';
import { CachedToken } from '../../src/tokens/cached-token.js';
import { parseEntry, readEntry, writeEntry } from '../../src/tokens/store-entry.js';
import { clockPerTest } from '../support/clock-per-test.js';

const clock = clockPerTest();

const HOUR = 3_600_000;
const entry = { token: 'token-1', expiresOn: Date.UTC(2026, 0, 1, 1), lifeMs: HOUR, refreshInMs: 1_800_000 };

test('an entry is read as it was written, with or without a time to refresh', () => {
  for (const refreshAfterTimestamp of [undefined, Date.now() + 1_800_000]) {
    const token = new CachedToken(
      { token: 'token-1', expiresOnTimestamp: Date.now() + HOUR, refreshAfterTimestamp },
      { obtainedAt: Date.now() },
    );
    const { refreshInMs } = entry;
    expect(parseEntry(writeEntry(token))).toEqual({
      ...entry,
      refreshInMs: refreshAfterTimestamp === undefined ? undefined : refreshInMs,
    });
  }
});

test.each([
  { token: undefined },
  { token: 1 },
  { expiresOn: undefined },
  { expiresOn: '2026' },
  { expiresOn: -1 },
  { lifeMs: undefined },
  { lifeMs: '1' },
  { refreshInMs: 'soon' },
  { refreshInMs: null },
])('an entry with %j is not one of this version', (wrong) => {
  expect(() => parseEntry(JSON.stringify({ ...entry, ...wrong }))).toThrow(
    'The entry does not have the format of this version.',
  );
});

test("the store's time to live for an entry counts if it ends earlier", async () => {
  await clock.pass(HOUR / 2);
  const read = (ttlMs: unknown) => readEntry(entry, ttlMs);
  expect(read(undefined)).toMatchObject({ skewMs: 0, token: { expiresOn: entry.expiresOn } });
  expect(read('soon')).toMatchObject({ skewMs: 0, token: { expiresOn: entry.expiresOn } });
  expect(read(HOUR / 2)).toMatchObject({ skewMs: 0, token: { expiresOn: entry.expiresOn } });
  const early = read(HOUR / 4);
  expect(early).toMatchObject({ skewMs: HOUR / 4, token: { expiresOn: entry.expiresOn - HOUR / 4 } });
  expect(early.token.obtainedAt).toBe(entry.expiresOn - HOUR / 4 - HOUR);
  expect(early.token.refreshAfter).toBe(early.token.obtainedAt + entry.refreshInMs);
  expect(read(HOUR)).toMatchObject({ skewMs: -HOUR / 2, token: { expiresOn: entry.expiresOn } });
});

import { EventEmitter } from 'node:events';
import type { Connection } from 'tedious';
import { expect, test } from 'vitest';
import { isReady, openSession, sessionOf } from '../../src/connections/session.js';
import { CachedToken } from '../../src/tokens/cached-token.js';

const aConnection = (state: object = {}): Connection =>
  Object.assign(new EventEmitter(), state) as unknown as Connection;

test('each connection has a number of its own, its token and the time it was opened', () => {
  const now = Date.now();
  const token = new CachedToken({ token: 't', expiresOnTimestamp: now + 60_000 }, { obtainedAt: now, refreshOn: now });
  const [one, other] = [aConnection(), aConnection()];
  const [first, second] = [openSession(one, token), openSession(other, undefined)];
  expect(second.id).toBe(first.id + 1);
  expect(first).toMatchObject({ connection: one, token });
  expect(first.expiry.openedAt).toBeGreaterThanOrEqual(now);
  expect(sessionOf(one)).toBe(first);
  expect(sessionOf(other)).toBe(second);
  expect(sessionOf(aConnection())).toBeUndefined();
});

test.each([
  [true, { state: { name: 'LoggedIn' } }],
  [true, { state: { name: 'LoggedIn' }, closed: false, hasError: false }],
  [false, { state: { name: 'LoggedIn' }, closed: true }],
  [false, { state: { name: 'LoggedIn' }, hasError: true }],
  [false, { state: { name: 'SentClientRequest' } }],
  [false, { state: { name: 'Final' } }],
  [false, {}],
])('ready is %s for %j', (ready, state) => {
  expect(isReady(aConnection(state))).toBe(ready);
});

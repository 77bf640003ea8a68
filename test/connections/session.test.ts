import { EventEmitter } from 'node:events';
import type { Connection } from 'tedious';
import { expect, test } from 'vitest';
import type { EvictionReason } from '../../src/channels.js';
import type { ServerMessage } from '../../src/connections/login-failure.js';
import {
  isBusy,
  isInTransaction,
  isLoggedIn,
  isOpen,
  isReady,
  lastWordsOf,
  noteAnswer,
  noteEndOfSession,
  openSession,
  type Session,
  sessionOf,
} from '../../src/connections/session.js';
import { makeResettable, resetOf } from '../../src/connections/session-reset.js';
import { CachedToken } from '../../src/tokens/cached-token.js';

const aConnection = (state: object = {}): Connection =>
  Object.assign(new EventEmitter(), state) as unknown as Connection;

test('each connection has its own number, its token and the time when it was opened', () => {
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

const LOGGED_IN = { state: { name: 'LoggedIn' } };

test.each([
  [true, LOGGED_IN],
  [true, { ...LOGGED_IN, closed: false, hasError: false }],
  [false, { ...LOGGED_IN, closed: true }],
  [false, { ...LOGGED_IN, hasError: true }],
  [false, { state: { name: 'SentClientRequest' } }],
  [false, { state: { name: 'Final' } }],
  [false, {}],
])('ready is %s for %j', (ready, state) => {
  expect(isReady(aConnection(state))).toBe(ready);
  expect(isLoggedIn(aConnection(state))).toBe(ready);
});

test.each<[boolean, EvictionReason | undefined]>([
  [true, undefined],
  [false, 'broken'],
  [false, 'reset-failed'],
  [true, 'token-invalidated'],
  [true, 'read-only'],
])('ready is %s for a session that has become unusable: %s', (ready, unusable) => {
  const connection = aConnection(LOGGED_IN);
  openSession(connection, undefined).expiry.unusable = unusable;
  expect([isReady(connection), isLoggedIn(connection)]).toEqual([ready, true]);
});

test('a connection with a request in progress is busy, but open', () => {
  const connection = aConnection({ state: { name: 'SentClientRequest' } });
  expect([isBusy(connection), isOpen(connection)]).toEqual([true, true]);
  expect([isBusy(aConnection(LOGGED_IN)), isBusy(aConnection())]).toEqual([false, true]);
});

test('in a transaction only if tedious reports one', () => {
  expect(
    [{}, { inTransaction: false }, { inTransaction: true }].map((state) => isInTransaction(aConnection(state))),
  ).toEqual([false, false, true]);
});

// ---- what the server says ----

const says = (number: number, severity: number): ServerMessage => ({
  number,
  state: 1,
  class: severity,
  message: `error ${number}`,
});
const KILLED = says(596, 21);
const READ_ONLY = says(3906, 16);
const LOGIN_FAILED = says(18456, 14);

/** A session, what its pool is notified of, and what has become of it. */
function aSession(state: object = {}, keepsReadOnly = false) {
  const connection = aConnection(state);
  const session = openSession(connection, undefined);
  const notified: string[] = [];
  session.owner = {
    ended: () => {},
    wasReset: () => {},
    becameUnusable: (reason) => notified.push(reason),
    keepsReadOnly: (which: Session) => keepsReadOnly && which === session,
  };
  return {
    connection,
    session,
    outcome: () => ({ unusable: session.expiry.unusable, notified, lastWords: lastWordsOf(session) }),
  };
}

test.each([
  ['broken', KILLED],
  ['read-only', READ_ONLY],
] as const)('a session that the server has ended is not used again: %s', (reason, message) => {
  const { connection, outcome } = aSession();
  noteEndOfSession(connection, message);
  expect(outcome()).toEqual({ unusable: reason, notified: [reason], lastWords: message.message });
});

test('the first reason for which a session ended counts', () => {
  const { connection, outcome } = aSession();
  noteEndOfSession(connection, KILLED);
  noteEndOfSession(connection, READ_ONLY);
  expect(outcome()).toMatchObject({ unusable: 'broken', notified: ['broken', 'read-only'] });
});

test('an error of a request does not end its session', () => {
  const { connection, outcome } = aSession();
  noteEndOfSession(connection, says(547, 16));
  expect(outcome()).toEqual({ unusable: undefined, notified: [], lastWords: undefined });
});

test.each([
  [undefined, { config: { options: { readOnlyIntent: true } } }],
  ['read-only', { config: { options: { readOnlyIntent: false } } }],
  ['read-only', { config: { options: {} } }],
  ['read-only', { config: {} }],
  ['read-only', {}],
])('a database that is read-only ends a session as %s with the config %j', (unusable, state) => {
  const { connection, outcome } = aSession(state);
  noteEndOfSession(connection, READ_ONLY);
  expect(outcome().unusable).toBe(unusable);
});

test('a session that was opened for a replica can be killed like any other', () => {
  const { connection, outcome } = aSession({ config: { options: { readOnlyIntent: true } } });
  noteEndOfSession(connection, KILLED);
  expect(outcome().unusable).toBe('broken');
});

test.each([
  [undefined, READ_ONLY],
  ['broken', KILLED],
])('where another session would be read-only too, a session ends as %s', (unusable, message) => {
  const { connection, outcome } = aSession({}, true);
  noteEndOfSession(connection, message);
  expect(outcome()).toMatchObject({ unusable, notified: unusable === undefined ? [] : [unusable] });
});

test('a session without a pool is marked too', () => {
  for (const message of [READ_ONLY, KILLED]) {
    const connection = aConnection();
    const session = openSession(connection, undefined);
    noteEndOfSession(connection, message);
    expect(session.expiry.unusable).toBe(message === KILLED ? 'broken' : 'read-only');
  }
});

test('messages on a connection that this library did not open are ignored', () => {
  const connection = aConnection();
  noteEndOfSession(connection, KILLED);
  noteAnswer(connection);
  expect(sessionOf(connection)).toBeUndefined();
});

test('a session has served once an answer to a request has begun to arrive that is not the error that ends it', () => {
  const { connection, session } = aSession();
  expect(session.hasServed).toBe(false);
  noteAnswer(connection);
  expect(session.hasServed).toBe(true);
  noteEndOfSession(connection, KILLED);
  expect(session.hasServed).toBe(false);
  noteAnswer(connection);
  expect(session.hasServed).toBe(true);
});

test.each([
  [true, 596, 21],
  [true, 6005, 10],
  [true, 17142, 20],
  [false, 17142, 14],
  [true, 40197, 20],
  [false, 40197, 17],
  [false, 824, 24],
  [false, 3906, 16],
])('%s: error %i of severity %i ends a session because of what happens to the server', (because, number, severity) => {
  const { connection, session } = aSession();
  noteEndOfSession(connection, says(number, severity));
  expect(session.wasEndedByServer).toBe(because);
});

test('a session that was to be closed before the server ended it was not ended by the server', () => {
  const { connection, session } = aSession();
  session.expiry.unusable = 'failover';
  noteEndOfSession(connection, KILLED);
  expect(session.wasEndedByServer).toBe(false);
});

/** What a reset needs of tedious. */
class Resettable extends EventEmitter {
  makeRequest(): void {}
  reset(): void {}
  getInitialSql(): string {
    return '';
  }
}

function aResettableConnection() {
  const connection = new Resettable() as unknown as Connection;
  makeResettable(connection);
  return { connection, session: openSession(connection, undefined), reset: resetOf(connection) };
}

test('a login that the server refuses while it resets the session: its token is not used again', () => {
  const { connection, session, reset } = aResettableConnection();
  expect(session.reset).toBe(reset);
  // From a linked server.
  noteEndOfSession(connection, LOGIN_FAILED);
  expect(session.expiry.unusable).toBeUndefined();
  reset?.run(connection);
  (connection as unknown as Resettable & { makeRequest(...args: unknown[]): void }).makeRequest({}, 1, { sqlText: '' });
  noteEndOfSession(connection, LOGIN_FAILED);
  expect(session.expiry.unusable).toBe('token-invalidated');
});

test('a session that was not reset is not used again', () => {
  const { connection, session, reset } = aResettableConnection();
  reset?.onFailure?.call(connection, 'reset-failed');
  expect(session.expiry.unusable).toBe('reset-failed');
});

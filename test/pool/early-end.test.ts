import { EventEmitter } from 'node:events';
import type { Connection } from 'tedious';
import { expect, test } from 'vitest';
import { noteEndOfSession, openSession } from '../../src/connections/session.js';
import { ServerUnavailableError } from '../../src/errors.js';
import { isEarlyEnd, whyEndedEarly } from '../../src/pool/early-end.js';
import type { PooledConnection } from '../../src/pool/pooled-connection.js';
import { clockPerTest } from '../support/clock-per-test.js';

const clock = clockPerTest();

/** A connection of a pool that has just logged in. */
function pooled(state = 'idle', checkouts = 0) {
  const connection = new EventEmitter() as unknown as Connection;
  return { state, checkouts, live: openSession(connection, undefined), connection } as unknown as PooledConnection & {
    connection: Connection;
  };
}

test.each([
  ['idle', 0, true],
  ['idle', 1, false],
  ['borrowed', 1, true],
  ['borrowed', 2, false],
])('a session that ends while it is %s, at checkout %i, has ended early: %s', (state, checkouts, early) => {
  expect(isEarlyEnd(pooled(state, checkouts))).toBe(early);
});

test('a session has lasted after 10 s', async () => {
  const connection = pooled();
  await clock.pass(9_999);
  expect(isEarlyEnd(connection)).toBe(true);
  await clock.pass(1);
  expect(isEarlyEnd(connection)).toBe(false);
});

test('the error says how long the session has lasted, what the server said, and where to look', () => {
  const connection = pooled();
  const silent = whyEndedEarly(connection, 41.6);
  expect(silent).toBeInstanceOf(ServerUnavailableError);
  expect(silent).toMatchObject({
    message: 'The session ended 42 ms after its login, before it had served a caller.',
    hint: 'Look for what ends sessions that have just logged in: a login trigger, a proxy, a limit or a failover.',
  });
  noteEndOfSession(connection.connection, { number: 596, state: 1, class: 21, message: 'In the kill state.' });
  expect(whyEndedEarly(connection, -1).message).toContain(
    'The session ended 0 ms after its login, before it had served a caller: In the kill state.',
  );
});

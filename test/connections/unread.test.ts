import type { Connection } from 'tedious';
import { expect, test } from 'vitest';
import { isLoggedIn } from '../../src/connections/session.js';
import { hasUnread } from '../../src/connections/unread.js';

test.each<[boolean, object | undefined]>([
  [true, { incomingMessageStream: { readableLength: 1, bl: { length: 0 } } }],
  [true, { incomingMessageStream: { readableLength: 0, bl: { length: 7 } } }],
  [true, { incomingMessageStream: { bl: { length: 7 } } }],
  [true, { incomingMessageStream: { readableLength: 1 } }],
  [false, { incomingMessageStream: { readableLength: 0, bl: { length: 0 } } }],
  [false, { incomingMessageStream: {} }],
  [false, {}],
  [false, undefined],
])('has received what no request has read: %s for %j', (unread, messageIo) => {
  const connection = { state: { name: 'LoggedIn' }, messageIo } as unknown as Connection;
  expect(hasUnread(connection)).toBe(unread);
  // Such a connection is not handed out.
  expect(isLoggedIn(connection)).toBe(!unread);
});

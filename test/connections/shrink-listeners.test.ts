import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { shrinkListeners } from '../../src/connections/login-guard.js';

test('listeners keep their order and their number of calls when a login is over', () => {
  const connection = new EventEmitter();
  const calls: string[] = [];
  connection.on('end', () => calls.push('first'));
  connection.once('end', () => calls.push('once'));
  connection.prependListener('end', () => calls.push('prepended'));
  const shared = (): void => void calls.push('shared');
  connection.on('error', shared);
  shrinkListeners(connection);
  connection.emit('end');
  connection.emit('end');
  connection.emit('error', new Error('test'));
  connection.off('error', shared);
  expect(calls).toEqual(['prepended', 'first', 'once', 'prepended', 'first', 'shared']);
  expect(connection.listenerCount('error')).toBe(0);
});

test('can be called by a listener of the connection, whose other listeners are still called once', () => {
  const connection = new EventEmitter();
  let calls = 0;
  const counting = (): void => {
    calls += 1;
  };
  connection.once('connect', () => shrinkListeners(connection));
  connection.once('connect', counting);
  connection.on('end', counting);
  connection.emit('connect');
  connection.emit('connect');
  connection.emit('end');
  expect(calls).toBe(2);
});

test.each(['newListener', 'removeListener'])('an application that listens for %s notices nothing', (event) => {
  const connection = new EventEmitter();
  let calls = 0;
  connection.on('end', () => {});
  connection.on(event, () => {
    calls += 1;
  });
  const before = calls;
  shrinkListeners(connection);
  expect(calls).toBe(before);
});

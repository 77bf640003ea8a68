import { Connection } from 'tedious';
import { expect, test } from 'vitest';
import { containLateErrors } from '../../src/connections/contain-late-errors.js';

function closedConnection(): Connection & { dispatchEvent(name: string, ...args: unknown[]): void } {
  const connection = new Connection({ server: 'localhost', options: { port: 1 } } as never);
  connection.close();
  return connection as never;
}

test('a socket error that a closed connection reports once more is ignored', () => {
  const errors: unknown[] = [];
  const bare = closedConnection().on('error', (error) => errors.push(error));
  bare.dispatchEvent('socketError', new Error('read ECONNRESET'));
  // tedious without the containment. If this fails, tedious has fixed the problem, and the containment can be removed.
  expect(errors).toEqual([expect.objectContaining({ message: "No event 'socketError' in state 'Final'" })]);

  const contained = closedConnection().on('error', (error) => errors.push(error));
  containLateErrors(contained as never);
  contained.dispatchEvent('socketError', new Error('read ECONNRESET'));
  expect(errors).toHaveLength(1);
});

test('an open connection handles the event itself', () => {
  const connection = new Connection({ server: 'localhost', options: { port: 1 } } as never) as unknown as {
    STATE: { LOGGED_IN: object };
    state: { name: string };
    dispatchEvent(name: string, ...args: unknown[]): void;
  };
  containLateErrors(connection);
  connection.state = connection.STATE.LOGGED_IN as { name: string };
  connection.dispatchEvent('socketError', new Error('read ECONNRESET'));
  expect(connection.state.name).toBe('Final');
});

test('any other event of a closed connection is passed on, with its arguments', () => {
  const dispatched: unknown[][] = [];
  const proto = { dispatchEvent: (...args: unknown[]) => void dispatched.push(args) };
  const connection = Object.assign(Object.create(proto) as typeof proto, { state: { name: 'Final' } });
  containLateErrors(connection as never);
  connection.dispatchEvent('message', 1, 2);
  expect(dispatched).toEqual([['message', 1, 2]]);
});

test('a tedious without the method, and a connection without a state, are left unchanged', () => {
  const other = { state: { name: 'Final' } };
  containLateErrors(other);
  expect(Object.getOwnPropertyNames(other)).toEqual(['state']);
  const dispatched: unknown[] = [];
  const stateless = Object.create({ dispatchEvent: (name: unknown) => void dispatched.push(name) }) as {
    dispatchEvent(name: string): void;
  };
  containLateErrors(stateless);
  stateless.dispatchEvent('socketError');
  expect(dispatched).toEqual(['socketError']);
});

import { EventEmitter } from 'node:events';
import type { Connection, ConnectionConfiguration } from 'tedious';
import { expect, test } from 'vitest';
import { newGuardedConnection } from '../../src/connections/guarded-connection.js';
import { LoginGuard } from '../../src/connections/login-guard.js';

type ConnectionClass = typeof import('tedious').Connection;

class FakeConnection extends EventEmitter {
  readonly config: ConnectionConfiguration;

  constructor(config: ConnectionConfiguration) {
    super();
    this.config = config;
  }
}

const Plain = FakeConnection as unknown as ConnectionClass;
const Bound = FakeConnection.bind(undefined) as unknown as ConnectionClass;
/** It can be constructed, but not extended. */
const BoundFunction = function Connection(config: ConnectionConfiguration) {
  return new FakeConnection(config);
}.bind(undefined) as unknown as ConnectionClass;
/** Its `new` returns an object of another class. */
const Factory = class {
  constructor(config: ConnectionConfiguration) {
    // biome-ignore lint/correctness/noConstructorReturn: that is what is tested
    return new FakeConnection(config);
  }
} as unknown as ConnectionClass;

test.each([
  ['a class', Plain],
  ['a bound class', Bound],
  ['a bound function', BoundFunction],
  ['a class whose constructor returns another object', Factory],
])('no listener sees a secret that the server repeats, with %s for a connection', (_, Connection) => {
  const connection = newGuardedConnection({ Connection }, { server: 'host' });
  const guard = new LoginGuard(connection as Connection);
  guard.redacts('a long secret');
  const seen: string[] = [];
  const listener = ({ message }: { message: string }): void => void seen.push(message);
  connection.prependListener('infoMessage', listener);
  connection.prependListener('errorMessage', listener);
  guard.end();
  const [info, error] = [{ message: 'info: a long secret' }, { message: 'error: a long secret', number: 1, class: 14 }];
  connection.emit('infoMessage', info as never);
  connection.emit('errorMessage', error as never);
  if (Connection === Plain) expect(seen).toEqual(['info: [hidden]', 'error: [hidden]']);
  expect([info.message, error.message]).toEqual(['info: [hidden]', 'error: [hidden]']);
});

test("it is a connection of the application's tedious, of one class for all", () => {
  const [one, other] = [1, 2].map(() => newGuardedConnection({ Connection: Plain }, { server: 'host' }));
  expect(one).toBeInstanceOf(FakeConnection);
  expect(one?.constructor).toBe(other?.constructor);
  expect(one?.constructor.name).toBe('Connection');
  expect(one?.config).toEqual({ server: 'host' });
});

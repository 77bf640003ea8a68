import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { replaceMethod } from '../../src/connections/replace-method.js';

class Connection {
  readonly server = 'host';
  send(): string {
    return 'sent';
  }
}

test('a method is replaced on one object, which looks the same as before', () => {
  const [changed, other] = [new Connection(), new Connection()];
  replaceMethod(changed, 'send', () => 'replaced');
  expect([changed.send(), other.send()]).toEqual(['replaced', 'sent']);
  expect(inspect(changed)).toBe(inspect(other));
  expect({ ...changed }).toEqual({ server: 'host' });
});

test('an application may still replace the method itself, or restore it', () => {
  const connection = new Connection();
  replaceMethod(connection, 'send', () => 'replaced');
  connection.send = () => 'its own';
  expect(connection.send()).toBe('its own');
  delete (connection as Partial<Connection>).send;
  expect(connection.send()).toBe('sent');
});

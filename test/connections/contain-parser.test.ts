import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { type ContainedConnection, containParser } from '../../src/connections/contain-parser.js';

/** A connection during a request, whose next token makes `thrownBy` throw; and what became of its socket. */
function connectionThatThrows(thrownBy: string) {
  const error = new TypeError("Cannot read properties of undefined (reading 'canceled')");
  error.stack = `${error}\n    at ${thrownBy}\n    at Readable.emit (node:events:524:28)`;
  const destroyed: unknown[] = [];
  const socket = Object.assign(new EventEmitter(), { destroy: (reason: unknown) => destroyed.push(reason) });
  const proto = {
    createTokenStreamParser: () => {
      const parser = new EventEmitter();
      parser.on('data', () => {
        throw error;
      });
      return Object.assign(new EventEmitter(), { parser });
    },
  };
  const connection = Object.assign(Object.create(proto) as ContainedConnection, {
    state: { name: 'SentClientRequest' },
    socket: socket as unknown as Socket,
  });
  containParser(connection);
  const { parser } =
    connection.createTokenStreamParser?.call(connection, (async function* () {})(), class {} as never) ?? {};
  return { receive: () => parser?.emit('data', { name: 'COLMETADATA' }), destroyed };
}

test.each([
  'RequestTokenHandler.onColMetadata (/app/node_modules/tedious/lib/token/handler.js:300:9)',
  'onColMetadata (/app/node_modules/tedious/src/token/handler.ts:443:23)',
  'onColMetadata (C:\\app\\node_modules\\tedious\\src\\token\\handler.ts:443:23)',
])('a token that does not belong there fails the connection, not the process: thrown by %s', (thrownBy) => {
  const { receive, destroyed } = connectionThatThrows(thrownBy);
  receive();
  expect(destroyed).toEqual([expect.objectContaining({ code: 'EPROTO' })]);
});

test("an error of the application's own listener stays its own", () => {
  const { receive, destroyed } = connectionThatThrows('Request.<anonymous> (/app/orders.js:7:11)');
  expect(receive).toThrow(TypeError);
  expect(destroyed).toEqual([]);
});

import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
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

/** A connection whose tedious makes these parsers; `isLogin`: while it logs in. */
function parsing({
  isLogin = false,
  socket = true,
  onToken = () => {},
}: {
  isLogin?: boolean;
  socket?: boolean;
  onToken?: (token: unknown) => void;
} = {}) {
  const destroyed: Error[] = [];
  const it = Object.assign(new EventEmitter(), {
    errored: undefined as Error | undefined,
    destroy: (error: Error) => destroyed.push(error),
  });
  const read: Buffer[][] = [];
  const proto = {
    createTokenStreamParser: (message: AsyncIterable<Buffer>) => {
      const tokens = new EventEmitter();
      tokens.on('data', onToken);
      const chunks: Buffer[] = [];
      read.push(chunks);
      const parser = Object.assign(new EventEmitter(), { parser: tokens });
      void (async () => {
        try {
          for await (const chunk of message) chunks.push(chunk);
          parser.emit('end');
        } catch (error) {
          tokens.emit('error', error);
        }
      })();
      return parser;
    },
  };
  const connection = Object.assign(Object.create(proto) as ContainedConnection, {
    state: { name: isLogin ? 'SentLogin7WithStandardLogin' : 'SentClientRequest' },
    socket: socket ? (it as unknown as Socket) : undefined,
    request: {} as object | undefined,
  });
  containParser(connection);
  const handler: { request?: { error?: unknown }; onRow?: () => void } = {};
  const parse = (chunks: Buffer[] = []) => {
    const message = (async function* () {
      for (const chunk of chunks) yield chunk;
    })();
    const parser = connection.createTokenStreamParser?.call(connection, message, handler as never);
    if (parser === undefined) throw new Error('no parser');
    return parser;
  };
  return { connection, socket: it, destroyed, handler, read, parse };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('during the login', () => {
  test('an answer of 256 KiB is read, a longer one is refused', async () => {
    const half = Buffer.alloc(128 * 1024);
    const fits = parsing({ isLogin: true });
    fits.parse([half, half]);
    await turn();
    expect([fits.read[0]?.length, fits.destroyed]).toEqual([2, []]);
    const tooLong = parsing({ isLogin: true });
    tooLong.parse([half, half, Buffer.alloc(1)]);
    await turn();
    expect(tooLong.read[0]).toHaveLength(2);
    expect(tooLong.destroyed).toEqual([
      expect.objectContaining({
        message: 'The server sent something that is not a valid TDS response.',
        code: 'EPROTO',
        cause: expect.objectContaining({ message: 'The login response is too long.' }),
      }),
    ]);
  });

  test('the login fails with the error of what was received, which the socket gets too', () => {
    const { parse, destroyed, socket } = parsing({
      isLogin: true,
      onToken: () => {
        throw new TypeError('unexpected');
      },
    });
    const parser = parse();
    const failed: unknown[] = [];
    parser.on('error', (error) => failed.push(error));
    parser.parser?.emit('data', { name: 'ROW' });
    expect(failed).toEqual([expect.objectContaining({ code: 'EPROTO' })]);
    expect(destroyed).toEqual(failed);
    // An error without a listener would end the process.
    expect(() => socket.emit('error', destroyed[0])).not.toThrow();
  });

  test('rows are refused', () => {
    const { parse, handler } = parsing({ isLogin: true });
    parse();
    for (const name of ['onColMetadata', 'onRow', 'onOrder']) {
      expect((handler as Record<string, () => void>)[name]).toThrow(
        expect.objectContaining({
          code: 'EPROTO',
          cause: expect.objectContaining({ message: 'The server sent rows during the login.' }),
        }),
      );
    }
  });

  test.each([undefined, new Error('read ECONNRESET')])('the end of the socket (%o) ends the login', (errored) => {
    const { parse, socket } = parsing({ isLogin: true });
    const failed: unknown[] = [];
    parse().on('error', (error) => failed.push(error));
    socket.errored = errored;
    socket.emit('close');
    const hangUp = { code: 'ESOCKET', message: 'The server closed the connection during the login.' };
    expect(failed).toEqual([errored ?? expect.objectContaining(hangUp)]);
  });

  test('a socket that ends after the answer or without a listener has no effect', async () => {
    const { parse, socket } = parsing({ isLogin: true });
    parse();
    expect(() => socket.emit('close')).not.toThrow();
    const failed: unknown[] = [];
    const second = parse();
    second.on('error', (error) => failed.push(error));
    await turn();
    socket.emit('close');
    expect(failed).toEqual([]);
  });

  test('a connection without a state counts as logging in', () => {
    const { connection, parse, handler } = parsing({ isLogin: true });
    Object.assign(connection, { state: undefined });
    parse();
    expect(handler.onRow).toBeDefined();
  });
});

describe('after the login', () => {
  test('rows are read, and answers of any length', async () => {
    const { parse, handler, read, destroyed, socket } = parsing();
    const parser = parse([Buffer.alloc(1 << 20)]);
    parser.on('error', () => expect.unreachable());
    await turn();
    socket.emit('close');
    expect([handler.onRow, read[0]?.length, destroyed]).toEqual([undefined, 1, []]);
  });

  test('garbage ends the request once: the rest of its answer does not end it again', () => {
    const { parse, destroyed } = parsing();
    const parser = parse();
    const seen: string[] = [];
    parser.on('end', () => seen.push('end'));
    parser.on('error', () => seen.push('error'));
    parser.parser?.emit('error', new Error('unknown type of token'));
    parser.emit('end');
    expect(seen).toEqual([]);
    expect(destroyed).toEqual([expect.objectContaining({ code: 'EPROTO' })]);
  });

  test('an error by its class, UnexpectedTokenError, fails the connection', () => {
    class UnexpectedTokenError extends Error {}
    const { parse, destroyed } = parsing({
      onToken: () => {
        throw new UnexpectedTokenError('x');
      },
    });
    parse().parser?.emit('data', { name: 'DONE' });
    expect(destroyed).toEqual([expect.objectContaining({ code: 'EPROTO' })]);
  });

  test.each(['text', undefined, Object.assign(new Error('x'), { stack: undefined })])(
    'what a listener of the application throws (%o) is passed on, also where the stream reports it',
    (thrown) => {
      const { parse, destroyed } = parsing({
        onToken: () => {
          throw thrown;
        },
      });
      const { parser } = parse();
      let passedOn: unknown = 'nothing';
      try {
        parser?.emit('data', { name: 'ROW' });
      } catch (error) {
        passedOn = error;
      }
      expect(passedOn).toBe(thrown);
      let reported: unknown = 'nothing';
      try {
        parser?.emit('error', thrown);
      } catch (error) {
        reported = error;
      }
      expect(reported).toBe(thrown);
      expect(destroyed).toEqual([]);
      parser?.emit('error', new Error('something else'));
      expect(destroyed).toHaveLength(1);
    },
  );

  test('the end of an answer is dropped once its request is over', () => {
    const { parse, connection } = parsing();
    const seen: string[] = [];
    const parser = parse();
    parser.on('end', () => seen.push('end'));
    parser.on('other', () => seen.push('other'));
    parser.emit('end');
    connection.request = undefined;
    parser.emit('end');
    parser.emit('other');
    expect(seen).toEqual(['end', 'other']);
  });

  test('several errors of one request have the message of the last', () => {
    const several = (...messages: string[]) =>
      new AggregateError(
        messages.map((message) => new Error(message)),
        '',
      );
    const described = (error: unknown, token = 'ERROR'): unknown => {
      const { parse, handler } = parsing();
      handler.request = { error };
      parse().parser?.emit('data', { name: token });
      return (error as Error | undefined)?.message;
    };
    expect(described(several('first', 'last'))).toBe('last');
    expect(described(several())).toBe('The request failed with several errors.');
    expect(described(new AggregateError([new Error('x')], 'its own'))).toBe('its own');
    expect(described(new Error(''))).toBe('');
    expect(described(several('first'), 'DONE')).toBe('');
    const { parse } = parsing();
    expect(() => parse().parser?.emit('data', { name: 'ERROR' })).not.toThrow();
  });
});

describe('a parser of another form is left alone', () => {
  test('a tedious without the method', () => {
    const connection = {};
    containParser(connection);
    expect(connection).toEqual({});
  });

  test.each([undefined, {}])('a parser with %j for a stream of tokens', (parser) => {
    const made = Object.assign(new EventEmitter(), { parser });
    const connection = Object.assign(Object.create({ createTokenStreamParser: () => made }) as ContainedConnection, {
      socket: new EventEmitter() as unknown as Socket,
    });
    containParser(connection);
    expect(connection.createTokenStreamParser?.call(connection, (async function* () {})(), {} as never)).toBe(made);
  });

  test('a stream of tokens without a listener, and a connection without a socket', () => {
    const made = Object.assign(new EventEmitter(), { parser: new EventEmitter() });
    const connection = Object.assign(Object.create({ createTokenStreamParser: () => made }) as ContainedConnection, {
      socket: new EventEmitter() as unknown as Socket,
    });
    containParser(connection);
    expect(connection.createTokenStreamParser?.call(connection, (async function* () {})(), {} as never)).toBe(made);
    expect(made.parser.listenerCount('data')).toBe(0);
    const { parse } = parsing({ socket: false });
    expect(parse().parser?.listenerCount('error')).toBe(0);
  });
});

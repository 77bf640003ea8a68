import { EventEmitter, getEventListeners } from 'node:events';
import type { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { boundConnector } from '../../src/connections/bound-connector.js';

/** A socket that the connector opens when the test decides. */
function aConnector() {
  const socket = Object.assign(new EventEmitter(), {
    destroyed: 0,
    destroy() {
      socket.destroyed += 1;
    },
  });
  const seen: unknown[][] = [];
  let settle: { resolve(socket: unknown): void; reject(error: Error): void } | undefined;
  const connector = (...args: unknown[]): Promise<unknown> => {
    seen.push(args);
    return new Promise((resolve, reject) => {
      settle = { resolve, reject };
    });
  };
  return {
    socket,
    seen,
    connector,
    open: (given: unknown = socket) => settle?.resolve(given),
    fail: (error: Error) => settle?.reject(error),
  };
}

function bounded(connector: unknown, signal?: AbortSignal) {
  const configuration = { server: 'host', options: { port: 1433, connector } } as never;
  const { server, options } = boundConnector(configuration, signal);
  expect([server, options?.port]).toEqual(['host', 1433]);
  return options?.connector as unknown as (...args: unknown[]) => Promise<Socket>;
}

const outcomeOf = (promise: Promise<unknown>) => promise.catch((error: unknown) => error);

test('a configuration without a connector is unchanged', () => {
  for (const configuration of [{ server: 'host' }, { server: 'host', options: {} }]) {
    expect(boundConnector(configuration as never)).toBe(configuration);
  }
});

test('a socket that the connector returns in time is used, with the arguments of tedious', async () => {
  const { connector, socket, seen, open } = aConnector();
  const [dial, tedious] = [new AbortController(), new AbortController()];
  const opened = bounded(connector, dial.signal)('a', tedious.signal);
  open();
  expect(await opened).toBe(socket);
  expect(seen).toEqual([['a', tedious.signal]]);
  expect(socket.destroyed).toBe(0);
  expect([dial, tedious].flatMap(({ signal }) => getEventListeners(signal, 'abort'))).toEqual([]);
});

test.each(['the dial', 'tedious'])(
  '%s gives up: it does not wait for the connector, and a late socket is closed',
  async (who) => {
    const { connector, socket, open } = aConnector();
    const [dial, tedious] = [new AbortController(), new AbortController()];
    const opened = outcomeOf(bounded(connector, dial.signal)(tedious.signal));
    const reason = new Error('given up');
    (who === 'tedious' ? tedious : dial).abort(reason);
    expect(await opened).toBe(reason);
    open();
    await new Promise((resolve) => setImmediate(resolve));
    expect(socket.destroyed).toBe(1);
    // An error without a listener would end the process.
    expect(() => socket.emit('error', new Error('read ECONNRESET'))).not.toThrow();
  },
);

test('a dial that was over before the connector began ends at once', async () => {
  const { connector } = aConnector();
  const reason = new Error('given up');
  expect(await outcomeOf(bounded(connector, AbortSignal.abort(reason))())).toBe(reason);
});

test('a connector that resolves late to undefined does no harm', async () => {
  const { connector, open } = aConnector();
  const dial = new AbortController();
  const opened = outcomeOf(bounded(connector, dial.signal)());
  dial.abort(new Error('given up'));
  await opened;
  open(undefined);
  await new Promise((resolve) => setImmediate(resolve));
});

test("a connector's own error is passed on", async () => {
  const { connector, fail } = aConnector();
  const dial = new AbortController();
  const opened = outcomeOf(bounded(connector, dial.signal)());
  const error = new Error('no route to the server');
  fail(error);
  expect(await opened).toBe(error);
  expect(getEventListeners(dial.signal, 'abort')).toEqual([]);
});

test('a connector without any limit is waited for', async () => {
  const { connector, socket, open } = aConnector();
  const opened = bounded(connector)();
  open();
  expect(await opened).toBe(socket);
});

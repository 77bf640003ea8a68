import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import type { Connection } from 'tedious';
import { expect, test } from 'vitest';
import { abortConnect } from '../../src/connections/abort-connect.js';

/** A tedious connection whose socket opens when the test lets it. */
class Connecting {
  readonly calls: unknown[][] = [];
  isDestroyed = false;
  readonly socket = Object.assign(new EventEmitter(), {
    destroy: () => {
      this.isDestroyed = true;
    },
  }) as unknown as Socket;
  open: () => void = () => {};
  /** tedious 18 returns nothing. */
  isOld = false;

  connectOnPort(...args: unknown[]): Promise<Socket> | undefined {
    this.calls.push(args);
    if (this.isOld) return undefined;
    return new Promise((resolve) => {
      this.open = () => resolve(this.socket);
    });
  }
}

/** Calls it as tedious does, with tedious's own signal. */
function connecting(change: (connection: Connecting) => void = () => {}) {
  const connection = new Connecting();
  change(connection);
  const [dial, tedious] = [new AbortController(), new AbortController()];
  const undo = abortConnect(connection as unknown as Connection, dial.signal);
  const connect = () => connection.connectOnPort(1433, true, tedious.signal, 'connector');
  const passed = () => connection.calls.at(-1)?.[2] as AbortSignal;
  return { connection, dial, tedious, undo, connect, passed };
}

test('a socket that opens in time is used; tedious gets its arguments, each time it connects', async () => {
  const { connection, connect, passed } = connecting();
  for (let i = 1; i <= 2; i += 1) {
    const socket = connect();
    connection.open();
    expect(await socket).toBe(connection.socket);
    expect(connection.calls).toHaveLength(i);
    expect(connection.calls.at(-1)).toEqual([1433, true, passed(), 'connector']);
    expect(passed().aborted).toBe(false);
  }
  expect(connection.isDestroyed).toBe(false);
});

test.each(['dial', 'tedious'] as const)(
  'the connect ends when %s gives up, and a late socket is closed',
  async (who) => {
    const { connection, connect, passed, ...controllers } = connecting();
    const socket = connect()?.catch((error: unknown) => error);
    const reason = new Error('given up');
    controllers[who].abort(reason);
    expect(passed()).toMatchObject({ aborted: true, reason });
    connection.open();
    expect(await socket).toBe(reason);
    expect(connection.isDestroyed).toBe(true);
    // An error without a listener would end the process.
    expect(() => connection.socket.emit('error', new Error('read ECONNRESET'))).not.toThrow();
  },
);

test('a tedious that observes the signal itself gets it', () => {
  const { dial, connect, passed } = connecting((connection) => {
    connection.isOld = true;
  });
  expect(connect()).toBeUndefined();
  dial.abort();
  expect(passed().aborted).toBe(true);
});

test('once the connection is logged in, it connects as before', async () => {
  const { connection, dial, tedious, undo, connect, passed } = connecting();
  undo();
  dial.abort();
  const socket = connect();
  connection.open();
  expect(await socket).toBe(connection.socket);
  expect(passed()).toBe(tedious.signal);
});

test('a connection that is not one of tedious stays as it is', () => {
  const connection = {};
  const undo = abortConnect(connection as Connection, new AbortController().signal);
  undo();
  expect(Object.getOwnPropertyNames(connection)).toEqual([]);
});

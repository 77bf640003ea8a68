import { EventEmitter } from 'node:events';
import type { Connection } from 'tedious';
import { expect, test, vi } from 'vitest';
import { makeResettable, resetOf, type SessionReset } from '../../src/connections/session-reset.js';
import { ConfigurationError } from '../../src/errors.js';
import { clockPerTest } from '../support/clock-per-test.js';

const clock = clockPerTest();

/** Types of MS-TDS 2.2.3.1.1. */
const [BATCH, RPC, BULK_LOAD, TRANSACTION_MANAGER, LOGIN7] = [0x01, 0x03, 0x07, 0x0e, 0x10];
const [OPTION_FLAGS_2, ODBC] = [25, 0x02];

const LEVEL_OF_LOGIN = 'set transaction isolation level read committed';
const OPTIONS = ['set ansi_nulls on', 'set arithabort on', 'set textsize 2147483647', LEVEL_OF_LOGIN];

interface AnyRequest {
  canceled?: boolean;
}

const LOGGED_IN = { name: 'LoggedIn' };

/** What a reset needs of a tedious connection. Its server answers when the test lets it. */
class FakeConnection extends EventEmitter {
  readonly STATE: { LOGGED_IN: object } | undefined = { LOGGED_IN };
  state: object = LOGGED_IN;
  inTransaction = false;
  resetConnectionOnNextRequest = false;
  config: object | undefined = { options: { connectionIsolationLevel: 2 } };
  initialSql = OPTIONS.join('\n');
  /** Requests sent, and whether they carried a reset. */
  readonly sent: { type: number; resets: boolean; payload: unknown }[] = [];
  readonly packets: { type: number; data: Buffer }[] = [];
  loginSize = 94;
  loginFlags = 0;
  messageIo: { sendMessage(type: number, data: Buffer): void } | undefined = Object.create({
    sendMessage: (type: number, data: Buffer) => this.packets.push({ type, data }),
  });
  /** Ends the request of a reset. */
  answer: (error?: Error | null) => void = () => {};

  makeRequest(_request: AnyRequest, type: number, payload: unknown): void {
    this.sent.push({ type, resets: this.resetConnectionOnNextRequest, payload });
    this.resetConnectionOnNextRequest = false;
  }

  getInitialSql(): string {
    return this.initialSql;
  }

  reset(callback: (error?: Error | null) => void): void {
    this.resetConnectionOnNextRequest = true;
    this.answer = callback;
    this.makeRequest({}, BATCH, { sqlText: this.getInitialSql() });
  }

  sendLogin7Packet(): void {
    this.messageIo?.sendMessage(0x12, Buffer.alloc(40));
    this.messageIo?.sendMessage(LOGIN7, Buffer.alloc(this.loginSize, this.loginFlags));
  }
}

/** A connection that is logged in, with what its pool is notified of. */
function loggedIn(change: (fake: FakeConnection) => void = () => {}) {
  const fake = new FakeConnection();
  change(fake);
  const connection = fake as unknown as Connection;
  makeResettable(connection);
  fake.sendLogin7Packet();
  const reset = resetOf(connection) as SessionReset;
  const initialSql = fake.getInitialSql();
  const failures: string[] = [];
  const resets: boolean[] = [];
  reset.onFailure = (reason) => failures.push(reason);
  reset.onReset = (withOwnRequest) => resets.push(withOwnRequest);
  const send = (type = BATCH, payload: unknown = { sqlText: 'SELECT 1' }): AnyRequest => {
    const request = {};
    fake.makeRequest(request, type, payload);
    return request;
  };
  return {
    fake,
    connection,
    reset,
    initialSql,
    failures,
    resets,
    send,
    confirm: () => fake.emit('resetConnection'),
    carried: () => fake.sent.map(({ resets }) => resets),
  };
}

/** A payload of the transaction manager (MS-TDS 2.2.6.9), after headers of `headers` bytes that begin with their length. */
function transactionRequest(kind: number, level?: number, headers = 22): Iterable<Buffer> {
  const head = Buffer.alloc(headers);
  if (headers >= 4) head.writeUInt32LE(headers);
  const rest = level === undefined ? [kind, 0] : [kind, 0, level, 0];
  return [head, Buffer.from(rest)];
}

test('a borrower that sends nothing leaves nothing to reset', () => {
  const { reset, connection } = loggedIn();
  expect([reset.isNeeded, reset.returned(connection), reset.isNeeded]).toEqual([false, 'none', false]);
});

test.each([
  ['a batch', BATCH],
  ['a procedure', RPC],
  ['a transaction', TRANSACTION_MANAGER],
])('the reset travels with the next request: %s', (_, type) => {
  const { reset, connection, send, carried, confirm, resets, failures } = loggedIn();
  send();
  expect([reset.isNeeded, reset.returned(connection), reset.isNeeded]).toEqual([true, 'flag', true]);
  send(type, type === TRANSACTION_MANAGER ? transactionRequest(7) : {});
  expect([reset.isUnderWay, reset.isDue]).toEqual([true, false]);
  confirm();
  send();
  expect(carried()).toEqual([false, true, false]);
  expect([reset.isUnderWay, reset.returned(connection)]).toEqual([false, 'flag']);
  expect(resets).toEqual([false]);
  expect(failures).toEqual([]);
});

test('a request that cannot carry a reset leaves it to the one after it', () => {
  const { reset, connection, send, carried } = loggedIn();
  send();
  reset.returned(connection);
  send(BULK_LOAD, undefined);
  expect(reset.isUnderWay).toBe(false);
  send();
  expect(carried()).toEqual([false, false, true]);
});

test.each([
  ['flag', 'SELECT 1'],
  ['flag', 'EXEC dbo.report'],
  ['flag', 'SELECT 1 AS one'],
  ['flag', 'SELECT executed, basis FROM t'],
  ['request', 'SET TRANSACTION ISOLATION LEVEL SNAPSHOT'],
  ['request', "SETUSER 'somebody'"],
  ['request', "EXEC sp_setapprole 'r', 'p'"],
  ['request', "EXECUTE AS USER = 'somebody'"],
  ['request', "exec\n as login = 'somebody'"],
])('calls for a %s after %s', (need, sqlText) => {
  for (const [type, payload] of [
    [BATCH, { sqlText }],
    [RPC, { procedure: sqlText }],
  ] as const) {
    const { reset, connection, send } = loggedIn();
    send(type, payload);
    // It still counts for later requests.
    send();
    send(RPC, { procedure: 'sp_executesql' });
    expect(reset.returned(connection)).toBe(need);
  }
});

test.each([BATCH, RPC])('a request of type %i without text leaves nothing that survives a reset', (type) => {
  const { reset, connection, send } = loggedIn();
  send(type, {});
  expect(reset.returned(connection)).toBe('flag');
});

test.each<[string, string, Iterable<Buffer>]>([
  ['request', 'begins a transaction with another level', transactionRequest(5, 4)],
  ['flag', 'begins one with the level of the login', transactionRequest(5, 2)],
  ['flag', 'begins one with the level as it is', transactionRequest(5, 0)],
  ['flag', 'commits', transactionRequest(7, 4)],
  ['flag', 'is cut off before its level', transactionRequest(5)],
  ['flag', 'is shorter than its headers', [Buffer.from([22, 0, 0, 0])]],
  ['flag', 'is empty', []],
  ['request', 'has no headers but their length', transactionRequest(5, 4, 4)],
])('calls for a %s after a request that %s', (need, _, payload) => {
  const { reset, connection, send } = loggedIn();
  send(TRANSACTION_MANAGER, payload);
  expect(reset.returned(connection)).toBe(need);
});

test('the level of a transaction is restored even if a later one leaves it as it is', () => {
  const { reset, connection, send } = loggedIn();
  send(TRANSACTION_MANAGER, transactionRequest(5, 4));
  send(TRANSACTION_MANAGER, transactionRequest(7));
  expect(reset.returned(connection)).toBe('request');
});

test.each<[string, number | null | undefined, number]>([
  ['the one that the application has chosen', 5, 5],
  ['read committed where it chose none', null, 2],
  ['read committed where there are no options', undefined, 2],
])('the level of a login is %s', (_, connectionIsolationLevel, level) => {
  const start = (fake: FakeConnection) => {
    fake.config = connectionIsolationLevel === undefined ? undefined : { options: { connectionIsolationLevel } };
  };
  for (const begun of [2, 5]) {
    const { reset, connection, send } = loggedIn(start);
    send(TRANSACTION_MANAGER, transactionRequest(5, begun));
    expect(reset.returned(connection)).toBe(begun === level ? 'flag' : 'request');
  }
});

test('a separate reset restores the isolation level, and the session is as it was after its login', async () => {
  const { fake, reset, connection, send, confirm, resets, carried } = loggedIn();
  send(BATCH, { sqlText: 'SET TRANSACTION ISOLATION LEVEL SNAPSHOT' });
  send(TRANSACTION_MANAGER, transactionRequest(5, 5));
  expect(reset.returned(connection)).toBe('request');
  const done = reset.run(connection);
  expect(reset.isUnderWay).toBe(true);
  confirm();
  fake.answer();
  expect(await done).toBe(true);
  expect(resets).toEqual([true]);
  expect(fake.sent.at(-1)).toMatchObject({ payload: { sqlText: LEVEL_OF_LOGIN } });
  expect([reset.isNeeded, reset.isUnderWay, reset.returned(connection)]).toEqual([false, false, 'none']);
  send();
  // Only the reset's own request carried one, and only it left out the options.
  expect([reset.returned(connection), carried()]).toEqual(['flag', [false, false, true, false]]);
  expect(fake.getInitialSql()).not.toBe(LEVEL_OF_LOGIN);
  expect(clock.pending.size).toBe(0);
});

test.each<[string, boolean, Error | null | undefined]>([
  ['fails', true, new Error('no')],
  ['is not confirmed', false, undefined],
])('a session whose reset %s is not used again', async (_, isConfirmed, error) => {
  const { fake, reset, connection, send, confirm } = loggedIn();
  send(BATCH, { sqlText: 'SETUSER' });
  reset.returned(connection);
  const done = reset.run(connection);
  if (isConfirmed) confirm();
  fake.answer(error);
  expect(await done).toBe(false);
  expect([reset.isUnderWay, reset.isNeeded]).toEqual([false, true]);
});

test('a reset that takes longer than 5 s has failed, and its limit keeps no process alive', async () => {
  const { reset, connection, send } = loggedIn();
  send(BATCH, { sqlText: 'SETUSER' });
  reset.returned(connection);
  const done = vi.fn();
  reset.run(connection).then(done);
  expect([...clock.pending].map((timer) => timer.hasRef())).toEqual([false]);
  await clock.pass(4_999);
  expect(done).not.toHaveBeenCalled();
  await clock.pass(1);
  expect(done).toHaveBeenCalledWith(false);
});

test('a server that has ignored a reset: the session is not used again', () => {
  for (const check of ['returned', 'isConfirmed'] as const) {
    const { reset, connection, send, failures } = loggedIn();
    send();
    reset.returned(connection);
    send();
    expect(reset[check](connection)).toBe(check === 'returned' ? 'impossible' : false);
    expect([reset.isUnderWay, failures]).toEqual([false, []]);
  }
  const { reset, connection, send, failures } = loggedIn();
  send();
  reset.returned(connection);
  send();
  send();
  expect(failures).toEqual(['reset-failed']);
});

test('a reset is confirmed although none was sent', () => {
  const { reset, connection } = loggedIn();
  expect(reset.isConfirmed(connection)).toBe(true);
});

test('a request that was cancelled before it was sent carries no reset, and does not count as use', () => {
  const { fake, reset, connection, send } = loggedIn();
  fake.makeRequest({ canceled: true }, BATCH, { sqlText: 'SETUSER' });
  expect([reset.isNeeded, fake.sent.length]).toEqual([false, 1]);
  send();
  reset.returned(connection);
  fake.makeRequest({ canceled: true }, BATCH, {});
  expect([reset.isDue, reset.isUnderWay]).toEqual([true, false]);
});

test('a request on a connection that is not logged in does not count as use', () => {
  const { fake, reset, send } = loggedIn();
  fake.state = { name: 'SentClientRequest' };
  send();
  expect(reset.isNeeded).toBe(false);
});

test('a tedious without named states: each request is a use', () => {
  const { reset, send } = loggedIn((fake) => Object.assign(fake, { STATE: undefined }));
  send();
  expect(reset.isNeeded).toBe(true);
});

test('a request that is cancelled while it is sent: the reset that it carried is repeated', () => {
  const { reset, connection, send, carried, failures } = loggedIn();
  send();
  reset.returned(connection);
  send().canceled = true;
  send();
  expect([carried(), failures]).toEqual([[false, true, true], []]);
  const returned = loggedIn();
  returned.send();
  returned.reset.returned(returned.connection);
  returned.send().canceled = true;
  expect([returned.reset.returned(returned.connection), returned.reset.isDue]).toEqual(['flag', true]);
});

test('a reset cannot be repeated inside a transaction: the session is not used again', () => {
  const { fake, reset, connection, send } = loggedIn();
  send();
  reset.returned(connection);
  send().canceled = true;
  fake.inTransaction = true;
  expect([reset.returned(connection), reset.isDue]).toEqual(['impossible', false]);
});

test('a request on a connection that was returned is reported', () => {
  const { reset, send, failures } = loggedIn();
  send();
  reset.inUse = false;
  send();
  expect(failures).toEqual(['misused']);
});

test("the pool's own request counts neither as use nor as misuse, and carries a reset that is due", () => {
  const { reset, connection, send, carried, confirm, failures } = loggedIn();
  send();
  reset.returned(connection);
  reset.inUse = false;
  reset.probe(() => send(BATCH, { sqlText: 'SETUSER' }));
  confirm();
  expect([carried(), failures, reset.isNeeded, reset.inUse]).toEqual([[false, true], [], false, false]);
  expect(reset.returned(connection)).toBe('none');
  // Whatever comes after it is a use again.
  reset.inUse = true;
  send();
  expect(reset.returned(connection)).toBe('flag');
});

test('after a request of the pool itself could not be sent, requests of a borrower count', () => {
  const { reset, send } = loggedIn();
  const failure = new Error('closed');
  expect(() =>
    reset.probe(() => {
      throw failure;
    }),
  ).toThrow(failure);
  expect(reset.inUse).toBe(false);
  send();
  expect(reset.isNeeded).toBe(true);
});

test('the login asks the server to set the options itself, and only those that differ are sent', () => {
  const { fake, initialSql, reset } = loggedIn();
  expect(reset.hasLoginOptions).toBe(true);
  expect(fake.packets.map(({ type, data }) => [type, data.findIndex((byte) => byte !== 0)])).toEqual([
    [0x12, -1],
    [LOGIN7, OPTION_FLAGS_2],
  ]);
  expect(fake.packets[1]?.data[OPTION_FLAGS_2]).toBe(ODBC);
  expect(initialSql).toBe(OPTIONS.filter((line) => line !== 'set arithabort on').join('\n'));
  // Later messages are as they were.
  fake.messageIo?.sendMessage(LOGIN7, Buffer.alloc(94));
  expect(fake.packets.at(-1)?.data.some((byte) => byte !== 0)).toBe(false);
});

test('the other flags of a login stay', () => {
  const { fake } = loggedIn((connection) => {
    connection.loginFlags = 0x81;
  });
  expect(fake.packets.at(-1)?.data[OPTION_FLAGS_2]).toBe(0x83);
});

test.each<[string, (fake: FakeConnection) => void]>([
  [
    'a login message without flags',
    (fake) => {
      fake.loginSize = OPTION_FLAGS_2;
    },
  ],
  [
    'a tedious without message streams',
    (fake) => {
      fake.messageIo = undefined;
    },
  ],
])('%s: all options are sent, and restored by a request', async (_, change) => {
  const { fake, reset, connection, send, initialSql } = loggedIn(change);
  expect([reset.hasLoginOptions, initialSql]).toEqual([false, fake.initialSql]);
  send();
  expect(reset.returned(connection)).toBe('request');
  reset.run(connection);
  expect(fake.sent.at(-1)?.payload).toEqual({ sqlText: fake.initialSql });
});

test('options that a reset undoes are sent after each login and each reset', () => {
  const { fake, reset, connection, send, initialSql } = loggedIn((connection) => {
    connection.initialSql = `${OPTIONS.join('\n')}\nset datefirst 1\n`;
  });
  expect(initialSql).toBe(fake.initialSql);
  send();
  expect(reset.returned(connection)).toBe('request');
  reset.run(connection);
  expect(fake.sent.at(-1)?.payload).toEqual({ sqlText: fake.initialSql });
});

test('empty lines are no options', () => {
  const { initialSql } = loggedIn((fake) => {
    fake.initialSql = `\n${LEVEL_OF_LOGIN}\n\n`;
  });
  expect(initialSql).toBe(LEVEL_OF_LOGIN);
});

test('a login that cannot be sent leaves the message stream as it was', () => {
  const fake = new FakeConnection();
  const proto = Object.getPrototypeOf(fake.messageIo);
  proto.sendMessage = () => {
    throw new Error('closed');
  };
  makeResettable(fake as unknown as Connection);
  expect(() => fake.sendLogin7Packet()).toThrow('closed');
  expect(Object.hasOwn(fake.messageIo as object, 'sendMessage')).toBe(false);
});

test.each(['makeRequest', 'reset'] as const)('a tedious without %s is refused with what to do', (method) => {
  const fake = Object.assign(new FakeConnection(), { [method]: undefined }) as unknown as Connection;
  expect(() => makeResettable(fake)).toThrow(ConfigurationError);
  expect(() => makeResettable(fake)).toThrow(
    "pool.resetSession: 'always' needs tedious 18 to 20; this one cannot reset a session.",
  );
  expect(resetOf(fake)).toBeUndefined();
});

test('a tedious whose login message is out of reach logs in as it would', () => {
  const fake = Object.assign(new FakeConnection(), { sendLogin7Packet: undefined }) as unknown as Connection;
  makeResettable(fake);
  expect((fake as unknown as FakeConnection).sendLogin7Packet).toBeUndefined();
});

test('a reset of a connection that no pool listens to is ignored', () => {
  const fake = new FakeConnection();
  makeResettable(fake as unknown as Connection);
  const reset = resetOf(fake as unknown as Connection) as SessionReset;
  reset.inUse = false;
  fake.makeRequest({}, BATCH, { sqlText: 'SELECT 1' });
  reset.returned(fake as unknown as Connection);
  fake.makeRequest({}, BATCH, { sqlText: 'SELECT 1' });
  fake.makeRequest({}, BATCH, { sqlText: 'SELECT 1' });
  expect(() => fake.emit('resetConnection')).not.toThrow();
});

import { EventEmitter } from 'node:events';
import type { Connection } from 'tedious';
import { expect, test } from 'vitest';
import { isWatchable, TransactionWatch } from '../../src/pool/transaction-watch.js';

const [BATCH, RPC, TRANSACTION_MANAGER] = [0x01, 0x03, 0x0e];
const [BEGIN, COMMIT, ROLLBACK] = [5, 7, 8];

/** What a watch needs of a tedious connection. */
class FakeConnection extends EventEmitter {
  inTransaction = true;
  state: { name: string } | undefined = { name: 'LoggedIn' };
  transactionDescriptors: unknown[] | undefined = ['none', 'outermost'];
  readonly sent: unknown[][] = [];

  makeRequest(...request: unknown[]): void {
    this.sent.push(request);
  }
}

/** A payload of the transaction manager (MS-TDS 2.2.6.9), after headers that begin with their length. */
function operation(kind: number, headers = 22): Iterable<Buffer> {
  const head = Buffer.alloc(headers);
  if (headers >= 4) head.writeUInt32LE(headers);
  return [head, Buffer.from([kind, 0])];
}

/** A transaction that has begun, with the watch of `transaction()`. */
function begun(change: (connection: FakeConnection) => void = () => {}) {
  const connection = new FakeConnection();
  change(connection);
  let held = true;
  const watch = new TransactionWatch(connection as unknown as Connection, () => held);
  return {
    connection,
    watch,
    send: (sql: string, type = BATCH) => connection.makeRequest({ sqlTextOrProcedure: sql }, type, undefined),
    ask: (kind: number, headers?: number) => connection.makeRequest({}, TRANSACTION_MANAGER, operation(kind, headers)),
    /** As tedious does when the server has ended the transaction. */
    end: () => {
      connection.inTransaction = false;
      connection.transactionDescriptors = ['none'];
    },
    rollBack: () => {
      connection.inTransaction = false;
      connection.transactionDescriptors = ['none'];
      connection.emit('rollbackTransaction');
    },
    leave: () => {
      held = false;
    },
  };
}

test('a transaction is open until it ends', () => {
  const { watch, send } = begun();
  send('INSERT INTO t VALUES (1)');
  expect([watch.state, watch.wentOn, watch.mayHaveCommitted]).toEqual(['open', false, false]);
});

test('a tedious without descriptors: a transaction is open while the connection is in one', () => {
  const { watch, connection } = begun((connection) => {
    connection.transactionDescriptors = undefined;
  });
  expect(watch.state).toBe('open');
  connection.inTransaction = false;
  expect(watch.state).toBe('unknown');
});

test("if other code ends the transaction and begins another, the new one is not the caller's", () => {
  const { watch, connection, send } = begun();
  connection.transactionDescriptors = ['none', 'another'];
  expect(watch.state).toBe('unknown');
  send('SELECT 1');
  // Not even after a rollback, which belongs to the other one.
  connection.emit('rollbackTransaction');
  expect(watch.state).toBe('unknown');
});

test('after a rollback nothing of the transaction is left, although another may have begun', () => {
  const { watch, connection, rollBack } = begun();
  rollBack();
  expect(watch.state).toBe('rolled-back');
  connection.inTransaction = true;
  connection.transactionDescriptors = ['none', 'outermost'];
  expect(watch.state).toBe('rolled-back');
});

test('a request after the end of a transaction, and a rollback after that: it may have been committed', () => {
  const { watch, connection, send, end } = begun();
  send('COMMIT');
  end();
  send('BEGIN TRANSACTION');
  connection.emit('rollbackTransaction');
  expect(watch.state).toBe('unknown');
});

test.each<[boolean, string]>([
  [false, 'ROLLBACK'],
  [false, '  rollback\n tran; '],
  [false, 'ROLLBACK TRANSACTION'],
  [false, 'IF @@TRANCOUNT > 0 ROLLBACK'],
  [false, 'if  xact_state()\t<> 0\nrollback transaction;'],
  [false, `ROLLBACK${' '.repeat(192)}`],
  [true, `ROLLBACK${' '.repeat(193)}`],
  [true, 'ROLLBACK; INSERT INTO t VALUES (1)'],
  [true, 'INSERT INTO t VALUES (1)'],
  [true, 'SELECT 1; ROLLBACK'],
])('after a rollback, work outside of the transaction is %s for %j', (wentOn, sql) => {
  for (const type of [BATCH, RPC]) {
    const { watch, send, rollBack } = begun();
    // Before it, each request is part of the transaction.
    send('INSERT INTO t VALUES (1)');
    rollBack();
    send(sql, type);
    expect(watch.wentOn).toBe(wentOn);
    // Work that was done once stays done.
    send('ROLLBACK', type);
    expect(watch.wentOn).toBe(wentOn);
  }
});

test.each<[boolean, string, number, number | undefined]>([
  [false, 'ROLLBACK', ROLLBACK, undefined],
  [false, 'ROLLBACK without headers but their length', ROLLBACK, 4],
  [true, 'BEGIN', BEGIN, undefined],
])('after a rollback, work outside of the transaction is %s for a request of the transaction manager: %s', (...row) => {
  const [wentOn, , kind, headers] = row;
  const { watch, ask, rollBack } = begun();
  rollBack();
  ask(kind, headers);
  expect(watch.wentOn).toBe(wentOn);
});

test.each([[[]], [[Buffer.from([22, 0])]], [[Buffer.from([22, 0, 0, 0])]], [[Buffer.alloc(22, 22), Buffer.from([7])]]])(
  'a request of the transaction manager that is cut off is none of them',
  (payload) => {
    const { watch, connection } = begun();
    connection.makeRequest({}, TRANSACTION_MANAGER, payload);
    expect(watch.mayHaveCommitted).toBe(false);
  },
);

test.each<[boolean, string]>([
  [true, 'COMMIT'],
  [true, 'insert into t values (1) commit tran'],
  [false, 'SELECT committed FROM t'],
  [false, 'ROLLBACK'],
])('the latest request may have committed: %s for %j', (mayHave, sql) => {
  const { watch, send } = begun();
  send(sql);
  expect(watch.mayHaveCommitted).toBe(mayHave);
  send('SELECT 1');
  expect(watch.mayHaveCommitted).toBe(false);
});

test('COMMIT of the transaction manager commits; its other requests do not, whatever their text', () => {
  const { watch, connection, ask } = begun();
  ask(COMMIT);
  expect(watch.mayHaveCommitted).toBe(true);
  ask(BEGIN);
  expect(watch.mayHaveCommitted).toBe(false);
  connection.makeRequest({ sqlTextOrProcedure: 'commit' }, TRANSACTION_MANAGER, operation(ROLLBACK));
  expect(watch.mayHaveCommitted).toBe(false);
});

test('a request that tedious does not send has no effect here, but is passed to tedious', () => {
  for (const state of [{ name: 'SentClientRequest' }, undefined]) {
    const { watch, connection, send } = begun((connection) => {
      connection.state = state;
    });
    send('COMMIT');
    expect([watch.mayHaveCommitted, connection.sent]).toEqual([
      false,
      [[{ sqlTextOrProcedure: 'COMMIT' }, BATCH, undefined]],
    ]);
  }
});

test("the next borrower's requests say nothing about the transaction, and are not watched", () => {
  const { watch, connection, send, leave } = begun();
  leave();
  connection.emit('rollbackTransaction');
  send('COMMIT');
  expect([watch.state, watch.mayHaveCommitted, watch.wentOn]).toEqual(['open', false, false]);
  expect(Object.hasOwn(connection, 'makeRequest')).toBe(false);
  expect(connection.listenerCount('rollbackTransaction')).toBe(0);
});

test('afterwards, the connection is as it was, even if it had its own method', () => {
  const plain = begun();
  plain.watch.stop();
  plain.watch.stop();
  expect(Object.hasOwn(plain.connection, 'makeRequest')).toBe(false);
  expect(plain.connection.listenerCount('rollbackTransaction')).toBe(0);

  const seen: unknown[] = [];
  const own = (request: unknown) => seen.push(request);
  const instrumented = begun((connection) => {
    connection.makeRequest = own;
  });
  instrumented.send('SELECT 1');
  instrumented.watch.stop();
  expect(instrumented.connection.makeRequest).toBe(own);
  expect(seen).toEqual([{ sqlTextOrProcedure: 'SELECT 1' }]);
});

test('two transactions on one connection: each is watched until its own end', () => {
  const { connection, watch: first, send } = begun();
  const second = new TransactionWatch(connection as unknown as Connection, () => true);
  first.stop();
  send('COMMIT');
  expect([first.mayHaveCommitted, second.mayHaveCommitted]).toEqual([false, true]);
  second.stop();
  expect(Object.hasOwn(connection, 'makeRequest')).toBe(false);
});

test('only a connection of tedious can be watched', () => {
  expect(isWatchable(new FakeConnection())).toBe(true);
  for (const other of [undefined, null, {}, new EventEmitter(), { makeRequest() {}, off() {} }, { makeRequest: 1 }]) {
    expect(isWatchable(other)).toBe(false);
  }
});

test('a connection without requests to watch is left unchanged', () => {
  const connection = Object.assign(new EventEmitter(), { inTransaction: true });
  const watch = new TransactionWatch(connection as unknown as Connection, () => true);
  watch.stop();
  expect(Object.keys(connection)).not.toContain('makeRequest');
});

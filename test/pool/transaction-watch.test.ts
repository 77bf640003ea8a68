import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { CommitOutcomeUnknownError, type DriverTransaction, transaction } from '../../src/index.js';

/** What `transaction()` needs of a tedious connection. */
class StandIn extends EventEmitter {
  inTransaction = false;
  state = { name: 'LoggedIn' };
  transactionDescriptors: unknown[] = [0];

  makeRequest(_request: { sqlTextOrProcedure: string }, _type: number): void {}
  close(): void {}

  begin(): void {
    this.inTransaction = true;
    this.transactionDescriptors = [0, {}];
  }

  /** Commits or rolls back. */
  end(): void {
    this.inTransaction = false;
    this.transactionDescriptors = [0];
  }
}

/** As a transaction of mssql: it returns its connection when the server has rolled back. */
class Scope implements DriverTransaction {
  _acquiredConnection: StandIn | undefined;
  readonly #abort = (): void => {
    this._acquiredConnection = undefined;
  };
  readonly log: string[];
  readonly #connection: StandIn;

  constructor(connection: StandIn, log: string[] = []) {
    this.#connection = connection;
    this.log = log;
  }

  async begin(): Promise<void> {
    this.log.push('begin');
    this._acquiredConnection = this.#connection;
    this.#connection.on?.('rollbackTransaction', this.#abort);
    this.#connection.begin?.();
  }

  async commit(): Promise<void> {
    this.log.push('commit');
    this.#connection.off?.('rollbackTransaction', this.#abort);
    this.#connection.end?.();
    this._acquiredConnection = undefined;
  }

  async rollback(): Promise<void> {
    if (this._acquiredConnection === undefined) throw new Error('Transaction has been aborted.');
    this.log.push('rollback');
    this.#connection.end?.();
    this._acquiredConnection = undefined;
  }

  send(sqlTextOrProcedure: string): void {
    this._acquiredConnection?.makeRequest({ sqlTextOrProcedure }, 1);
  }
}

const soon = { firstWaitMs: 1 };
const lost = () => Object.assign(new Error('Connection lost'), { code: 'ESOCKET' });
const busy = () => Object.assign(new Error('The service is busy.'), { number: 40501 });

/** A transaction that the server has rolled back, so that mssql has returned its connection; its function is still running. */
async function aborted(connection: StandIn) {
  let proceed = (): void => {};
  const gate = new Promise<void>((resolve) => {
    proceed = resolve;
  });
  let runs = 0;
  const result = transaction(
    { transaction: () => new Scope(runs === 0 ? connection : new StandIn()) },
    async () => {
      runs += 1;
      if (runs > 1) return runs;
      connection.end();
      connection.emit('rollbackTransaction');
      await gate;
      throw busy();
    },
    soon,
  );
  await new Promise(setImmediate);
  return { result, proceed };
}

test('COMMIT of the next transaction on a connection is noticed, even if the last one ends after it has begun', async () => {
  const connection = new StandIn();
  const first = await aborted(connection);
  let runs = 0;
  const second = transaction(
    { transaction: () => new Scope(connection) },
    async (scope: Scope) => {
      runs += 1;
      first.proceed();
      await first.result;
      scope.send('INSERT INTO t VALUES (1) COMMIT');
      throw lost();
    },
    soon,
  );
  await expect(second).rejects.toBeInstanceOf(CommitOutcomeUnknownError);
  expect(runs).toBe(1);
  expect(Object.hasOwn(connection, 'makeRequest')).toBe(false);
});

test('requests of the next borrower do not count towards a transaction that the server has rolled back', async () => {
  const connection = new StandIn();
  const first = await aborted(connection);
  expect(
    await transaction({ transaction: () => new Scope(connection) }, (scope: Scope) => {
      scope.send('SELECT 1');
      return 'second';
    }),
  ).toBe('second');
  connection.makeRequest({ sqlTextOrProcedure: 'SELECT 2' }, 1);
  first.proceed();
  expect(await first.result).toBe(2);
  expect(Object.hasOwn(connection, 'makeRequest')).toBe(false);
  expect(connection.listenerCount('rollbackTransaction')).toBe(1);
});

test.each([
  ['has on() and off()', { on() {}, off() {} }],
  ['is an event emitter', new EventEmitter()],
  ['has neither', {}],
])('a transaction of a driver other than tedious is committed: its connection %s', async (_, connection) => {
  const log: string[] = [];
  const pool = { transaction: () => new Scope(connection as StandIn, log) };
  expect(await transaction(pool, () => 'done')).toBe('done');
  expect(log).toEqual(['begin', 'commit']);
});

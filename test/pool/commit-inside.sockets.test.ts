import sql from 'mssql';
import type { Connection } from 'tedious';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { CommitOutcomeUnknownError, TransactionRolledBackError, transaction } from '../../src/index.js';
import { type Site, site } from '../support/pool.js';
import { batch } from '../support/query.js';

const soon = { firstWaitMs: 10 };
const log: string[] = [];
let s: Site;
let mssqlPool: sql.ConnectionPool;

beforeAll(async () => {
  s = await site({ server: { onTransaction: ({ kind }) => void log.push(kind) } });
  mssqlPool = new sql.ConnectionPool({ ...s.server.config(), pool: { max: 1 } } as sql.config);
  mssqlPool.on('error', () => {});
  await mssqlPool.connect();
});
afterAll(async () => {
  await mssqlPool.close();
  await s[Symbol.asyncDispose]();
});
beforeEach(() => {
  log.length = 0;
});

/** What a function of the application can do in its transaction, whatever the pool. */
interface Scope {
  run(text: string): Promise<unknown>;
  commit(): Promise<unknown>;
  rollback(): Promise<unknown>;
  lose(): Promise<void>;
}

const done = (act: (callback: (error?: Error | null) => void) => void): Promise<void> =>
  new Promise((resolve, reject) => act((error) => (error ? reject(error) : resolve())));

async function kill(run: Scope['run']): Promise<void> {
  s.server.dropConnections();
  await run('SELECT 1').catch(() => {});
}

type Run = (fn: (scope: Scope) => Promise<unknown>) => Promise<unknown>;
const POOLS: [string, Run][] = [
  [
    'our pool',
    async (fn) => {
      const pool = s.pool({ pool: { max: 1 } });
      try {
        return await transaction(
          pool,
          (connection: Connection) => {
            const run = (text: string) => batch(connection, text);
            return fn({
              run,
              commit: () => done((callback) => connection.commitTransaction(callback)),
              rollback: () => done((callback) => connection.rollbackTransaction(callback)),
              lose: () => kill(run),
            });
          },
          soon,
        );
      } finally {
        await expect.poll(() => pool.stats.borrowed).toBe(0);
      }
    },
  ],
  [
    "mssql's pool",
    async (fn) => {
      try {
        return await transaction(
          mssqlPool,
          (tx: sql.Transaction) => {
            const run = (text: string) => new sql.Request(tx).batch(text);
            return fn({ run, commit: () => tx.commit(), rollback: () => tx.rollback(), lose: () => kill(run) });
          },
          soon,
        );
      } finally {
        await expect.poll(() => mssqlPool.borrowed).toBe(0);
      }
    },
  ],
];

const BUSY = "THROW 40501, 'busy', 1";
const DEADLOCK = "THROW 1205, 'deadlock', 1";

const COMMITTED: [string, (scope: Scope) => Promise<unknown>][] = [
  ['COMMIT, then nothing', ({ run }) => run('COMMIT')],
  ['COMMIT through the driver', ({ commit }) => commit()],
  ['COMMIT, then a transient error', async ({ run }) => run('COMMIT').then(() => run(BUSY))],
  ['COMMIT, then a transient error in one batch', ({ run }) => run(`COMMIT; ${BUSY}`)],
  ["COMMIT, then an error of the application's own", ({ run }) => run('COMMIT').then(() => fail('mine'))],
  [
    'COMMIT, then the connection is lost',
    async ({ run, lose }) =>
      run('COMMIT')
        .then(lose)
        .then(() => run('SELECT 1')),
  ],
  ['COMMIT; BEGIN TRANSACTION', ({ run }) => run('COMMIT; BEGIN TRANSACTION')],
  [
    'COMMIT; BEGIN TRANSACTION, then a deadlock',
    ({ run }) => run('COMMIT; BEGIN TRANSACTION').then(() => run(DEADLOCK)),
  ],
  [
    'COMMIT; BEGIN TRANSACTION, then ROLLBACK',
    ({ run }) => run('COMMIT; BEGIN TRANSACTION').then(() => run('ROLLBACK')),
  ],
  [
    'a batch with COMMIT that is running when the connection is lost',
    async ({ run }) => {
      const running = run("COMMIT; WAITFOR DELAY '00:00:10'");
      running.catch(() => {});
      await expect.poll(() => log).toContain('commit');
      s.server.dropConnections();
      await running;
    },
  ],
];

function fail(message: string): never {
  throw new Error(message);
}

test.each(POOLS.flatMap(([pool, run]) => COMMITTED.map(([what, act]) => [pool, what, run, act] as const)))(
  '%s: a function that sends %s is not run again, and the error says that the outcome is unknown',
  async (_, __, run, act) => {
    let runs = 0;
    const ran = run(async (scope) => {
      runs += 1;
      await act(scope);
    });
    await expect(ran).rejects.toBeInstanceOf(CommitOutcomeUnknownError);
    expect(runs).toBe(1);
    expect(log.filter((kind) => kind === 'commit')).toHaveLength(1);
  },
);

const ROLLED_BACK: [string, (scope: Scope) => Promise<unknown>][] = [
  ['ROLLBACK, then nothing', ({ run }) => run('ROLLBACK')],
  ['ROLLBACK through the driver', ({ rollback }) => rollback()],
];

test.each(POOLS.flatMap(([pool, run]) => ROLLED_BACK.map(([what, act]) => [pool, what, run, act] as const)))(
  '%s: a function that sends %s fails with TransactionRolledBackError',
  async (_, __, run, act) => {
    await expect(run(act)).rejects.toBeInstanceOf(TransactionRolledBackError);
    expect(log).toEqual(['begin', 'rollback']);
  },
);

test('work outside a transaction that the server has rolled back is not repeated', async () => {
  const [[, run] = fail('no pool')] = POOLS;
  let runs = 0;
  const ran = run(async (scope) => {
    runs += 1;
    await scope.run(`SET XACT_ABORT ON; ${DEADLOCK}`).catch(() => {});
    await scope.run('SELECT 1');
    await scope.run(BUSY);
  });
  await expect(ran).rejects.toThrow('Everything that the function sent afterwards ran outside of it.');
  expect(runs).toBe(1);
});

test('work outside the transaction is not repeated if the error is that of the rollback, either', async () => {
  const [[, run] = fail('no pool')] = POOLS;
  let runs = 0;
  const ran = run(async (scope) => {
    runs += 1;
    const error = await scope.run(`SET XACT_ABORT ON; ${DEADLOCK}`).catch((reason: unknown) => reason);
    await scope.run('INSERT INTO failures VALUES (1)').catch(() => {});
    throw error;
  });
  await expect(ran).rejects.toThrow('Everything that the function sent afterwards ran outside of it.');
  expect(runs).toBe(1);
});

test.each(POOLS)('%s: a function that rolls back after a deadlock and rethrows it runs again', async (_, run) => {
  let runs = 0;
  const ran = run(async (scope) => {
    runs += 1;
    if (runs > 1) return runs;
    try {
      await scope.run(`SET XACT_ABORT ON; ${DEADLOCK}`);
    } catch (error) {
      await scope.run('IF @@TRANCOUNT > 0 ROLLBACK').catch(() => {});
      throw error;
    }
    return 0;
  });
  await expect(ran).resolves.toBe(2);
});

test.each(POOLS)('%s: a connection that is lost after a nested transaction runs again', async (_, run) => {
  let runs = 0;
  const ran = run(async (scope) => {
    runs += 1;
    await scope.run('BEGIN TRANSACTION; COMMIT');
    await scope.run('SELECT 1');
    if (runs === 1) await scope.lose().then(() => scope.run('SELECT 1'));
    return runs;
  });
  await expect(ran).resolves.toBe(2);
});

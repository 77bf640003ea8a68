import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import knexModule from 'knex';
import sql from 'mssql';
import type { Connection } from 'tedious';
import { afterEach, describe, expect, test } from 'vitest';
import {
  CommitOutcomeUnknownError,
  createTokenPools,
  retryTransaction,
  TransactionRolledBackError,
  transaction,
  withRetry,
  withTokenRefresh,
} from '../../src/index.js';
import dropIn from '../../src/mssql/index.js';
import { startSqlGateway } from '../../src/testing/index.js';
import { type Site, site } from '../support/pool.js';
import { batch, query } from '../support/query.js';

const soon = { firstWaitMs: 10 };
let s: Site | undefined;
afterEach(async () => {
  await s?.[Symbol.asyncDispose]();
  s = undefined;
});

/** Both emulators, and what happened to transactions on the server. */
async function siteWithLog(onCommit: () => unknown = () => {}) {
  const log: string[] = [];
  const opened = await site({
    server: {
      onTransaction({ kind }) {
        log.push(kind);
        if (kind === 'commit') onCommit();
      },
    },
  });
  s = opened;
  return { ...opened, log };
}

test('commits what succeeds and resolves with its result', async () => {
  const { pool, log } = await siteWithLog();
  const one = pool();
  await expect(transaction(one, (connection) => query(connection, 'SELECT @@TRANCOUNT'))).resolves.toEqual([[1]]);
  expect(log).toEqual(['begin', 'commit']);
  expect(one.stats).toMatchObject({ borrowed: 0, size: 1 });
});

test('rolls back what fails, and the connection stays in use after an error of the caller', async () => {
  const { pool, log } = await siteWithLog();
  const one = pool();
  const failure = new Error('not enough money');
  await expect(
    transaction(one, async (connection) => {
      await query(connection, 'SELECT 1');
      throw failure;
    }),
  ).rejects.toBe(failure);
  expect(log).toEqual(['begin', 'rollback']);
  expect(one.stats).toMatchObject({ size: 1, borrowed: 0 });
  await expect(one.use((connection) => query(connection, 'SELECT @@TRANCOUNT'))).resolves.toEqual([[0]]);
});

test.each([1205, 3960, 41_302])('a transaction that the server rolls back with %i runs again', async (number) => {
  const { pool, log } = await siteWithLog();
  let runs = 0;
  const result = await transaction(
    pool(),
    async (connection) => {
      runs += 1;
      if (runs < 3) await query(connection, `SET XACT_ABORT ON; THROW ${number}, 'in the way', 1`);
      return runs;
    },
    soon,
  );
  expect(result).toBe(3);
  expect(log).toEqual(['begin', 'rollback', 'begin', 'rollback', 'begin', 'commit']);
});

test('if the server rolls back at COMMIT, the transaction runs again too', async () => {
  const log: string[] = [];
  let failures = 1;
  const pool = {
    transaction: () => ({
      begin: async () => log.push('begin'),
      rollback: async () => log.push('rollback'),
      commit: async () => {
        log.push('commit');
        failures -= 1;
        if (failures >= 0) throw Object.assign(new Error('validation failure'), { number: 41_305 });
      },
    }),
  };
  await transaction(pool, () => 1, soon);
  expect(log).toEqual(['begin', 'commit', 'begin', 'commit']);
});

test('a connection that is lost before COMMIT was sent: the transaction runs again on another one', async () => {
  const { pool, server, log } = await siteWithLog();
  const used = new Set<Connection>();
  await transaction(
    pool(),
    async (connection) => {
      used.add(connection);
      if (used.size === 1) {
        const running = query(connection, "WAITFOR DELAY '00:00:10'");
        server.dropConnections();
        await running;
      }
      await query(connection, 'SELECT 1');
    },
    soon,
  );
  expect(used.size).toBe(2);
  expect(log.filter((kind) => kind === 'commit')).toHaveLength(1);
});

/** Drops all connections and waits until this one has noticed, as with a session that is killed while the caller is busy. */
async function loseConnection(connection: Connection): Promise<void> {
  const ended = once(connection, 'end');
  s?.server.dropConnections();
  await ended;
}

test.each<[string, (connection: Connection) => unknown]>([
  ['before COMMIT, which is then not sent', () => {}],
  ['before the next statement, which is then not sent', (connection) => query(connection, 'SELECT 2')],
])('a connection that is lost %s: the transaction runs again on another one', async (_, goOn) => {
  const { pool, log } = await siteWithLog();
  const used = new Set<Connection>();
  await transaction(
    pool(),
    async (connection) => {
      used.add(connection);
      await query(connection, 'SELECT 1');
      if (used.size === 1) await loseConnection(connection);
      await goOn(connection);
    },
    soon,
  );
  expect(used.size).toBe(2);
  expect(log.filter((kind) => kind === 'commit')).toHaveLength(1);
});

test('the same with a pool of mssql', async () => {
  const { server, log } = await siteWithLog();
  const pool = new sql.ConnectionPool({ ...server.config(), pool: { max: 1 } } as sql.config);
  pool.on('error', () => {});
  await pool.connect();
  for (const goOn of [false, true]) {
    log.length = 0;
    let runs = 0;
    await transaction(
      pool,
      async (scope) => {
        runs += 1;
        scope.on('rollback', () => {});
        await new sql.Request(scope).query('SELECT 1');
        const { _acquiredConnection: connection } = scope as unknown as { _acquiredConnection: Connection };
        if (runs === 1) await loseConnection(connection);
        if (goOn) await new sql.Request(scope).query('SELECT 2');
      },
      soon,
    );
    expect(runs).toBe(2);
    expect(log.filter((kind) => kind === 'commit')).toHaveLength(1);
  }
  await pool.close();
});

test('a server that ends the TLS session in order during a statement, as after KILL: the transaction runs again', async () => {
  const { entra, server, pool } = await siteWithLog();
  const { port, server: host } = server.config();
  const upstream = { server: host, port, ...server.sqlLogin, options: { trustServerCertificate: true } };
  await using gateway = await startSqlGateway({ entra, upstream });
  const one = pool({ port: gateway.config().port });
  let runs = 0;
  await transaction(
    one,
    async (connection) => {
      runs += 1;
      if (runs > 1) return;
      const running = query(connection, "WAITFOR DELAY '00:00:10'");
      await expect.poll(() => server.queries.at(-1)?.sql).toMatch(/^WAITFOR/);
      server.dropConnections();
      await running;
    },
    soon,
  );
  expect(runs).toBe(2);
  await one.close();
});

test('COMMIT is not sent while another request is running, so its outcome is known', async () => {
  const { pool, log } = await siteWithLog();
  let runs = 0;
  const one = pool();
  const failure = await transaction(
    one,
    (connection) => {
      runs += 1;
      query(connection, "WAITFOR DELAY '00:00:01'").catch(() => {});
    },
    soon,
  ).catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: 'EINVALIDSTATE' });
  expect(failure).not.toBeInstanceOf(CommitOutcomeUnknownError);
  expect(runs).toBe(1);
  await expect.poll(() => log).toEqual(['begin', 'rollback']);
  expect(one.stats.borrowed).toBe(0);
});

test('a connection that is lost while COMMIT is under way: never again, and the error says that the outcome is unknown', async () => {
  const { pool, log } = await siteWithLog(() => s?.server.dropConnections());
  const one = pool();
  let runs = 0;
  await expect(
    transaction(
      one,
      async (connection) => {
        runs += 1;
        await query(connection, 'SELECT 1');
      },
      soon,
    ),
  ).rejects.toMatchObject({
    code: 'ERR_COMMIT_OUTCOME_UNKNOWN',
    message: expect.stringContaining('may or may not have been committed'),
    cause: expect.any(Error),
  });
  expect(runs).toBe(1);
  expect(log.filter((kind) => kind === 'commit')).toHaveLength(1);
  expect(one.stats.borrowed).toBe(0);
});

test('an error caught inside a transaction that the server has rolled back is not taken for success', async () => {
  const { pool } = await siteWithLog();
  await expect(
    transaction(
      pool(),
      async (connection) => {
        await query(connection, "SET XACT_ABORT ON; THROW 50001, 'no', 1").catch(() => {});
      },
      soon,
    ),
  ).rejects.toMatchObject({ code: 'ERR_TRANSACTION_ROLLED_BACK', number: 50_001 });
});

/** One way to run a transaction on each kind of pool, and a statement inside it. */
type Runs = { server: Site['server']; pool: Site['pool'] };
type Batch = (text: string) => Promise<unknown>;
const POOLS: [string, (site: Runs, work: (batch: Batch) => Promise<unknown>) => Promise<unknown>][] = [
  [
    'this package',
    ({ pool }, work) => transaction(pool(), (connection) => work((text) => batch(connection, text)), soon),
  ],
  [
    'mssql',
    ({ server }, work) => onPoolOfMssql(new sql.ConnectionPool(server.config() as sql.config), sql.Request, work),
  ],
  [
    'mssql with withTokenRefresh',
    ({ server }, work) =>
      onPoolOfMssql(new sql.ConnectionPool(withTokenRefresh(server.config()) as sql.config), sql.Request, work),
  ],
  [
    'the drop-in',
    ({ server }, work) => onPoolOfMssql(new dropIn.ConnectionPool(server.config() as never), dropIn.Request, work),
  ],
];

async function onPoolOfMssql(
  pool: sql.ConnectionPool,
  Request: new (scope: sql.Transaction) => sql.Request,
  work: (batch: Batch) => Promise<unknown>,
): Promise<unknown> {
  await pool.connect();
  try {
    return await transaction(pool, (scope: sql.Transaction) => work((text) => new Request(scope).batch(text)), soon);
  } finally {
    await pool.close();
  }
}

const rollsBack = (number: number) => `SET XACT_ABORT ON; THROW ${number}, 'in the way', 1`;

describe.each(POOLS)('a function of a transaction on a pool of %s', (_kind, run) => {
  test.each([1205, 3960, 50_001])('that ignores a rollback (%i) runs once, and is no success', async (number) => {
    const opened = await siteWithLog();
    let runs = 0;
    const work = async (statement: Batch): Promise<string> => {
      runs += 1;
      await statement('SELECT 1');
      await statement(rollsBack(number)).catch(() => {});
      return 'an e-mail was sent';
    };
    await expect(run(opened, work)).rejects.toMatchObject({
      code: 'ERR_TRANSACTION_ROLLED_BACK',
      number,
      message: expect.stringContaining('none of it took effect'),
    });
    expect(runs).toBe(1);
    expect(opened.log.filter((kind) => kind !== 'rollback')).toEqual(['begin']);
  });

  test('that reports a deadlock in an error of its own runs again', async () => {
    const opened = await siteWithLog();
    let runs = 0;
    const work = async (statement: Batch): Promise<number> => {
      runs += 1;
      if (runs === 1) {
        await statement(rollsBack(1205)).catch(() => {
          throw new Error('The order could not be stored.');
        });
      }
      return runs;
    };
    await expect(run(opened, work)).resolves.toBe(2);
    expect(runs).toBe(2);
  });

  test('that passes on the outcome of another transaction does not run again, whatever that was', async () => {
    for (const Kind of [TransactionRolledBackError, CommitOutcomeUnknownError]) {
      const opened = await siteWithLog();
      const cause = Object.assign(new Error('gone'), { code: 'ECONNRESET' });
      const outcome = new Kind('of an inner transaction', { number: 1205, cause });
      let runs = 0;
      const work = async (): Promise<never> => {
        runs += 1;
        throw new Error('wrapped', { cause: outcome });
      };
      await expect(run(opened, work)).rejects.toMatchObject({ message: 'wrapped' });
      expect(runs).toBe(1);
      await s?.[Symbol.asyncDispose]();
    }
  });
});

test('retryTransaction() and withRetry() do not repeat a transaction whose outcome transaction() has reported', async () => {
  const { pool } = await siteWithLog();
  const one = pool();
  for (const Kind of [TransactionRolledBackError, CommitOutcomeUnknownError]) {
    const outcome = new Kind('of a transaction', { number: 1205 });
    let runs = 0;
    const work = async (): Promise<never> => {
      runs += 1;
      throw outcome;
    };
    await expect(retryTransaction(work, soon)).rejects.toBe(outcome);
    await expect(withRetry(one, work, soon)).rejects.toBe(outcome);
    expect(runs).toBe(2);
  }
});

test('the isolation level applies to the transaction and does not reach the next borrower', async () => {
  const levels: string[] = [];
  s = await site({
    server: {
      onQuery(text, _parameters, session) {
        if (text !== 'LEVEL?') return undefined;
        levels.push(session.isolationLevel);
        return [];
      },
    },
  });
  const pool = s.pool({ pool: { max: 1 } });
  const isolationLevel = 'serializable';
  await transaction(pool, (connection) => query(connection, 'LEVEL?'), { isolationLevel });
  await pool.use((connection) => query(connection, 'LEVEL?'));
  expect(levels).toEqual(['SERIALIZABLE', 'READ COMMITTED']);
  expect(s.server.logins).toHaveLength(1);
});

test('a transaction that was committed never runs again, even if the connection is lost before its isolation level is set back', async () => {
  const log: string[] = [];
  const here = await site({
    server: {
      onTransaction({ kind }) {
        log.push(kind);
        // The second one sets the level back.
        if (log.filter((each) => each === 'begin').length === 2) here.server.dropConnections();
      },
    },
  });
  s = here;
  const pool = here.pool({ pool: { max: 1 } });
  let runs = 0;
  const run = async (connection: Connection) => {
    runs += 1;
    return await query(connection, 'SELECT 1');
  };
  expect(await transaction(pool, run, { isolationLevel: 'serializable', ...soon })).toEqual([[1]]);
  expect(runs).toBe(1);
  expect(log.filter((kind) => kind === 'commit')).toHaveLength(1);
  expect(pool.stats).toMatchObject({ size: 0, borrowed: 0 });
});

test.each([
  ['undefined', () => undefined],
  ['null', () => null],
  ['a string', () => 'no'],
  ['a frozen object without a prototype', () => Object.freeze(Object.create(null))],
  [
    'an error whose properties throw',
    () =>
      new Proxy(new Error('no'), {
        get() {
          throw new Error('not for you');
        },
      }),
  ],
  [
    'an error that causes itself',
    () => {
      const error = new Error('no');
      error.cause = error;
      return error;
    },
  ],
])('a function that throws %s: rolled back, and rejected with just that', async (_, thrown) => {
  const { pool, log } = await siteWithLog();
  const one = pool();
  const value = thrown();
  const failed = async () => {
    throw value;
  };
  const outcome = await transaction(one, failed, soon).then(
    () => 'resolved',
    (error: unknown) => error === value,
  );
  expect(outcome).toBe(true);
  expect(await withRetry(one, failed, soon).catch((error: unknown) => error === value)).toBe(true);
  expect(await retryTransaction(failed, soon).catch((error: unknown) => error === value)).toBe(true);
  expect(log).toEqual(['begin', 'rollback']);
  expect(one.stats).toMatchObject({ size: 1, borrowed: 0 });
});

test('a function that has returned its connection fails with its own error', async () => {
  const { pool } = await siteWithLog();
  const one = pool();
  const failure = new Error('not enough money');
  await expect(
    transaction(one, (connection) => {
      one.release(connection);
      throw failure;
    }),
  ).rejects.toBe(failure);
  expect(one.stats.borrowed).toBe(0);
});

test('a nested transaction that was left open: COMMIT commits nothing, which is an error and not a success', async () => {
  const { pool, server } = await siteWithLog();
  const one = pool({ pool: { max: 1 } });
  const leavesOpen = (connection: Connection) => batch(connection, 'BEGIN TRANSACTION');
  await expect(transaction(one, leavesOpen, soon)).rejects.toMatchObject({
    code: 'ERR_TRANSACTION_ROLLED_BACK',
    message: expect.stringContaining('left a nested transaction open'),
  });
  expect(await one.use((connection) => query(connection, 'SELECT @@TRANCOUNT'))).toEqual([[0]]);

  const { user, password } = server.sqlLogin;
  const { server: host, port, options } = server.config();
  const stock = await new sql.ConnectionPool({
    server: host,
    port,
    user,
    password,
    options,
    pool: { max: 1 },
  } as never).connect();
  await expect(
    transaction(stock, (tx: sql.Transaction) => new sql.Request(tx).batch('BEGIN TRANSACTION'), soon),
  ).rejects.toMatchObject({ code: 'ERR_TRANSACTION_ROLLED_BACK' });
  expect((await stock.request().query('SELECT @@TRANCOUNT AS n')).recordset).toEqual([{ n: 0 }]);
  await stock.close();
});

test('a function that sends COMMIT itself: the error does not say that nothing was done', async () => {
  const { pool } = await siteWithLog();
  const commits = (connection: Connection) => batch(connection, 'COMMIT');
  await expect(transaction(pool(), commits, soon)).rejects.toMatchObject({
    code: 'ERR_COMMIT_OUTCOME_UNKNOWN',
    message: expect.stringContaining('may or may not have been committed'),
    hint: expect.stringContaining('Leave COMMIT and ROLLBACK to transaction()'),
  });
});

test('a missing function is named before a connection is opened', async () => {
  const { pool, server } = await siteWithLog();
  await expect(transaction(pool(), undefined as never)).rejects.toMatchObject({ code: 'ERR_CONFIGURATION' });
  expect(server.logins).toHaveLength(0);
});

test('gives up after `retries`, reports each retry as an event, and obeys the signal', async () => {
  const { pool } = await siteWithLog();
  const events: unknown[] = [];
  const onEvent = (event: unknown): unknown => events.push(event);
  subscribe('mssql-token-pool:transaction:retried', onEvent);
  const deadlock = (connection: Connection) => query(connection, "SET XACT_ABORT ON; THROW 1205, 'deadlock', 1");
  await expect(transaction(pool(), deadlock, { ...soon, retries: 2 })).rejects.toMatchObject({ number: 1205 });
  expect(events).toMatchObject([
    { attempt: 2, number: 1205 },
    { attempt: 3, number: 1205 },
  ]);
  const controller = new AbortController();
  const busy = () => {
    controller.abort(new Error('shutting down'));
    throw Object.assign(new Error('busy'), { number: 40_501 });
  };
  await expect(transaction(pool(), busy, { signal: controller.signal })).rejects.toMatchObject({
    code: 'ERR_ABORTED',
    cause: expect.objectContaining({ message: 'shutting down' }),
  });
  unsubscribe('mssql-token-pool:transaction:retried', onEvent);
});

test.each([
  [{ retries: -1 }, "'retries'"],
  [{ retries: Number.NaN }, "'retries'"],
  [{ firstWaitMs: '5' as never }, "'firstWaitMs'"],
  [{ isolationLevel: 'SERIALIZABLE' as never }, "one of 'read-uncommitted', 'read-committed'"],
  [{ isolationLevel: 'constructor' as never }, "'isolationLevel' is unknown"],
])('a wrong option is named before anything is sent: %j', async (options, named) => {
  const { pool, server } = await siteWithLog();
  await expect(transaction(pool(), () => 1, options)).rejects.toMatchObject({
    code: 'ERR_CONFIGURATION',
    message: expect.stringContaining(named),
  });
  expect(server.logins).toHaveLength(0);
});

test('works for one identity of many', async () => {
  const { server, entra, log } = await siteWithLog();
  const { server: host, port, options } = server.config();
  const pools = createTokenPools({ server: host, port, options });
  const ada = pools.for({ authentication: entra.credential(), key: 'ada' });
  await transaction(ada as never, (connection: Connection) => query(connection, 'SELECT 1'));
  expect(log).toEqual(['begin', 'commit']);
  await pools.close();
});

test('with a pool of mssql: a deadlock runs again, a lost COMMIT does not', async () => {
  let lose = false;
  const { server, log } = await siteWithLog(() => lose && s?.server.dropConnections());
  const pool = new sql.ConnectionPool(server.config() as sql.config);
  pool.on('error', () => {});
  await pool.connect();
  let runs = 0;
  const rows = await transaction(
    pool,
    async (scope: sql.Transaction) => {
      runs += 1;
      if (runs === 1) await new sql.Request(scope).batch("SET XACT_ABORT ON; THROW 1205, 'deadlock', 1");
      return (await new sql.Request(scope).query('SELECT 1 AS one')).recordset;
    },
    soon,
  );
  expect(rows).toEqual([{ one: 1 }]);
  expect(runs).toBe(2);
  lose = true;
  await expect(
    transaction(pool, (scope: sql.Transaction) => new sql.Request(scope).query('SELECT 1'), soon),
  ).rejects.toMatchObject({ code: 'ERR_COMMIT_OUTCOME_UNKNOWN' });
  expect(log.filter((kind) => kind === 'commit')).toHaveLength(2);
  await pool.close();
});

test('with an ORM: a deadlock runs again, everything else is left to the caller', async () => {
  const { server } = await siteWithLog();
  const { user, password } = server.sqlLogin;
  const { server: host, port, options } = server.config();
  const knex = knexModule({ client: 'mssql', connection: { server: host, port, user, password, options } as object });
  let runs = 0;
  const result = await retryTransaction(
    () =>
      knex.transaction(async (trx) => {
        runs += 1;
        if (runs === 1) await trx.raw("SET XACT_ABORT ON; THROW 1205, 'deadlock', 1");
        return runs;
      }),
    soon,
  );
  expect(result).toBe(2);
  const lost = Object.assign(new Error('gone'), { code: 'ESOCKET' });
  await expect(
    retryTransaction(() => {
      throw lost;
    }),
  ).rejects.toBe(lost);
  await knex.destroy();
});

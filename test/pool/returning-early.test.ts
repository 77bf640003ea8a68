import type { Connection } from 'tedious';
import { afterEach, describe, expect, test } from 'vitest';
import { createTokenPools, NotBorrowedError, type TokenPools, transaction, withRetry } from '../../src/index.js';
import type { ConnectionSource } from '../../src/pool/connection-source.js';
import { driven, drivenWorld, outcome, pass, SECOND, settled } from '../support/driven-world.js';

const world = drivenWorld();
let identities: TokenPools | undefined;

afterEach(async () => {
  const closed = outcome(identities?.close({ timeoutMs: 0 }) ?? Promise.resolve());
  await pass(SECOND);
  settled(closed);
  identities = undefined;
});

type Source = Omit<ConnectionSource, 'close'>;

/** A pool of one connection, which each caller gets in turn. */
const SOURCES: [string, () => Source][] = [
  ['pool', () => world.aPool({ max: 1 })],
  ['pool.readOnly', () => world.aPool({ max: 1 }, { readOnly: true }).readOnly],
  [
    'pools.for()',
    () => {
      const { server, provider } = world;
      identities = createTokenPools({ server: 'host', tedious: server.tedious, pool: { max: 1 } });
      return identities.for({ key: 'a', authentication: provider });
    },
  ],
];

type Run = (source: Source, fn: (connection: Connection) => unknown) => Promise<unknown>;

const RUNS: [string, Run][] = [
  ['use()', (source, fn) => source.use(fn)],
  ['withRetry()', (source, fn) => withRetry(source as never, fn, { maxTries: 1 })],
  ['transaction()', (source, fn) => transaction(source as ConnectionSource, fn, { retries: 0 })],
];

/** Adds tedious's transactions to a driven connection, and counts the calls. */
function withTransactions(connection: Connection): string[] {
  const log: string[] = [];
  const step = (name: string, inTransaction: boolean) => (done: (error?: Error) => void) => {
    log.push(name);
    driven(connection).inTransaction = inTransaction;
    queueMicrotask(() => done());
  };
  Object.assign(connection, {
    beginTransaction: step('begin', true),
    commitTransaction: step('commit', false),
    rollbackTransaction: step('rollback', false),
  });
  return log;
}

/** The only connection, open and idle. */
async function opened(source: Source): Promise<{ connection: Connection; log: string[] }> {
  const acquired = outcome(source.acquire());
  await pass(world.server.loginMs + 1);
  const connection = settled(acquired);
  source.release(connection);
  return { connection, log: withTransactions(connection) };
}

/** Resolves when it is called. */
function gate(): { opens: Promise<void>; open: () => void } {
  let open = (): void => {};
  const opens = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opens, open };
}

describe.each(SOURCES)('%s', (_, aSource) => {
  const endings: [string, () => unknown][] = [
    ['succeeds', () => 'done'],
    [
      'fails with a transient error',
      () => {
        throw Object.assign(new Error('busy'), { number: 40501 });
      },
    ],
  ];

  test.each(
    RUNS.flatMap(([name, run]) =>
      endings.map(([how, end]): [string, string, Run, () => unknown] => [name, how, run, end]),
    ),
  )(
    '%s: a function that has returned its connection and %s does not take it from the next borrower',
    async (__, ___, run, end) => {
      const source = aSource();
      const { connection, log } = await opened(source);
      const { opens, open } = gate();
      const running = outcome(
        run(source, async (own) => {
          // As if it had ended its own transaction.
          driven(own).inTransaction = false;
          source.release(own);
          await opens;
          return end();
        }),
      );
      await pass(0);
      const next = outcome(source.acquire());
      await pass(0);
      expect(settled(next)).toBe(connection);
      driven(connection).inTransaction = true;
      log.length = 0;
      open();
      await pass(0);
      expect(running.at).toBeDefined();
      // Neither committed nor rolled back nor closed nor handed out again.
      expect(log).toEqual([]);
      expect(driven(connection)).toMatchObject({ closed: false, inTransaction: true });
      const third = outcome(source.acquire());
      await pass(0);
      expect(third.at).toBeUndefined();
      driven(connection).inTransaction = false;
      source.release(connection);
      await pass(0);
      expect(settled(third)).toBe(connection);
      source.release(settled(third));
    },
  );
});

test.each<[string, (source: Source, connection: Connection) => void]>([
  ['returns', (source, connection) => source.release(connection)],
  ['destroys', (source, connection) => source.destroy(connection)],
])('a transaction whose function %s its connection fails once and says why', async (_, end) => {
  const pool = world.aPool({ max: 1 });
  await opened(pool);
  let runs = 0;
  const failing = outcome(
    transaction(pool, (connection) => {
      runs += 1;
      end(pool, connection);
    }),
  );
  await pass(60 * SECOND);
  expect(failing.error).toBeInstanceOf(NotBorrowedError);
  expect(failing.error).toMatchObject({
    code: 'ERR_NOT_BORROWED',
    message: expect.stringContaining('could not send COMMIT'),
    hint: 'Leave release() and destroy() to transaction().',
  });
  expect(runs).toBe(1);
  expect(pool.stats.borrowed).toBe(0);
});

test.each<[string, (source: never, fn: (connection: Connection) => unknown) => Promise<unknown>]>([
  ['withRetry', withRetry],
  ['transaction', transaction],
])('%s: a connection that is used after its return is not worth another attempt', async (name, run) => {
  const pool = world.aPool({ max: 1 });
  await opened(pool);
  let runs = 0;
  const refusal = Object.assign(new Error('Requests can only be made in the LoggedIn state, not the Final state'), {
    code: 'EINVALIDSTATE',
  });
  const failing = outcome(
    run(pool as never, (connection) => {
      runs += 1;
      pool.destroy(connection);
      throw refusal;
    }),
  );
  await pass(60 * SECOND);
  expect(failing.error).toMatchObject({
    code: 'ERR_NOT_BORROWED',
    cause: refusal,
    hint: `Leave release() and destroy() to ${name}().`,
  });
  expect(runs).toBe(1);
});

test('withRetry: a function that destroys its connection after a transient error gets another one', async () => {
  const pool = world.aPool({ max: 1 });
  const { connection } = await opened(pool);
  const used: Connection[] = [];
  const running = outcome(
    withRetry(pool, (own) => {
      used.push(own);
      if (used.length > 1) return 'done';
      pool.destroy(own);
      throw Object.assign(new Error('busy'), { number: 40501 });
    }),
  );
  await pass(10 * SECOND);
  expect(settled(running)).toBe('done');
  expect(used).toHaveLength(2);
  expect(used[1]).not.toBe(connection);
  expect(pool.stats).toMatchObject({ borrowed: 0, size: 1 });
});

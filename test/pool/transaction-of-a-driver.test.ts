import { describe, expect, test } from 'vitest';
import {
  AcquireTimeoutError,
  ConfigurationError,
  LimitReachedError,
  retryTransaction,
  ServerUnavailableError,
  transaction,
} from '../../src/index.js';

interface Steps {
  begin?: ((attempt: number) => unknown) | undefined;
  commit?: ((attempt: number) => unknown) | undefined;
}

/** A pool of mssql whose driver is not tedious. A step that returns something fails with it. */
function aPool({ begin, commit }: Steps = {}) {
  const log: string[] = [];
  const levels: unknown[] = [];
  let attempt = 0;
  const step = async (name: string, outcome: unknown): Promise<void> => {
    log.push(name);
    if (outcome !== undefined) throw outcome;
  };
  const pool = {
    transaction: () => {
      attempt += 1;
      return {
        begin: (level: unknown) => {
          levels.push(level);
          return step('begin', begin?.(attempt));
        },
        commit: () => step('commit', commit?.(attempt)),
        rollback: () => step('rollback', undefined),
      };
    },
  };
  return { pool: pool as never, log, levels };
}

const numbered = (number: number, code = 'EREQUEST'): Error =>
  Object.assign(new Error(`error ${number}`), { number, code });
const FAST = { firstWaitMs: 0 };
const failureOf = (run: Promise<unknown>): Promise<unknown> =>
  run.then(
    () => 'no failure',
    (error: unknown) => error,
  );

/** `error` inside `depth` errors of mssql. */
function wrapped(error: Error, depth: number, key: 'cause' | 'originalError'): Error {
  let outer = error;
  for (let i = 0; i < depth; i += 1) outer = Object.assign(new Error(`outer ${i}`), { [key]: outer });
  return outer;
}

test('begins, runs the function and commits, with the isolation level that is asked for', async () => {
  const { pool, log, levels } = aPool();
  expect(await transaction(pool, () => 'value', { isolationLevel: 'serializable' })).toBe('value');
  expect([log, levels]).toEqual([['begin', 'commit'], [4]]);
});

describe('a transaction that does not begin', () => {
  test.each([
    ['a deadlock', numbered(1205), ['begin', 'begin', 'commit']],
    ['an error that is not transient', numbered(208), ['begin']],
  ])('because of %s is repeated only if that helps', async (_, error, steps) => {
    const { pool, log } = aPool({ begin: (attempt) => (attempt === 1 ? error : undefined) });
    const outcome = await failureOf(transaction(pool, () => 'value', FAST));
    expect([outcome, log]).toEqual([steps.length > 1 ? 'no failure' : error, steps]);
  });

  test.each(['cause', 'originalError'] as const)(
    'because of an error of our pool in %s: its kind decides',
    async (key) => {
      const unavailable = new ServerUnavailableError('The server is down.');
      const again = aPool({ begin: (attempt) => (attempt === 1 ? wrapped(unavailable, 7, key) : undefined) });
      await transaction(again.pool, () => 'value', FAST);
      expect(again.log).toEqual(['begin', 'begin', 'commit']);

      const wrong = wrapped(new ConfigurationError('Wrong.'), 1, key);
      const once = aPool({ begin: () => wrong });
      expect(await failureOf(transaction(once.pool, () => 'value', FAST))).toBe(wrong);
      expect(once.log).toEqual(['begin']);
    },
  );

  test('because of an error of our pool too deep inside, or in a loop of causes, is not repeated', async () => {
    const looped: Error & { cause?: unknown } = new Error('loop');
    looped.cause = looped;
    for (const error of [wrapped(new ServerUnavailableError('down'), 8, 'cause'), looped, 'text', null]) {
      const { pool, log } = aPool({ begin: () => error });
      expect(await failureOf(transaction(pool, () => 'value', FAST))).toBe(error);
      expect(log).toEqual(['begin']);
    }
  });

  test.each([new AcquireTimeoutError('full'), new LimitReachedError('full')])(
    'because no connection was available is not repeated: %s',
    async (error) => {
      const { pool, log } = aPool({ begin: () => error });
      expect(await failureOf(transaction(pool, () => 'value', FAST))).toBe(error);
      expect(log).toEqual(['begin']);
    },
  );
});

describe('a function that fails', () => {
  test.each([
    ['a deadlock', numbered(1205), ['begin', 'rollback', 'begin', 'commit']],
    ['an error of the application', new Error('own'), ['begin', 'rollback']],
  ])('with %s is rolled back, and repeated only if that helps', async (_, error, steps) => {
    const { pool, log } = aPool();
    let runs = 0;
    const outcome = await failureOf(
      transaction(
        pool,
        () => {
          runs += 1;
          if (runs === 1) throw error;
        },
        FAST,
      ),
    );
    expect([outcome, log]).toEqual([steps.length > 2 ? 'no failure' : error, steps]);
  });
});

describe('a COMMIT', () => {
  test('that mssql refuses because the server has rolled back is reported as rolled back, after one run', async () => {
    const { pool, log } = aPool({ commit: () => numbered(0, 'EABORT') });
    expect(await failureOf(transaction(pool, () => 'value', FAST))).toMatchObject({
      code: 'ERR_TRANSACTION_ROLLED_BACK',
      hint: expect.stringContaining('let it reach transaction()'),
    });
    expect(log).toEqual(['begin', 'commit']);
  });

  test('whose connection is lost has an unknown outcome, and is not repeated', async () => {
    const lost = Object.assign(new Error('Connection lost'), { code: 'ESOCKET' });
    const { pool, log } = aPool({ commit: () => lost });
    expect(await failureOf(transaction(pool, () => 'value', FAST))).toMatchObject({
      code: 'ERR_COMMIT_OUTCOME_UNKNOWN',
      hint: 'Check whether it took effect before you run it again.',
    });
    expect(log).toEqual(['begin', 'commit']);
  });

  test('that the server answers with a deadlock is repeated', async () => {
    const { pool, log } = aPool({ commit: (attempt) => (attempt === 1 ? numbered(1205) : undefined) });
    await transaction(pool, () => 'value', FAST);
    expect(log).toEqual(['begin', 'commit', 'begin', 'commit']);
  });
});

test.each([
  ['retries', -1],
  ['retries', Number.NaN],
  ['firstWaitMs', '5'],
  ['isolationLevel', 'serialisable'],
])('%s: %s is refused with its name, before anything begins', async (name, value) => {
  const { pool, log } = aPool();
  expect(await failureOf(transaction(pool, () => 'value', { [name]: value }))).toMatchObject({
    code: 'ERR_CONFIGURATION',
    message: expect.stringContaining(`'${name}'`),
  });
  expect(log).toEqual([]);
});

test('retries: 0 runs once', async () => {
  const { pool, log } = aPool({ begin: () => numbered(1205) });
  await failureOf(transaction(pool, () => 'value', { ...FAST, retries: 0 }));
  expect(log).toEqual(['begin']);
});

test('retryTransaction() names itself in its errors', async () => {
  expect(await failureOf(retryTransaction(undefined as never))).toMatchObject({
    message: 'retryTransaction() takes a function that runs the transaction.',
    hint: expect.stringContaining('retryTransaction(() => knex.transaction(...))'),
  });
  expect(await failureOf(retryTransaction(async () => 1, { retry: 1 } as never))).toMatchObject({
    message: expect.stringContaining('retryTransaction()'),
  });
});

import { expect, test } from 'vitest';
import { ConfigurationError, retryTransaction, transaction, withRetry } from '../../src/index.js';
import { drivenWorld, outcome, pass, SECOND, settled } from '../support/driven-world.js';

const world = drivenWorld();

test.each([
  ['withRetry', { retries: 0 }, /withRetry\(\) has no option 'retries'; it has maxTries/],
  ['withRetry', null, /must be an object/],
  ['withRetry', { signal: 'stop' }, /'signal' of withRetry\(\) must be an AbortSignal/],
  ['transaction', { maxTries: 1 }, /transaction\(\) has no option 'maxTries'; it has isolationLevel, retries/],
  ['transaction', null, /must be an object/],
  ['transaction', { signal: {} }, /'signal' of transaction\(\) must be an AbortSignal/],
])('%s(pool, fn, %j) is refused before anything runs', async (name, options, message) => {
  let runs = 0;
  const fn = async (): Promise<void> => {
    runs += 1;
  };
  const run = (name === 'withRetry' ? withRetry : transaction) as (...args: unknown[]) => Promise<unknown>;
  const refused = expect(run(world.aPool(), fn, options)).rejects;
  await refused.toThrow(message);
  await refused.toBeInstanceOf(ConfigurationError);
  expect(runs).toBe(0);
});

test.each([
  ['withRetry', undefined],
  ['withRetry', 'server'],
  ['withRetry', {}],
  ['transaction', null],
  ['transaction', 7],
  ['transaction', {}],
])('%s(%j, fn) is refused: that is no pool', async (name, noPool) => {
  const run = (name === 'withRetry' ? withRetry : transaction) as (...args: unknown[]) => Promise<unknown>;
  const refused = expect(run(noPool, () => 1)).rejects;
  await refused.toBeInstanceOf(ConfigurationError);
  await refused.toThrow(`${name}() takes a pool and a function.`);
});

const WRONG = [
  [{ signal: 'stop' }, /'signal' of acquire\(\) must be an AbortSignal/],
  [{ signal: {} }, /'signal' of acquire\(\) must be an AbortSignal/],
  [{ signal: new AbortController() }, /'signal' of acquire\(\) must be an AbortSignal/],
  [{ timeoutMs: 5 }, /acquire\(\) has no option 'timeoutMs'; it has signal/],
  [{ signl: undefined, sgnal: 1 }, /acquire\(\) has no option 'sgnal'/],
  [null, /must be an object/],
  [7, /must be an object/],
  [() => {}, /must be an object/],
] as const;

test.each(WRONG)('acquire(%o) is rejected, and no caller stays in the queue', async (options, message) => {
  const pool = world.aPool({ max: 1 }, { readOnly: { fallback: true } });
  const held = outcome(pool.acquire());
  await pass(SECOND);
  for (const source of [pool, pool.readOnly]) {
    const rejected = expect(source.acquire(options as never)).rejects;
    await rejected.toThrow(message);
    await rejected.toBeInstanceOf(ConfigurationError);
    await expect(source.use(() => 1, options as never)).rejects.toThrow(message);
  }
  pool.release(settled(held));
  await pass(SECOND);
  expect(pool.stats).toMatchObject({ borrowed: 0, pending: 0 });
});

test('a signal that is null is not set', async () => {
  const pool = world.aPool({ max: 1 }, { readOnly: { fallback: true } });
  for (const source of [pool, pool.readOnly]) {
    const first = outcome(source.acquire({ signal: null } as never));
    const second = outcome(source.acquire({ signal: null } as never));
    await pass(SECOND);
    source.release(settled(first));
    await pass(SECOND);
    source.release(settled(second));
  }
  expect(pool.stats).toMatchObject({ borrowed: 0, pending: 0 });
});

test.each([[{ timeoutMs: '5' }], [{ timeoutMs: Number.NaN }], [{ timeoutMs: -1 }], [{ timeout: 5 }], [null], [5]])(
  'close(%o) is refused, and the pool goes on',
  async (options) => {
    const pool = world.aPool();
    await expect(pool.close(options as never)).rejects.toBeInstanceOf(ConfigurationError);
    const acquired = outcome(pool.acquire());
    await pass(SECOND);
    pool.release(settled(acquired));
    await expect(pool.replaceCredential(world.provider, options as never)).rejects.toBeInstanceOf(ConfigurationError);
  },
);

test.each([
  ['withRetry', { maxTries: null, firstWaitMs: null, signal: null }],
  ['transaction', { retries: null, firstWaitMs: null, isolationLevel: null, signal: null }],
  ['retryTransaction', { retries: null, firstWaitMs: null, signal: null }],
])('%s(..., %j): null stands for an option that is not set', async (name, options) => {
  const driver = { transaction: () => ({ begin: async () => {}, commit: async () => {}, rollback: async () => {} }) };
  const calls: Record<string, () => Promise<unknown>> = {
    withRetry: () => withRetry(world.aPool(), () => 'done', options as never),
    transaction: () => transaction(driver, () => 'done', options as never),
    retryTransaction: () => retryTransaction(() => 'done', options as never),
  };
  const result = outcome((calls[name] as () => Promise<unknown>)());
  await pass(SECOND);
  expect(settled(result)).toBe('done');
});

test.each(['withRetry', 'transaction'])(
  '%s with a wrapper whose use drops its options is refused, and fn does not run',
  async (name) => {
    const pool = world.aPool();
    const wrapper = {
      acquire: () => pool.acquire(),
      use: (fn: () => unknown) => pool.use(fn),
    };
    let runs = 0;
    const run = (name === 'withRetry' ? withRetry : transaction) as (...args: unknown[]) => Promise<unknown>;
    const result = outcome(
      run(wrapper, () => {
        runs += 1;
      }),
    );
    await pass(SECOND);
    expect(() => settled(result)).toThrow(`${name}() needs a pool whose use(fn, options) passes its options on`);
    expect(result.error).toBeInstanceOf(ConfigurationError);
    expect(runs).toBe(0);
    expect(pool.stats.borrowed).toBe(0);
  },
);

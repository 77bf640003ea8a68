import type { Connection } from 'tedious';
import { expect, test } from 'vitest';
import {
  ConfigurationError,
  type ConnectionSource,
  createTokenPools,
  PoolClosedError,
  retryTransaction,
  transaction,
  withRetry,
} from '../../src/index.js';
import { tarnFacade } from '../../src/pool/tarn-facade.js';
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

class Application {
  name = 'orders';
}

const fromHooks: [string, unknown][] = [
  ['the name of a signal', 'SIGTERM'],
  ['an exit code', 0],
  ['null', null],
  ['an error', new Error('uncaught')],
  ['an event', new Event('close')],
  ['an array', [1]],
  ['a function', () => {}],
  ['an application', new Application()],
  ['an application that is a plain object with methods', { name: 'orders', listen() {} }],
  [
    'an application that is a plain object with getters',
    Object.defineProperty({}, 'server', { get: () => 1, enumerable: true }),
  ],
];

test.each(fromHooks)('close() with %s, which a shutdown hook passes, closes the pool', async (_, given) => {
  const pool = world.aPool({ max: 1 });
  await borrowed(pool);
  const closed = outcome(pool.close(given as never));
  await pass(9 * SECOND);
  expect(closed.at).toBeUndefined();
  await pass(2 * SECOND);
  settled(closed);
  await expect(pool.acquire()).rejects.toBeInstanceOf(PoolClosedError);
});

test.each(fromHooks)('close() of all pools with %s closes them', async (_, given) => {
  const pools = createTokenPools({ server: 'host', tedious: world.server.tedious });
  const closed = outcome(pools.close(given as never));
  await pass(SECOND);
  settled(closed);
  const late = pools.for({ authentication: world.provider, key: 'ada' }).acquire();
  await expect(late).rejects.toBeInstanceOf(PoolClosedError);
});

/** Made for each use: printing the options of the test's name must not fail. */
const unreadable: [string, () => object][] = [
  [
    'a getter that throws',
    () => ({
      get timeoutMs() {
        throw new Error('no configuration');
      },
    }),
  ],
  [
    'a getter that throws null',
    () => ({
      get timeoutMs() {
        throw null;
      },
    }),
  ],
  [
    'a proxy whose every trap throws',
    () =>
      new Proxy(
        {},
        new Proxy(
          {},
          {
            get: () => () => {
              throw new Error('no configuration');
            },
          },
        ),
      ),
  ],
  ['a revoked proxy', () => revoked()],
];

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

test.each(unreadable)('close() with %s rejects, but closes the pool anyway', async (_, options) => {
  const pool = world.aPool({ max: 1 });
  const connection = await borrowed(pool);
  const closed = outcome(pool.close(options() as never));
  await pass(SECOND);
  pool.release(connection);
  await pass(SECOND);
  expect(closed.error).toBeInstanceOf(ConfigurationError);
  expect(world.server.connections.size).toBe(0);
});

test.each(unreadable)('close() of all pools with %s rejects, and closes them', async (_, options) => {
  const pools = createTokenPools({ server: 'host', tedious: world.server.tedious });
  const closed = outcome(pools.close(options() as never));
  await pass(SECOND);
  expect(closed.error).toBeInstanceOf(ConfigurationError);
  const late = pools.for({ authentication: world.provider, key: 'ada' }).acquire();
  await expect(late).rejects.toBeInstanceOf(PoolClosedError);
});

test.each(unreadable.slice(2))('acquire() and use() with %s reject', async (_, options) => {
  const pool = world.aPool();
  const work = () => 'done';
  const results = [outcome(pool.acquire(options() as never)), outcome(pool.use(work, options() as never))];
  await pass(SECOND);
  for (const { error } of results) expect(error).toBeInstanceOf(ConfigurationError);
  expect(pool.stats).toMatchObject({ borrowed: 0, pending: 0 });
});

const wrong = [
  { timeoutMs: '5' },
  { timeoutMs: Number.NaN },
  { timeoutMs: -1 },
  { timeout: 5 },
  { timeoutMs: 5, now: true },
];

test.each(wrong)('close(%o) closes the pool at its usual pace, then rejects with the mistake', async (options) => {
  const pool = world.aPool({ max: 1 });
  const connection = await borrowed(pool);
  const closed = outcome(pool.close(options as never));
  await pass(5 * SECOND);
  expect(closed.at).toBeUndefined();
  pool.release(connection);
  await pass(SECOND);
  expect(closed.error).toBeInstanceOf(ConfigurationError);
  expect(world.server.connections.size).toBe(0);
  const again = outcome(pool.close());
  await pass(0);
  settled(again);
});

test.each(wrong)('close(%o) of all pools closes them, then rejects with the mistake', async (options) => {
  const pools = createTokenPools({ server: 'host', tedious: world.server.tedious });
  const identity = pools.for({ authentication: world.provider, key: 'ada' });
  const held = await borrowed(identity);
  const closed = outcome(pools.close(options as never));
  await pass(5 * SECOND);
  expect(closed.at).toBeUndefined();
  identity.release(held);
  await pass(SECOND);
  expect(closed.error).toBeInstanceOf(ConfigurationError);
  expect(world.server.connections.size).toBe(0);
});

test.each([null, 5, ...wrong.slice(0, 4)])('replaceCredential(credential, %o) is refused', async (options) => {
  const pool = world.aPool();
  await expect(pool.replaceCredential(world.provider, options as never)).rejects.toBeInstanceOf(ConfigurationError);
});

test('a pool whose destroy() had wrong options is closed, and another destroy() succeeds', async () => {
  const facade = tarnFacade(world.aPool());
  const wrongly = outcome(facade.destroy({ timeout: 5 } as never));
  await pass(SECOND);
  expect(wrongly.error).toBeInstanceOf(ConfigurationError);
  const again = outcome(facade.destroy());
  await pass(0);
  settled(again);
  expect(facade.destroyed).toBe(true);
});

async function borrowed(source: Pick<ConnectionSource, 'acquire'>): Promise<Connection> {
  const acquired = outcome(source.acquire());
  await pass(SECOND);
  return settled(acquired);
}

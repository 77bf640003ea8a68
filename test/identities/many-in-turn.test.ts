import type { Connection } from 'tedious';
import { expect, test } from 'vitest';
import {
  AbortedError,
  AcquireTimeoutError,
  ConfigurationError,
  LimitReachedError,
  LoginRefusedError,
  NotBorrowedError,
  PoolClosedError,
} from '../../src/errors.js';
import type { TokenPoolsConfig } from '../../src/index.js';
import { drivenPools } from '../support/driven-pools.js';
import type { DrivenConnection } from '../support/driven-server.js';
import { drivenWorld, HOUR, LOGIN_FAILED, MINUTE, outcome, pass, SECOND, settled } from '../support/driven-world.js';
import { FakeProvider } from '../tokens/fake-provider.js';

const world = drivenWorld();

const { many, of, borrow } = drivenPools(world);

const closed = (connection: Connection): boolean => (connection as unknown as DrivenConnection).closed;

test('each identity has its own connections, from the first one on', async () => {
  const pools = many();
  const [ada, bob] = [of(pools, 'ada'), of(pools, 'bob')];
  expect(pools.stats).toMatchObject({ pools: 0, size: 0, maxPools: 1_000, maxConnections: 100 });
  expect(ada.stats).toEqual({ size: 0, opening: 0, available: 0, borrowed: 0, pending: 0 });
  const [adas, bobs] = [await borrow(ada), await borrow(bob)];
  ada.release(adas);
  const again = await borrow(of(pools, 'ada'));
  expect(again).toBe(adas);
  expect(ada.stats).toMatchObject({ size: 1, borrowed: 1 });
  expect(pools.stats).toMatchObject({ pools: 2, size: 2, borrowed: 2, available: 0, opening: 0, pending: 0 });
  ada.release(again);
  bob.release(bobs);
  expect(pools.stats).toMatchObject({ pools: 2, size: 2, borrowed: 0, available: 2 });
  expect(world.server.dials).toHaveLength(2);
});

test('the figures of all together are sums', async () => {
  const pools = many({ maxConnections: 10, pool: { max: 1 } });
  const [ada, bob] = [of(pools, 'ada'), of(pools, 'bob')];
  const borrowed = await borrow(ada);
  const waiting = outcome(ada.acquire());
  const opening = outcome(bob.acquire());
  await pass(1);
  expect(pools.stats).toMatchObject({ size: 1, borrowed: 1, pending: 2, opening: 1, maxConnections: 10 });
  ada.release(borrowed);
  await pass(world.server.loginMs);
  expect(pools.stats).toMatchObject({ size: 2, borrowed: 2, pending: 0, opening: 0 });
  ada.release(settled(waiting));
  bob.release(settled(opening));
});

test('without a key, the same credential is the same identity, and another object is another', async () => {
  const pools = many();
  const authentication = new FakeProvider();
  const one = pools.for({ authentication });
  expect(pools.for({ authentication }).key).toBe(one.key);
  expect(pools.for({ authentication: new FakeProvider() }).key).not.toBe(one.key);
  const borrowed = await borrow(one);
  one.release(borrowed);
  expect(await borrow(pools.for({ authentication }))).toBe(borrowed);
  one.release(borrowed);
  expect(of(pools, 'ada').key).toBe('key:ada');
});

test('a key continues with the latest credential', async () => {
  const pools = many();
  const [first, second] = [new FakeProvider(), new FakeProvider()];
  second.issued = 100;
  const borrowed = await borrow(pools.for({ authentication: first, key: 'ada' }));
  const next = pools.for({ authentication: second, key: 'ada' });
  const again = await borrow(next);
  expect(pools.stats.pools).toBe(1);
  // The next token is wanted 47.5 min and more after the first.
  await pass(55 * MINUTE);
  next.release(borrowed);
  next.release(again);
  await pass(10 * SECOND);
  expect(first.requests).toHaveLength(1);
  expect(second.requests).toHaveLength(1);
});

test('a connection that is not borrowed is refused; a borrowed one may be destroyed', async () => {
  const [pools, others] = [many(), many()];
  const [ada, bob] = [of(pools, 'ada'), of(others, 'bob')];
  const borrowed = await borrow(ada);
  expect(() => bob.release(borrowed)).toThrow(NotBorrowedError);
  expect(() => bob.destroy(borrowed)).toThrow('not borrowed from these pools');
  ada.destroy(borrowed);
  expect(closed(borrowed)).toBe(true);
  expect(() => ada.release(borrowed)).toThrow(NotBorrowedError);
  expect(ada.stats).toMatchObject({ size: 0, borrowed: 0 });
});

test('use() borrows a connection while its function runs, even if the function returns it itself', async () => {
  const pools = many();
  const ada = of(pools, 'ada');
  const failure = new Error('mine');
  const runs = [
    outcome(ada.use(() => 'result')),
    outcome(ada.use((connection) => ada.release(connection))),
    outcome(ada.use(() => Promise.reject(failure))),
  ];
  await pass(world.server.loginMs);
  expect(runs.map(({ value, error }) => value ?? error)).toEqual(['result', undefined, failure]);
  expect(pools.stats.borrowed).toBe(0);
});

test("rejects with the login's error, and the identity counts as unused", async () => {
  const pools = many({ maxPools: 1 });
  world.server.refusals = [LOGIN_FAILED];
  const acquired = outcome(of(pools, 'ada').acquire());
  await pass(world.server.loginMs);
  expect(acquired.error).toBeInstanceOf(LoginRefusedError);
  const bob = of(pools, 'bob');
  bob.release(await borrow(bob));
  expect(pools.stats.pools).toBe(1);
});

test('the limit on pools: the pool unused longest is closed for a new one, never one in use', async () => {
  const pools = many({ maxPools: 3 });
  const [ada, bob, cleo] = [of(pools, 'ada'), of(pools, 'bob'), of(pools, 'cleo')];
  const [a, b, c] = [await borrow(ada), await borrow(bob), await borrow(cleo)];
  for (const [identity, connection] of [
    [bob, b],
    [cleo, c],
  ] as const)
    identity.release(connection);
  // Used again: cleo is the one unused longest now.
  bob.release(await borrow(bob));
  const dora = of(pools, 'dora');
  dora.release(await borrow(dora));
  expect([a, b, c].map(closed)).toEqual([false, false, true]);
  expect(pools.stats.pools).toBe(3);
  // cleo is used again, and bob's pool is closed.
  cleo.release(await borrow(cleo));
  expect([a, b].map(closed)).toEqual([false, true]);
  ada.release(a);
});

test('while all pools are in use callers wait in order, and one is served for each that becomes unused', async () => {
  const pools = many({ maxPools: 2 });
  const [ada, bob] = [of(pools, 'ada'), of(pools, 'bob')];
  const [a, b] = [await borrow(ada), await borrow(bob)];
  const waiting = ['cleo', 'dora', 'emil'].map((key) => ({
    identity: of(pools, key),
    got: outcome(of(pools, key).acquire()),
  }));
  await pass(SECOND);
  expect(pools.stats).toMatchObject({ pools: 2, pending: 3 });
  ada.release(a);
  await pass(world.server.loginMs);
  expect(waiting.map(({ got }) => got.at !== undefined)).toEqual([true, false, false]);
  bob.release(b);
  await pass(world.server.loginMs);
  expect(waiting.map(({ got }) => got.at !== undefined)).toEqual([true, true, false]);
  for (const { identity, got } of waiting) {
    await pass(world.server.loginMs);
    identity.release(settled(got));
  }
  expect(pools.stats).toMatchObject({ pools: 2, pending: 0 });
});

test('a later caller does not overtake those that wait', async () => {
  const pools = many({ maxPools: 1 });
  const ada = of(pools, 'ada');
  const borrowed = await borrow(ada);
  const [bob, cleo] = [of(pools, 'bob'), of(pools, 'cleo')];
  const first = outcome(bob.acquire());
  await pass(SECOND);
  ada.release(borrowed);
  const second = outcome(cleo.acquire());
  await pass(world.server.loginMs);
  expect(first.at).toBeDefined();
  expect(second.at).toBeUndefined();
  bob.release(settled(first));
  await pass(world.server.loginMs);
  cleo.release(settled(second));
});

test('all callers that wait for one identity continue when it has a pool', async () => {
  const pools = many({ maxPools: 1, pool: { max: 3 } });
  const ada = of(pools, 'ada');
  const borrowed = await borrow(ada);
  const bob = of(pools, 'bob');
  const waiting = [1, 2, 3].map(() => outcome(bob.acquire()));
  await pass(SECOND);
  ada.release(borrowed);
  await pass(world.server.loginMs);
  for (const each of waiting) bob.release(settled(each));
  expect(bob.stats).toMatchObject({ size: 3, borrowed: 0 });
});

test('a wait for a pool ends in time with an error that says what to raise', async () => {
  const pools = many({ maxPools: 1, pool: { acquireTimeoutMillis: 5 * SECOND } });
  const ada = of(pools, 'ada');
  const borrowed = await borrow(ada);
  const waiting = outcome(of(pools, 'bob').acquire());
  await pass(5 * SECOND - 1);
  expect(waiting.at).toBeUndefined();
  await pass(1);
  expect(waiting.error).toBeInstanceOf(LimitReachedError);
  expect(waiting.error).toMatchObject({
    message: 'No connection within 5000 ms: 1 identities have pools, all in use.',
    hint: "Return connections sooner, or raise 'maxPools'.",
  });
  expect(pools.stats.pending).toBe(0);
  ada.release(borrowed);
});

test('a caller that leaves the queue leaves its turn to the next', async () => {
  const pools = many({ maxPools: 1 });
  const ada = of(pools, 'ada');
  const borrowed = await borrow(ada);
  const controller = new AbortController();
  const reason = new Error('enough');
  const left = outcome(of(pools, 'bob').acquire({ signal: controller.signal }));
  const cleo = of(pools, 'cleo');
  const next = outcome(cleo.acquire());
  await pass(SECOND);
  // In the same turn: bob's queued request is served, and bob has aborted.
  ada.release(borrowed);
  controller.abort(reason);
  await pass(world.server.loginMs);
  expect(left.error).toBeInstanceOf(AbortedError);
  expect(left.error).toMatchObject({ message: 'The wait for a connection was aborted.', cause: reason });
  cleo.release(settled(next));
  const late = outcome(of(pools, 'bob').acquire({ signal: controller.signal }));
  await pass(0);
  expect(late.error).toBeInstanceOf(AbortedError);
});

test('the limit on connections: unused pools make way, the one unused longest first', async () => {
  const pools = many({ maxConnections: 2, pool: { overlap: 0 } });
  const [ada, bob, cleo] = [of(pools, 'ada'), of(pools, 'bob'), of(pools, 'cleo')];
  const a = await borrow(ada);
  ada.release(a);
  const b = await borrow(bob);
  bob.release(b);
  const acquired = outcome(cleo.acquire());
  await pass(world.server.loginMs + 1);
  expect([a, b].map(closed)).toEqual([true, false]);
  cleo.release(settled(acquired));
  expect(pools.stats).toMatchObject({ pools: 2, size: 2 });
  expect(world.server.mostOpen).toBe(2);
});

test('idle connections of pools in use make way, borrowed ones never do', async () => {
  const pools = many({ maxConnections: 3, pool: { overlap: 0, max: 3 } });
  const ada = of(pools, 'ada');
  const borrowed = [outcome(ada.acquire()), outcome(ada.acquire()), outcome(ada.acquire())];
  await pass(world.server.loginMs);
  const [one, two, three] = borrowed.map(settled) as [Connection, Connection, Connection];
  ada.release(two);
  const bob = of(pools, 'bob');
  const acquired = outcome(bob.acquire());
  await pass(world.server.loginMs + 1);
  bob.release(settled(acquired));
  expect([one, two, three].map(closed)).toEqual([false, true, false]);
  // Everything is in use: the next one waits.
  const again = await borrow(bob);
  const cleo = of(pools, 'cleo');
  const waiting = outcome(cleo.acquire());
  await pass(10 * SECOND);
  expect(waiting.at).toBeUndefined();
  ada.release(three);
  await pass(world.server.loginMs + 1);
  expect(closed(three)).toBe(true);
  cleo.release(settled(waiting));
  ada.release(one);
  bob.release(again);
});

test('waiting at a limit times out with an error that names the limit to raise', async () => {
  const pools = many({ maxConnections: 1, pool: { overlap: 0, acquireTimeoutMillis: 5 * SECOND } });
  const ada = of(pools, 'ada');
  const borrowed = await borrow(ada);
  const waiting = outcome(of(pools, 'bob').acquire());
  const own = outcome(ada.acquire());
  await pass(5 * SECOND - 1);
  expect(waiting.at).toBeUndefined();
  await pass(1);
  expect(waiting.error).toBeInstanceOf(LimitReachedError);
  expect(waiting.error).toMatchObject({
    message: 'No connection within 5000 ms: 1 connections are open, all in use.',
    hint: "Return connections sooner, or raise 'maxConnections'.",
    cause: expect.any(AcquireTimeoutError),
  });
  expect(own.error).toBeDefined();
  ada.release(borrowed);
});

test('a caller that waits for its own full pool gets an error that names that limit', async () => {
  const pools = many({ pool: { max: 1, acquireTimeoutMillis: 5 * SECOND } });
  const ada = of(pools, 'ada');
  const borrowed = await borrow(ada);
  const waiting = outcome(ada.acquire());
  await pass(5 * SECOND);
  expect(waiting.error).toBeInstanceOf(AcquireTimeoutError);
  expect(waiting.error).not.toBeInstanceOf(LimitReachedError);
  ada.release(borrowed);
});

test('time spent waiting for a pool counts against the wait for its connection', async () => {
  const pools = many({ maxPools: 1, pool: { max: 1, acquireTimeoutMillis: 5 * SECOND } });
  const [ada, bob] = [of(pools, 'ada'), of(pools, 'bob')];
  const borrowed = await borrow(ada);
  const [first, second] = [outcome(bob.acquire()), outcome(bob.acquire())];
  const startedAt = performance.now();
  await pass(4 * SECOND);
  ada.release(borrowed);
  await pass(SECOND - 1);
  expect(first.at).toBeDefined();
  expect(second.at).toBeUndefined();
  await pass(1);
  expect(second.error).toBeInstanceOf(AcquireTimeoutError);
  expect(second.at).toBe(startedAt + 5 * SECOND);
  bob.release(settled(first));
});

test('an identity with many connections yields at a return to one that has none', async () => {
  const pools = many({ maxConnections: 2, pool: { overlap: 0, max: 2 } });
  const [ada, bob] = [of(pools, 'ada'), of(pools, 'bob')];
  const borrowed = [outcome(ada.acquire()), outcome(ada.acquire())];
  await pass(world.server.loginMs);
  const [one, two] = borrowed.map(settled) as [Connection, Connection];
  // ada's own callers wait too, and would get it at once.
  const adas = outcome(ada.acquire());
  const bobs = outcome(bob.acquire());
  await pass(SECOND);
  ada.release(one);
  expect(closed(one)).toBe(true);
  await pass(world.server.loginMs + 1);
  bob.release(settled(bobs));
  ada.release(two);
  await pass(world.server.loginMs + 1);
  ada.release(settled(adas));
});

test('a connection that becomes idle without being returned makes way within a tenth of a second', async () => {
  const pools = many({ maxConnections: 1, pool: { overlap: 0 } });
  const [ada, bob] = [of(pools, 'ada'), of(pools, 'bob')];
  const controller = new AbortController();
  world.server.loginMs = SECOND;
  const left = outcome(ada.acquire({ signal: controller.signal }));
  await pass(100);
  controller.abort();
  const waiting = outcome(bob.acquire());
  await pass(0);
  expect(left.error).toBeInstanceOf(AbortedError);
  await pass(900);
  await pass(100 + SECOND + 2);
  bob.release(settled(waiting));
});

test('close() rejects waiting callers, waits for borrowed connections, and leaves nothing open', async () => {
  const pools = many({ maxPools: 2 });
  const [ada, bob] = [of(pools, 'ada'), of(pools, 'bob')];
  const [a, b] = [await borrow(ada), await borrow(bob)];
  bob.release(b);
  const cleo = of(pools, 'cleo');
  const adas = await borrow(cleo);
  const waiting = [outcome(of(pools, 'dora').acquire()), outcome(ada.acquire({}))];
  await pass(world.server.loginMs);
  ada.release(settled(waiting[1] as { value: Connection; at: number }));
  const closing = pools.close({ timeoutMs: MINUTE });
  expect(pools.close()).toBe(closing);
  expect(pools[Symbol.asyncDispose]()).toBe(closing);
  const over = outcome(closing);
  await pass(0);
  expect(waiting[0]?.error).toBeInstanceOf(PoolClosedError);
  await expect(bob.acquire()).rejects.toThrow('The pools are closed.');
  expect(closed(a)).toBe(false);
  await pass(30 * SECOND);
  ada.release(a);
  expect(over.at).toBeUndefined();
  await pass(30 * SECOND - 1);
  expect(closed(adas)).toBe(false);
  await pass(2);
  settled(over);
  expect(closed(adas)).toBe(true);
  // Too late, which does no harm.
  cleo.release(adas);
  expect(pools.stats).toMatchObject({ pools: 0, size: 0, borrowed: 0, pending: 0 });
  expect(world.server.connections.size).toBe(0);
});

test('closing waits for pools that are already being closed', async () => {
  const pools = many({ maxPools: 1 });
  const ada = of(pools, 'ada');
  ada.release(await borrow(ada));
  world.server.closeMs = 3 * SECOND;
  const bob = of(pools, 'bob');
  bob.release(await borrow(bob));
  const over = outcome(pools.close());
  await pass(2 * SECOND);
  expect(over.at).toBeUndefined();
  await pass(2 * SECOND);
  settled(over);
  expect(world.server.connections.size).toBe(0);
});

test('pools.current uses the connections of the current identity, and rejects outside run()', async () => {
  const pools = many();
  const ada = of(pools, 'ada');
  const used = outcome(
    pools.run(ada, async () => {
      const connection = await pools.current.acquire();
      pools.current.release(connection);
      const other = await pools.current.acquire();
      pools.current.destroy(other);
      return pools.current.use(() => ada.stats.borrowed);
    }),
  );
  const direct = outcome(
    pools.run({ authentication: new FakeProvider(), key: 'bob' }, () => pools.current.use(() => 'bobs')),
  );
  await pass(3 * world.server.loginMs);
  expect(settled(used)).toBe(1);
  expect(settled(direct)).toBe('bobs');
  expect(pools.current.stats).toEqual(pools.stats);
  for (const wrong of [() => pools.current.acquire(), () => pools.current.use(() => 1)]) {
    const seen = outcome<unknown>(wrong());
    await pass(0);
    expect(seen.error).toBeInstanceOf(ConfigurationError);
    expect(seen.error).toMatchObject({
      message: 'No identity: a connection was requested outside pools.run().',
      hint:
        'For requests, call pools.run(identity, next) in a middleware that runs before any code that uses the database. ' +
        'At startup, use an identity of the application itself, e.g. pools.run(identity, () => dataSource.initialize()).',
    });
  }
  const over = outcome(pools.current.close());
  await pass(1);
  settled(over);
});

test.each<[unknown, string]>([
  [{}, 'pools.for() needs { userAssertion } or { authentication }.'],
  [{ authentication: new FakeProvider(), key: '' }, "The 'key' of an identity must be a non-empty string."],
  [{ authentication: new FakeProvider(), key: 7 }, "The 'key' of an identity must be a non-empty string."],
  [{ userAssertion: 'a.b.c' }, "pools.for({ userAssertion }) needs 'authentication' in the config of the pools."],
])('rejects an identity that cannot be determined: %j', (identity, message) => {
  expect(() => many().for(identity as never)).toThrow(ConfigurationError);
  expect(() => many().for(identity as never)).toThrow(message);
});

test.each<[Partial<TokenPoolsConfig>, string]>([
  [{ maxConnections: 0 }, "'maxConnections' must be a whole number, 1 or more."],
  [{ maxConnections: 1.5 }, "'maxConnections' must be a whole number, 1 or more."],
  [{ maxPools: 0 }, "'maxPools' must be a whole number, 1 or more."],
  [{ maxPools: Number.NaN }, "'maxPools' must be a whole number, 1 or more."],
  [{ pool: { max: -1 } }, 'max'],
  [{ user: 'sa' }, 'must not contain a login'],
  [{ password: 'p' }, 'must not contain a login'],
  [{ authentication: { type: 'azure-active-directory-default' } } as never, 'must not contain a login'],
  [{ authentication: new FakeProvider() } as never, 'must be given by its options'],
  [{ authentication_type: 'azure-active-directory-default' } as never, 'must not contain a login'],
])('a config that cannot be is refused at once: %j', (config, message) => {
  expect(() => many(config)).toThrow(ConfigurationError);
  expect(() => many(config)).toThrow(message);
});

test('one connection and one pool serve all identities, one after the other', async () => {
  const pools = many({ maxConnections: 1, maxPools: 1, pool: { overlap: 0, acquireTimeoutMillis: HOUR } });
  const all = Array.from({ length: 10 }, (_, i) => outcome(of(pools, `user-${i % 5}`).use(() => i)));
  await pass(MINUTE);
  expect(all.map(settled)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(world.server.mostOpen).toBe(1);
});

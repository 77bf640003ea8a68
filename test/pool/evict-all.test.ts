import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Connection } from 'tedious';
import { expect, test } from 'vitest';
import { ConfigurationError } from '../../src/errors.js';
import {
  borrowAtOnce,
  driven,
  drivenWorld,
  MINUTE,
  outcome,
  pass,
  releaseAll,
  SECOND,
  settled,
  undecidedTest,
} from '../support/driven-world.js';

const world = drivenWorld();
const { aPool, borrow, opened } = world;

const OPENED = 'mssql-token-pool:connection:opened';

const evictions = () => world.events.filter(({ name }) => name === 'pool:evicted').map(({ payload }) => payload);

test('idle connections are closed at once, borrowed ones when they are returned', async () => {
  const pool = aPool({ max: 3 });
  await opened(pool, 3);
  const busy = await borrowAtOnce(pool);
  pool.evictAll({ reason: 'rotated' });
  expect(pool.stats).toMatchObject({ size: 1, borrowed: 1, evictions: { 'evicted-by-caller': 2 } });
  expect(driven(busy).closed).toBe(false);
  expect(evictions()).toEqual([{ pool: pool.name, reason: 'rotated', connections: 3, borrowed: 1 }]);
  pool.release(busy);
  expect(driven(busy).closed).toBe(true);
  const [next] = (await borrow(pool, 1)) as [Connection];
  expect(next).not.toBe(busy);
  expect(pool.stats.evictions).toEqual({ 'evicted-by-caller': 3 });
  pool.release(next);
});

test('a waiting caller does not get an evicted connection that is returned', async () => {
  const pool = aPool({ max: 1 });
  const [old] = (await borrow(pool, 1)) as [Connection];
  const waiting = outcome(pool.acquire());
  pool.evictAll();
  pool.release(old);
  await pass(world.server.loginMs);
  expect(settled(waiting)).not.toBe(old);
  pool.release(settled(waiting));
});

test('a connection that is still being opened is abandoned, and its caller gets one that was started afterwards', async () => {
  const pool = aPool({ max: 1 });
  world.server.loginMs = 20;
  const waiting = outcome(pool.acquire());
  await pass(15);
  const [early] = [...world.server.connections];
  const evictedAt = performance.now();
  pool.evictAll();
  await pass(40);
  const connection = settled(waiting);
  expect(connection).not.toBe(early);
  expect(early?.closed).toBe(true);
  expect(world.server.dials.at(-1)).toBeGreaterThanOrEqual(evictedAt);
  expect(pool.stats).toMatchObject({ logins: 1, failedLogins: 0, size: 1 });
  pool.release(connection);
});

// Between a login and the look at its outcome there are a few microtasks.
test.each(Array.from({ length: 16 }, (_, i) => i))(
  'a connection that has just logged in, %i microtasks ago, is not handed out',
  async (microtasks) => {
    const pool = aPool({ max: 1 });
    const waiting = outcome(pool.acquire());
    let isServedBefore: boolean | undefined;
    const onOpened = async (): Promise<void> => {
      unsubscribe(OPENED, onOpened);
      for (let i = 0; i < microtasks; i += 1) await null;
      isServedBefore = pool.stats.borrowed > 0;
      pool.evictAll();
    };
    subscribe(OPENED, onOpened);
    await pass(world.server.loginMs);
    const [first] = [...world.server.connections];
    await pass(10 * world.server.loginMs);
    expect([...world.server.connections]).toEqual([settled(waiting)]);
    expect(settled(waiting) === (first as unknown)).toBe(isServedBefore);
    pool.release(settled(waiting));
    expect(first?.closed).toBe(true);
  },
);

test('a connection that is being checked is not handed out', async () => {
  const check = undecidedTest();
  const pool = aPool({ max: 1, validate: () => check.validate() });
  const [first] = (await borrow(pool, 1)) as [Connection];
  pool.release(first);
  const waiting = outcome(pool.acquire());
  await pass(0);
  pool.evictAll();
  check.answer(true);
  await pass(world.server.loginMs);
  expect(settled(waiting)).not.toBe(first);
  expect(driven(first).closed).toBe(true);
  pool.release(settled(waiting));
});

test('a successor that was opened in advance is closed too', async () => {
  const pool = aPool({ max: 1, idleTimeoutMillis: 60 * MINUTE });
  const old = await world.borrowedWhileRenewed(pool);
  await pass(30 * SECOND);
  pool.evictAll();
  pool.release(old);
  const waiting = outcome(pool.acquire());
  await pass(30 * SECOND);
  const connection = settled(waiting);
  expect([...world.server.connections]).toEqual([connection]);
  expect(pool.stats.renewals).toBe(0);
  pool.release(connection);
});

test('min is restored, and a failure of the old dials keeps no one waiting', async () => {
  const pool = aPool({ min: 2, max: 4 });
  world.server.isDown = true;
  await pass(MINUTE);
  world.server.isDown = false;
  pool.evictAll();
  await pass(10 * SECOND);
  expect(pool.stats).toMatchObject({ size: 2, available: 2 });
  pool.evictAll();
  await pass(SECOND);
  expect(pool.stats).toMatchObject({ size: 2, available: 2 });
});

test('a reason is bounded and redacted; anything but text is refused', () => {
  const pool = aPool();
  pool.evictAll({ reason: `password=topsecret ${'x'.repeat(10_000)}` });
  const [{ reason } = { reason: '' }] = evictions() as { reason: string }[];
  expect(reason).not.toContain('topsecret');
  expect(reason.length).toBeLessThanOrEqual(200);
  for (const wrong of [1, {}, null]) {
    expect(() => pool.evictAll({ reason: wrong as unknown as string })).toThrow(ConfigurationError);
  }
});

test('a closed pool ignores it', async () => {
  const pool = aPool();
  const closed = outcome(pool.close());
  await pass(0);
  settled(closed);
  pool.evictAll();
  pool.suspend();
  pool.resume();
  expect(world.events.filter(({ name }) => name.startsWith('pool:')).map(({ name }) => name)).toEqual([
    'pool:opened',
    'pool:closed',
  ]);
});

test('evicting all connections repeatedly while callers come and go loses no caller and leaves nothing open', async () => {
  const pool = aPool({ max: 3 });
  const served = new Set<Connection>();
  const barred = new Set<Connection>();
  for (let round = 0; round < 50; round += 1) {
    const calls = Array.from({ length: 5 }, () =>
      outcome(
        pool.acquire().then((connection) => {
          expect(barred.has(connection)).toBe(false);
          served.add(connection);
          setTimeout(() => pool.release(connection), round % 7);
        }),
      ),
    );
    await pass(round % 13);
    for (const connection of served) barred.add(connection);
    pool.evictAll();
    await pass(200);
    for (const call of calls) settled(call);
  }
  expect(pool.stats).toMatchObject({ borrowed: 0, failedLogins: 0, pending: 0 });
  expect(world.server.connections.size).toBe(pool.stats.size);
  releaseAll(pool, []);
});

test.each([null, 'a reason', 7])('refuses %j as its options', (options) => {
  expect(() => aPool().evictAll(options as never)).toThrow(
    new ConfigurationError('The options of evictAll() must be an object.'),
  );
});

test('the reason must be text; the connections of a replica are closed for the same reason', async () => {
  const pool = aPool({ max: 2 }, { readOnly: true });
  expect(() => pool.evictAll({ reason: 7 as never })).toThrow("'reason' must be a string.");
  const replica = outcome(pool.readOnly.acquire());
  await pass(SECOND);
  pool.readOnly.release(settled(replica));
  pool.evictAll({ reason: 'rotated' });
  expect(driven(settled(replica)).closed).toBe(true);
  expect(evictions()).toMatchObject([{ reason: 'rotated' }, { reason: 'rotated', connections: 1 }]);
});

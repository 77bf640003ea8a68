import { expect, test } from 'vitest';
import { ConfigurationError } from '../../src/errors.js';
import { createTokenPools, type IdentityPool } from '../../src/index.js';
import { drivenPools } from '../support/driven-pools.js';
import { drivenWorld, LOGIN_FAILED, outcome, pass, releaseAll, SECOND, settled } from '../support/driven-world.js';

const world = drivenWorld();
const { aPool } = world;
const { many, of } = drivenPools(world);

/** Most logins that were in progress at once. */
function mostAtOnce(dials: readonly number[], loginMs: number): number {
  return Math.max(...dials.map((at) => dials.filter((other) => other <= at && at < other + loginMs).length));
}

test('at most pool.maxOpening logins run at once, and every caller is served in its turn', async () => {
  const pool = aPool({ max: 20, maxOpening: 3 });
  world.server.loginMs = 100;
  const calls = Array.from({ length: 20 }, () => outcome(pool.acquire()));
  await pass(50);
  expect(pool.stats).toMatchObject({ opening: 3, pending: 20 });
  await pass(10 * SECOND);
  expect(mostAtOnce(world.server.dials, 100)).toBe(3);
  expect(world.server.dials).toHaveLength(20);
  releaseAll(pool, calls.map(settled));
});

test('off, all logins run at once', async () => {
  const pool = aPool({ max: 20 });
  world.server.loginMs = 100;
  const calls = Array.from({ length: 20 }, () => outcome(pool.acquire()));
  await pass(100);
  expect(mostAtOnce(world.server.dials, 100)).toBe(20);
  releaseAll(pool, calls.map(settled));
});

test('a login that fails makes way for the next', async () => {
  const pool = aPool({ max: 5, maxOpening: 1 });
  world.server.refusals = [LOGIN_FAILED, LOGIN_FAILED];
  const calls = Array.from({ length: 4 }, () => outcome(pool.acquire()));
  await pass(SECOND);
  expect(calls.filter(({ error }) => error !== undefined)).toHaveLength(2);
  releaseAll(pool, calls.filter(({ error }) => error === undefined).map(settled));
});

test('no login is made for callers that have left before its turn', async () => {
  const pool = aPool({ max: 10, maxOpening: 1, acquireTimeoutMillis: SECOND });
  world.server.loginMs = 900;
  const calls = Array.from({ length: 10 }, () => outcome(pool.acquire()));
  await pass(20 * SECOND);
  expect(calls.filter(({ error }) => error !== undefined)).toHaveLength(9);
  // One more was in progress when they left.
  expect(world.server.dials.length).toBeLessThanOrEqual(2);
  expect(pool.stats).toMatchObject({ failedLogins: 0, pending: 0, opening: 0 });
  releaseAll(pool, calls.filter(({ error }) => error === undefined).map(settled));
});

test('closing a pool ends what waits for its turn', async () => {
  const pool = aPool({ max: 10, maxOpening: 1 });
  world.server.loginMs = 5 * SECOND;
  const calls = Array.from({ length: 10 }, () => outcome(pool.acquire()));
  await pass(SECOND);
  const closed = outcome(pool.close());
  await pass(SECOND);
  settled(closed);
  expect(calls.every(({ error }) => error !== undefined)).toBe(true);
  expect(world.server.connections.size).toBe(0);
});

test('pools of many identities: maxOpening applies to all of them together', async () => {
  const pools = createTokenPools({ server: 'host', tedious: world.server.tedious, maxOpening: 2, pool: { max: 3 } });
  world.server.loginMs = 100;
  let serial = 0;
  const identities = Array.from({ length: 6 }, (_, i) => ({
    key: `user ${i}`,
    authentication: async () => {
      serial += 1;
      return { token: `token-${serial}`, expiresOnTimestamp: Date.now() + 3_600_000 };
    },
  }));
  const calls = identities.map((identity) => outcome(pools.for(identity as never).use(() => {})));
  await pass(10 * SECOND);
  calls.map(settled);
  expect(world.server.dials).toHaveLength(6);
  expect(mostAtOnce(world.server.dials, 100)).toBe(2);
  expect(pools.health()).toEqual({ status: 'ok', reasons: [] });
  pools.suspend();
  const held = outcome(pools.for(identities[0] as never).use(() => {}));
  await pass(SECOND);
  expect(held.at).toBeUndefined();
  expect(pools.health().status).toBe('degraded');
  pools.resume();
  pools.evictAll({ reason: 'test' });
  await pass(SECOND);
  settled(held);
  const closed = outcome(pools.close());
  await pass(SECOND);
  settled(closed);
  expect(pools.health().status).toBe('down');
});

test('the timeout of a caller whose login had to wait for those of other identities gives that as the reason', async () => {
  const pools = many({ maxOpening: 1, pool: { acquireTimeoutMillis: 5 * SECOND } });
  world.server.loginMs = 20 * SECOND;
  const first = outcome(of(pools, 'ada').acquire());
  await pass(100);
  const second = outcome(of(pools, 'bob').acquire());
  await pass(6 * SECOND);
  expect(() => settled(first)).toThrow(expect.objectContaining({ hint: expect.stringContaining('slow to answer') }));
  expect(() => settled(second)).toThrow(expect.objectContaining({ hint: expect.stringContaining('maxOpening') }));
  expect(pools.health()).toEqual({
    status: 'degraded',
    reasons: [{ code: 'logins-hang', message: expect.stringContaining('1 of 2 pools') }],
  });
});

test.each(['3', -1, 1.5, Number.NaN])('pool.maxOpening: %j is refused with its name, and so is maxOpening', (wrong) => {
  expect(() => aPool({ maxOpening: wrong as number })).toThrow(ConfigurationError);
  expect(() => aPool({ maxOpening: wrong as number })).toThrow('pool.maxOpening');
  expect(() => createTokenPools({ server: 'host', maxOpening: wrong as number })).toThrow("'maxOpening'");
});

const BUSY = { number: 40613, state: 1, class: 17, message: 'The database is not currently available.' };

test.each([1, 2])(
  'an identity that waits to try again does not hold up the logins of others, maxOpening %i',
  async (most) => {
    const pools = many({
      maxOpening: most,
      pool: { createTimeoutMillis: 60 * SECOND, acquireTimeoutMillis: 60 * SECOND },
    });
    world.server.refusals = [BUSY];
    const [ada, bob] = [of(pools, 'ada'), of(pools, 'bob')];
    const adas = [1, 2, 3].map(() => outcome(ada.acquire()));
    await pass(100);
    const bobs = outcome(bob.acquire());
    await pass(100);
    bob.release(settled(bobs));
    await pass(10 * SECOND);
    for (const caller of adas) ada.release(settled(caller));
  },
);

test('a login that goes on after its pause waits for its turn, and no longer than createTimeoutMillis', async () => {
  const pools = many({ maxOpening: 1, pool: { createTimeoutMillis: 8 * SECOND, acquireTimeoutMillis: 60 * SECOND } });
  world.server.refusals = [BUSY];
  const [ada, bob, carol] = ['ada', 'bob', 'carol'].map((name) => of(pools, name)) as [
    IdentityPool,
    IdentityPool,
    IdentityPool,
  ];
  const adas = outcome(ada.acquire());
  await pass(4 * SECOND);
  world.server.loginMs = 7 * SECOND;
  const bobs = outcome(bob.acquire());
  await pass(5 * SECOND);
  expect(adas.error).toMatchObject({ code: 'ERR_SERVER_UNAVAILABLE' });
  expect(bobs.at).toBeUndefined();
  await pass(3 * SECOND);
  bob.release(settled(bobs));
  world.server.loginMs = 10;
  const carols = outcome(carol.acquire());
  await pass(SECOND);
  carol.release(settled(carols));
  const again = outcome(ada.acquire());
  await pass(10 * SECOND);
  ada.release(settled(again));
  expect(mostAtOnce(world.server.dials.slice(1), 10)).toBe(1);
});

test('logins that begin again after evictAll() during a pause wait for their turn', async () => {
  const pools = many({ maxOpening: 1, pool: { createTimeoutMillis: 60 * SECOND, acquireTimeoutMillis: 60 * SECOND } });
  const [ada, bob] = [of(pools, 'ada'), of(pools, 'bob')];
  world.server.loginMs = 6 * SECOND;
  world.server.refusals = [BUSY];
  const callers = [outcome(ada.acquire())];
  await pass(7 * SECOND);
  callers.push(outcome(bob.acquire()));
  await pass(SECOND);
  pools.evictAll();
  await pass(30 * SECOND);
  ada.release(settled(callers[0] ?? {}));
  bob.release(settled(callers[1] ?? {}));
  const [, interrupted, ...again] = world.server.dials;
  expect(interrupted).toBeDefined();
  expect(again.length).toBeGreaterThanOrEqual(2);
  expect(mostAtOnce(again, 6 * SECOND)).toBe(1);
});

const STALE = { number: 18456, state: 233, class: 14, message: 'Login failed for user. Token is expired.' };

test.each([
  [1, [BUSY]],
  [1, [BUSY, BUSY, BUSY]],
  [2, Array(6).fill(BUSY)],
  [1, [BUSY, STALE]],
])(
  'maxOpening %i holds while callers wait for a server that is busy, and afterwards: %j',
  async (maxOpening, refusals) => {
    const patience = { createTimeoutMillis: 300 * SECOND, acquireTimeoutMillis: 300 * SECOND };
    const pools = many({ maxOpening, pool: { max: 8, ...patience } });
    world.server.refusals = refusals;
    world.server.loginMs = 100;
    const ada = of(pools, 'ada');
    const callers = Array.from({ length: 8 }, () => outcome(ada.acquire()));
    await pass(300 * SECOND);
    for (const caller of callers) ada.release(settled(caller));
    const meanwhile = world.server.dials;
    world.server.dials = [];
    const later = Array.from({ length: 20 }, (_, i) => outcome(of(pools, `user ${i}`).use(() => {})));
    await pass(30 * SECOND);
    later.map(settled);
    expect(mostAtOnce(meanwhile, 100)).toBeLessThanOrEqual(maxOpening);
    expect(mostAtOnce(world.server.dials, 100)).toBeLessThanOrEqual(maxOpening);
  },
);

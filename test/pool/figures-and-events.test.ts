import type { Connection } from 'tedious';
import { expect, test } from 'vitest';
import type { ChannelName, ChannelPayloads } from '../../src/channels.js';
import { LoginRefusedError, PoolClosedError, ServerUnavailableError } from '../../src/errors.js';
import type { DrivenConnection } from '../support/driven-server.js';
import {
  drivenWorld,
  LOGIN_FAILED,
  live,
  MINUTE,
  outcome,
  pass,
  releaseAll,
  SECOND,
  settled,
  sqlLogin,
} from '../support/driven-world.js';

const world = drivenWorld();
const { aPool, borrow, opened } = world;

function published<N extends ChannelName>(name: N): ChannelPayloads[N][] {
  return world.events.filter((event) => event.name === name).map(({ payload }) => payload as ChannelPayloads[N]);
}

test('figures follow a connection from its login to its end', async () => {
  const pool = aPool({ max: 3, min: 0 });
  const nothing = {
    ...{ size: 0, available: 0, borrowed: 0, pending: 0, opening: 0, min: 0, max: 3 },
    ...{
      logins: 0,
      failedLogins: 0,
      renewals: 0,
      evictions: {},
      tokenExpiresOn: undefined,
      isSuspended: false,
      leaks: 0,
      borrowers: [],
    },
  };
  expect(pool.stats).toEqual(nothing);
  const first = outcome(pool.acquire());
  await pass(world.server.loginMs - 1);
  const tokenExpiresOn = world.provider.requests.at(-1)?.at ?? 0;
  const warm = { ...nothing, tokenExpiresOn: tokenExpiresOn + 60 * MINUTE };
  expect(pool.stats).toEqual({ ...warm, pending: 1, opening: 1 });
  await pass(1);
  expect(pool.stats).toEqual({ ...warm, size: 1, borrowed: 1, logins: 1 });
  pool.release(settled(first));
  expect(pool.stats).toEqual({ ...warm, size: 1, available: 1, logins: 1 });
  await pass(30 * SECOND);
  expect(pool.stats).toEqual({ ...warm, logins: 1, evictions: { idle: 1 } });
});

test('figures are a snapshot', async () => {
  const pool = aPool({ max: 1 });
  const before = pool.stats;
  pool.destroy((await borrow(pool, 1))[0] as Connection);
  expect(before.evictions).toEqual({});
  expect(pool.stats.evictions).toEqual({ 'destroyed-by-caller': 1 });
});

test('without a token, there is no expiry', async () => {
  const pool = aPool({ max: 1 }, sqlLogin);
  await opened(pool, 1);
  expect(pool.stats.tokenExpiresOn).toBeUndefined();
});

test('logins that fail are counted, those of min too', async () => {
  const pool = aPool({ max: 2, min: 1 });
  world.server.refusals = [LOGIN_FAILED];
  await pass(world.server.loginMs + 1);
  expect(pool.stats).toMatchObject({ logins: 0, failedLogins: 1, opening: 0, size: 0 });
  await pass(1_100);
  expect(pool.stats).toMatchObject({ logins: 1, failedLogins: 1, size: 1 });
});

test('a new pool is published with access to its figures, and each pool has its own name', async () => {
  const pool = aPool({ max: 7 }, { options: { database: 'sales' } });
  const other = aPool();
  expect(pool.name).toMatch(/^host\/sales#\d+$/);
  expect(other.name).toMatch(/^host\/#\d+$/);
  const [one, two] = [pool, other].map(({ name }) => Number(name.split('#')[1])) as [number, number];
  expect(two).toBe(one + 1);
  const [said] = published('pool:opened');
  expect(said).toMatchObject({ pool: pool.name, server: 'host', database: 'sales' });
  expect(said?.stats()).toMatchObject({ size: 0, max: 7 });
  await opened(pool, 2);
  expect(said?.stats()).toMatchObject({ size: 2, available: 2 });
});

test('checkout and checkin events name the connection; checkout has the wait', async () => {
  const pool = aPool({ max: 1 });
  const [connection] = (await borrow(pool, 1)) as [Connection];
  const [{ connection: number = 0 } = {}] = published('connection:opened');
  expect(number).toBeGreaterThan(0);
  expect(published('checkout')).toEqual([{ pool: pool.name, connection: number, waitedMs: world.server.loginMs }]);
  const next = outcome(pool.acquire());
  await pass(4 * SECOND);
  pool.release(connection);
  expect(published('checkin')).toEqual([{ pool: pool.name, connection: number }]);
  await pass(0);
  pool.release(settled(next));
  expect(published('checkout')[1]).toEqual({ pool: pool.name, connection: number, waitedMs: 4 * SECOND });
  expect(published('checkin')).toHaveLength(2);
});

test('a login event has the token and the duration; a failed one its kind and its cause', async () => {
  const pool = aPool({ max: 2 });
  world.server.loginMs = 120;
  await opened(pool, 1);
  const [login] = published('connection:opened');
  expect(login).toMatchObject({ pool: pool.name, durationMs: 120, tokenExpiresOn: pool.stats.tokenExpiresOn });
  expect(login?.tokenId).toBe(published('token:refreshed')[0]?.tokenId);
  world.server.cut();
  await pass(SECOND);
  world.server.refusals = [LOGIN_FAILED];
  const failed = outcome(pool.acquire());
  await pass(120);
  expect(failed.error).toBeInstanceOf(LoginRefusedError);
  expect(published('connection:login-failed')).toEqual(
    [{ pool: pool.name, error: failed.error, kind: 'ambiguous', durationMs: 120 }].map((event) => ({
      ...event,
      kind: expect.any(String),
    })),
  );
});

test('an eviction event has the reason and the age', async () => {
  const pool = aPool({ max: 1 });
  const [connection] = (await borrow(pool, 1)) as [Connection];
  await pass(20 * SECOND);
  pool.release(connection);
  await pass(30 * SECOND);
  const [{ connection: number = 0 } = {}] = published('connection:opened');
  expect(published('connection:evicted')).toEqual([
    { pool: pool.name, connection: number, reason: 'idle', ageMs: 50 * SECOND },
  ]);
});

test('a renewal event names both connections and the expiry of the new token', async () => {
  const pool = aPool({ max: 1 });
  await opened(pool, 1);
  await live(pool, 56 * MINUTE, 1);
  const [old, young] = published('connection:opened');
  expect(published('connection:renewed')).toEqual([
    {
      pool: pool.name,
      connection: young?.connection,
      replaced: old?.connection,
      tokenExpiresOn: young?.tokenExpiresOn,
    },
  ]);
  expect(young?.tokenExpiresOn).toBeGreaterThan(old?.tokenExpiresOn ?? 0);
  expect(published('connection:evicted')).toMatchObject([{ connection: old?.connection, reason: 'renewed' }]);
});

test('a connection that replaced another counts once, and is returned like any other', async () => {
  const pool = aPool({ max: 1 });
  await opened(pool, 1);
  await live(pool, 3 * 56 * MINUTE, 1, 29 * SECOND);
  expect(pool.stats).toMatchObject({ size: 1, available: 1, renewals: 3, logins: 4, evictions: { renewed: 3 } });
  expect(world.server.connections.size).toBe(1);
});

test('ready() opens min connections, at least one, and leaves them in the pool', async () => {
  const [none, some] = [aPool({ max: 5 }), aPool({ max: 5, min: 3 })];
  const both = [outcome(none.ready()), outcome(some.ready())];
  await pass(world.server.loginMs);
  for (const each of both) settled(each);
  expect(none.stats).toMatchObject({ size: 1, available: 1 });
  expect(some.stats).toMatchObject({ size: 3, available: 3, logins: 3 });
});

test('ready() counts borrowed connections as open', async () => {
  const pool = aPool({ max: 3, min: 3, acquireTimeoutMillis: SECOND });
  const borrowed = await borrow(pool, 2);
  const ready = outcome(pool.ready());
  await pass(world.server.loginMs);
  settled(ready);
  expect(pool.stats).toMatchObject({ size: 3, borrowed: 2 });
  releaseAll(pool, borrowed);
});

test('ready() rejects with the error of a failed login, and keeps what could be opened', async () => {
  const pool = aPool({ max: 3, min: 2 });
  world.server.refusals = [LOGIN_FAILED];
  const ready = outcome(pool.ready());
  await pass(3 * world.server.loginMs);
  expect(ready.error).toBeInstanceOf(LoginRefusedError);
  await pass(2 * SECOND);
  expect(pool.stats).toMatchObject({ size: 2, borrowed: 0 });
});

test('ready() does not wait if the server is down or the pool is closed', async () => {
  const pool = aPool({ max: 3 });
  world.server.isDown = true;
  const ready = outcome(pool.ready());
  await pass(world.server.loginMs);
  expect(ready.error).toBeInstanceOf(ServerUnavailableError);
  const closed = outcome(pool.close());
  await pass(SECOND);
  settled(closed);
  await expect(pool.ready()).rejects.toBeInstanceOf(PoolClosedError);
});

test('at the limit, the connection that has been idle longest is closed, never a borrowed one', async () => {
  const pool = aPool({ max: 3, idleTimeoutMillis: MINUTE });
  const [one, two, three] = (await borrow(pool, 3)) as [Connection, Connection, Connection];
  expect(pool.closeIdle()).toBe(false);
  pool.release(two);
  await pass(SECOND);
  pool.release(one);
  expect(pool.closeIdle()).toBe(true);
  const closed = (connection: Connection) => (connection as unknown as DrivenConnection).closed;
  expect([one, two, three].map(closed)).toEqual([false, true, false]);
  expect(pool.closeIdle()).toBe(true);
  expect(pool.closeIdle()).toBe(false);
  expect([one, two, three].map(closed)).toEqual([true, true, false]);
  expect(pool.stats).toMatchObject({ size: 1, borrowed: 1, evictions: { unneeded: 2 } });
  pool.release(three);
});

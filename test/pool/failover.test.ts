import type { Connection } from 'tedious';
import { expect, test } from 'vitest';
import type { Session } from '../../src/connections/session.js';
import { FailoverWatch, whenBroken } from '../../src/pool/failover.js';
import type { PooledConnection } from '../../src/pool/pooled-connection.js';
import type { TokenPool } from '../../src/pool/token-pool.js';
import {
  borrowAtOnce,
  driven,
  drivenWorld,
  HOUR,
  LOGIN_FAILED,
  MINUTE,
  outcome,
  pass,
  releaseAll,
  SECOND,
  settled,
} from '../support/driven-world.js';

const world = drivenWorld();

const READ_ONLY = { number: 3906, class: 16, state: 1, message: 'The database is read-only.' };

/** The network ends it: tedious reports an error. */
function cut(connection: Connection | undefined): void {
  driven(connection).emit('error', new Error('read ECONNRESET'));
  driven(connection).end();
}

/** A pool that keeps this many idle connections for hours, and those connections. */
async function poolOf(count: number, config = {}): Promise<{ pool: TokenPool; connections: Connection[] }> {
  const pool = world.aPool({ max: count, idleTimeoutMillis: 24 * HOUR, maxAgeMillis: 0 }, config);
  const connections = await world.borrow(pool, count);
  releaseAll(pool, connections);
  return { pool, connections };
}

const failovers = () => world.events.filter(({ name }) => name === 'pool:failover').map(({ payload }) => payload);

test('when two connections break within a second, idle ones are closed, and a borrowed one when it is returned', async () => {
  const { pool, connections } = await poolOf(6);
  const borrowed = await borrowAtOnce(pool);
  const [first, second, ...others] = connections.filter((connection) => connection !== borrowed);
  cut(first);
  await pass(900);
  cut(second);
  await pass(0);
  expect(failovers()).toEqual([{ pool: pool.name, sign: 'broken-connections', drained: 4 }]);
  for (const connection of others) expect(driven(connection).closed).toBe(true);
  expect(driven(borrowed).closed).toBe(false);
  pool.release(borrowed);
  await pass(SECOND);
  expect(driven(borrowed).closed).toBe(true);
  expect(pool.stats.evictions).toEqual({ broken: 2, failover: 4 });
});

test.each(['release', 'destroy'] as const)(
  'busy connections that break together close their idle siblings where the callback of the request calls %s',
  async (how) => {
    const { pool } = await poolOf(6);
    await pass(MINUTE);
    const borrowed = await world.borrow(pool, 3);
    for (const connection of borrowed) {
      // In the order of tedious: the callback of the request, then the end, then the error.
      Object.assign(driven(connection), { closed: true, state: { name: 'Final' } });
      process.nextTick(() => driven(connection).end());
      pool[how](connection);
      process.nextTick(() => driven(connection).emit('error', new Error('Connection lost')));
    }
    await pass(10);
    expect(failovers()).toMatchObject([{ sign: 'broken-connections', drained: 3 }]);
  },
);

test('sessions that the server ends with errors because of their requests are not a failover', async () => {
  const { pool } = await poolOf(6);
  const borrowed = await world.borrow(pool, 3);
  for (const connection of borrowed) {
    driven(connection).emit('errorMessage', { number: 50_000, class: 20, state: 1, message: 'poison' });
    Object.assign(driven(connection), { hasError: true });
    driven(connection).end();
    pool.release(connection);
  }
  await pass(SECOND);
  expect(failovers()).toEqual([]);
  expect(pool.stats.evictions).toEqual({ broken: 3 });
});

/** What ends sessions because of the server, and not of a request. */
const ENDS = [
  { number: 596, class: 21, message: 'Cannot continue the execution because the session is in the kill state.' },
  { number: 6005, class: 10, message: 'SHUTDOWN is in progress.' },
  { number: 17142, class: 20, message: 'SQL Server service has been paused.' },
  { number: 40197, class: 20, message: 'The service has encountered an error processing your request.' },
];

test.each(ENDS)('sessions that the server ends together with error $number close their siblings', async (error) => {
  const { pool } = await poolOf(6);
  const borrowed = await world.borrow(pool, 3);
  for (const connection of borrowed) {
    driven(connection).emit('errorMessage', { ...error, state: 1 });
    // tedious reports no other error where the request has one.
    driven(connection).end();
    pool.release(connection);
  }
  await pass(10);
  expect(failovers()).toEqual([{ pool: pool.name, sign: 'broken-connections', drained: 3 }]);
  // The new primary is not ready yet.
  world.server.refusals = [{ ...LOGIN_FAILED, number: 4060, message: 'Cannot open database "app".' }];
  const next = outcome(pool.acquire());
  await pass(10 * SECOND);
  settled(next);
});

test('sessions that the server ends after their siblings are no second failover', async () => {
  const { pool } = await poolOf(6);
  const borrowed = await world.borrow(pool, 6);
  for (const [i, connection] of borrowed.entries()) {
    driven(connection).emit('errorMessage', { ...ENDS[0], state: 1 });
    driven(connection).end();
    pool.release(connection);
    if (i >= 1) await world.opened(pool, 2);
    await pass(100);
  }
  expect(failovers()).toMatchObject([{ drained: 4 }]);
  expect(pool.stats).toMatchObject({ size: 2, logins: 8 });
});

test.each(ENDS)('one session that the server ends with error $number leaves its siblings open', async (error) => {
  const { pool } = await poolOf(6);
  const [connection] = await world.borrow(pool, 1);
  driven(connection).emit('errorMessage', { ...error, state: 1 });
  // Once more in the same answer.
  driven(connection).emit('errorMessage', { ...error, state: 1 });
  driven(connection).end();
  pool.release(connection as Connection);
  await pass(SECOND);
  expect(failovers()).toEqual([]);
  expect(pool.stats).toMatchObject({ size: 5, evictions: { broken: 1 } });
});

test('connections that break a second or more apart are not a failover', async () => {
  const { pool, connections } = await poolOf(6);
  for (const connection of connections.slice(0, 4)) {
    cut(connection);
    await pass(SECOND);
  }
  expect(failovers()).toEqual([]);
  expect(pool.stats).toMatchObject({ size: 2, evictions: { broken: 4 } });
});

test('in a large pool, a tenth of the connections must break together', async () => {
  const { connections } = await poolOf(30);
  for (const connection of connections.slice(0, 2)) cut(connection);
  await pass(0);
  expect(failovers()).toEqual([]);
  cut(connections[2]);
  await pass(0);
  expect(failovers()).toMatchObject([{ sign: 'broken-connections', drained: 27 }]);
});

test('a second burst is another failover; one more broken connection is not', async () => {
  const { pool, connections } = await poolOf(3);
  for (const connection of connections.slice(0, 2)) cut(connection);
  await pass(100);
  const [third, fourth] = await world.borrow(pool, 2);
  cut(third);
  await pass(0);
  expect(failovers()).toHaveLength(1);
  cut(fourth);
  await pass(0);
  expect(failovers()).toHaveLength(2);
  releaseAll(pool, [third as Connection, fourth as Connection]);
});

test('connections that the application closes are not a failover', async () => {
  const { connections } = await poolOf(4);
  for (const connection of connections) driven(connection).end();
  await pass(0);
  expect(failovers()).toEqual([]);
});

test('a session that has become read-only closes its idle siblings', async () => {
  const { pool } = await poolOf(4);
  const borrowed = await borrowAtOnce(pool);
  driven(borrowed).emit('errorMessage', READ_ONLY);
  await pass(0);
  expect(failovers()).toEqual([{ pool: pool.name, sign: 'read-only', drained: 3 }]);
  pool.release(borrowed);
  await pass(SECOND);
  expect(pool.stats.evictions).toEqual({ 'read-only': 1, failover: 3 });
});

test('a database that stays read-only causes all connections to be replaced less and less often: after 1 min, 2 min, ... an hour', async () => {
  const { pool } = await poolOf(2);
  let from = performance.now();
  const drainedAfter: number[] = [];
  for (let seconds = 0; seconds < 3 * 3_600 + 300; seconds += 30) {
    const connection = settled(await use(pool));
    driven(connection).emit('errorMessage', READ_ONLY);
    const count = failovers().length;
    if (count > drainedAfter.length) {
      drainedAfter.push(Math.round((performance.now() - from) / MINUTE));
      from = performance.now();
    }
    pool.release(connection);
    await pass(30 * SECOND - world.server.loginMs);
  }
  expect(drainedAfter).toEqual([0, 1, 2, 4, 8, 16, 32, 60, 60]);
});

test('while a database stays read-only, sessions opened since the last drain are kept: no login for each failing write', async () => {
  const { pool } = await poolOf(3);
  for (let i = 0; i < 20; i += 1) {
    const connection = settled(await use(pool));
    driven(connection).emit('errorMessage', READ_ONLY);
    pool.release(connection);
    await pass(SECOND);
  }
  expect(failovers()).toHaveLength(1);
  expect(pool.stats).toMatchObject({ logins: 4, evictions: { 'read-only': 1, failover: 2 } });
});

test('after some time without one, a read-only session counts again at once', async () => {
  const { pool } = await poolOf(2);
  for (const pauseMs of [0, MINUTE, 4 * MINUTE, MINUTE]) {
    await pass(pauseMs);
    const connection = settled(await use(pool));
    driven(connection).emit('errorMessage', READ_ONLY);
    pool.release(connection);
    await pass(SECOND);
  }
  // 1 min after the first; 4 min later, which is twice the pause of 2 min, the pause is a minute again.
  expect(failovers()).toHaveLength(4);
});

test.each([
  { ...LOGIN_FAILED, message: "Login failed for user '<token-identified principal>'." },
  { ...LOGIN_FAILED, number: 4060, message: 'Cannot open database "app".' },
])(
  'what the new primary refuses within a minute of a failover ($number) is tried again; at other times it is an error',
  async (refusal) => {
    const { pool, connections } = await poolOf(2);
    for (const connection of connections) cut(connection);
    await pass(59 * SECOND);
    const requests = world.provider.requests.length;
    world.server.refusals = [refusal];
    const acquired = outcome(pool.acquire());
    await pass(10 * SECOND);
    const connection = settled(acquired);
    expect(world.provider.requests).toHaveLength(requests);
    pool.destroy(connection);
    const other = world.aPool({ max: 1 });
    await pass(SECOND);
    for (const later of [pool, other]) {
      world.server.refusals = [refusal, refusal];
      const refused = outcome(later.acquire());
      await pass(10 * SECOND);
      expect(refused.error).toMatchObject({ code: 'ERR_LOGIN_REFUSED', number: refusal.number });
      world.server.refusals = [];
    }
  },
);

/** A checkout, with the time of a login. */
async function use(pool: TokenPool) {
  const acquired = outcome(pool.acquire());
  await pass(world.server.loginMs);
  return acquired;
}

/** A watch over connections in these states. */
function aWatch(...states: { state?: string; isGone?: boolean; session?: object | undefined }[]) {
  const connections = states.map((state) => {
    const pooled = { state: 'idle', isGone: false, session: { expiry: {} }, ...state };
    return { ...pooled, live: pooled.session };
  });
  const evicted: number[] = [];
  const watched = {
    size: connections.length,
    evictWhere: (applies: (pooled: PooledConnection) => boolean) => {
      const open = connections.filter(({ state, session }) => state !== 'closed' && session !== undefined);
      const found = open.filter((pooled) => applies(pooled as never));
      evicted.push(...found.map((pooled) => connections.indexOf(pooled)));
      return found.length;
    },
  };
  return { watch: new FailoverWatch(watched, { name: 'p' }), evicted };
}

test('a failover counts as recent for a minute', async () => {
  const { watch } = aWatch({});
  expect(watch.isRecent).toBe(false);
  watch.becameReadOnly();
  await pass(MINUTE - 1);
  expect(watch.isRecent).toBe(true);
  await pass(1);
  expect(watch.isRecent).toBe(false);
});

test('connections that are closed, being opened or ended by the server are not drained', () => {
  const { watch, evicted } = aWatch(
    {},
    { state: 'closed' },
    { state: 'borrowed', isGone: true },
    { state: 'connecting', session: undefined },
    { session: { expiry: { unusable: 'broken' } } },
    { state: 'borrowed' },
  );
  watch.becameReadOnly();
  expect(evicted).toEqual([0, 5]);
  expect(failovers()).toEqual([{ pool: 'p', sign: 'read-only', drained: 2 }]);
});

test('connections that have broken count towards the total of which a tenth must break', () => {
  for (const [open, expected] of [
    [18, 1],
    [19, 0],
  ] as const) {
    world.events.length = 0;
    const { watch } = aWatch(...Array.from({ length: open }, () => ({})));
    watch.connectionBroke();
    watch.connectionBroke();
    expect(failovers()).toHaveLength(expected);
  }
});

test('sessions that become read-only together are one failover', () => {
  const { watch } = aWatch({});
  watch.becameReadOnly();
  watch.becameReadOnly();
  expect(failovers()).toHaveLength(1);
});

test.each([
  [true, 'the network', { hasError: true }, undefined],
  [false, 'the application', { hasError: false }, undefined],
  [false, 'the server with an error', { hasError: true }, 'broken'],
])('%s: a connection has broken that was ended by %s', async (isBroken, _, connection, unusable) => {
  let broke = false;
  whenBroken({ connection, expiry: { unusable } } as unknown as Session, () => {
    broke = true;
  });
  await pass(0);
  expect(broke).toBe(isBroken);
});

import type { Connection } from 'tedious';
import { expect, test } from 'vitest';
import { AbortedError, AcquireTimeoutError, PoolClosedError } from '../../src/errors.js';
import { driven, drivenWorld, HOUR, outcome, pass, SECOND, settled, undecidedTest } from '../support/driven-world.js';

const world = drivenWorld();
const { aPool, borrow, opened } = world;

test('without a test, nothing is sent: a checkout costs no round trip', async () => {
  const pool = aPool({ max: 1 }, { validateConnection: 'socket' });
  await opened(pool, 1);
  const acquired = outcome(pool.acquire());
  await pass(0);
  pool.release(settled(acquired));
  expect(world.server.queries).toEqual([]);
});

test('validateConnection: true queries the server at each checkout, even of a new connection', async () => {
  const pool = aPool({ max: 1 }, { validateConnection: true });
  await opened(pool, 1);
  const [connection] = (await borrow(pool, 1)) as [Connection];
  expect(world.server.queries).toEqual(['SELECT 1', 'SELECT 1']);
  pool.release(connection);
  expect(pool.stats).toMatchObject({ size: 1, logins: 1, evictions: {} });
});

test('a connection under test counts as borrowed, not as available, as in mssql', async () => {
  const undecided = undecidedTest();
  const pool = aPool({ max: 1, validate: undecided.validate });
  await opened(pool, 1);
  const acquired = outcome(pool.acquire());
  await pass(0);
  expect(pool.stats).toMatchObject({ size: 1, available: 0, borrowed: 1, pending: 1 });
  undecided.answer(true);
  await pass(0);
  expect(pool.stats).toMatchObject({ size: 1, available: 0, borrowed: 1, pending: 0 });
  pool.release(settled(acquired));
  expect(pool.stats).toMatchObject({ size: 1, available: 1, borrowed: 0 });
});

test('a connection that is closed during its test does not count as borrowed either', async () => {
  const undecided = undecidedTest();
  const pool = aPool({ max: 1, validate: undecided.validate });
  await opened(pool, 1);
  outcome(pool.acquire());
  await pass(0);
  const closed = outcome(pool.close());
  await pass(0);
  expect(pool.stats).toMatchObject({ size: 0, available: 0, borrowed: 0 });
  await pass(SECOND);
  expect(closed.error).toBeUndefined();
});

test('a connection on which the server gives a wrong answer is closed, and the caller gets another', async () => {
  const pool = aPool({ max: 1 }, { validateConnection: true });
  await opened(pool, 1);
  const [old] = [...world.server.connections];
  world.server.query = (connection) => (connection === old ? new Error('Connection lost') : null);
  const acquired = outcome(pool.acquire());
  await pass(world.server.loginMs + SECOND);
  expect(settled(acquired)).not.toBe(old);
  expect(old?.closed).toBe(true);
  expect(pool.stats).toMatchObject({ size: 1, evictions: { broken: 1 } });
  pool.release(settled(acquired));
});

test('pool.validate is called with the connection that would be handed out', async () => {
  const asked: Connection[] = [];
  const validate = (connection: Connection): boolean => asked.push(connection) > 0;
  const pool = aPool({ max: 1, validate });
  const [connection] = (await borrow(pool, 1)) as [Connection];
  expect(asked).toEqual([connection]);
  pool.release(connection);
  expect(world.server.queries).toEqual([]);
});

test.each([
  ['false', () => false],
  ['a promise of false', async () => false],
  ['a rejection', async () => Promise.reject(new Error('mine'))],
  [
    'an exception',
    () => {
      throw new Error('mine');
    },
  ],
])('where pool.validate gives %s the caller gets another connection', async (_, no) => {
  let asked = 0;
  const validate = (): boolean | Promise<boolean> => {
    asked += 1;
    return asked === 2 ? no() : true;
  };
  const pool = aPool({ max: 1, validate });
  const [old] = (await borrow(pool, 1)) as [Connection];
  pool.release(old);
  const acquired = outcome(pool.acquire());
  await pass(world.server.loginMs + 1);
  expect(settled(acquired)).not.toBe(old);
  expect(asked).toBe(3);
  expect(pool.stats).toMatchObject({ size: 1, logins: 2, evictions: { broken: 1 } });
  pool.release(settled(acquired));
});

test('if pool.validate rejects, the server is not queried', async () => {
  let fit = true;
  const pool = aPool({ max: 1, validate: () => fit }, { validateConnection: true });
  await opened(pool, 1);
  fit = false;
  world.server.loginMs = SECOND;
  const acquired = outcome(pool.acquire());
  await pass(100);
  expect(world.server.queries).toEqual(['SELECT 1']);
  fit = true;
  await pass(2 * SECOND);
  expect(world.server.queries).toEqual(['SELECT 1', 'SELECT 1']);
  pool.release(settled(acquired));
});

test('a test that outlasts its caller has failed: its connection is closed, not kept forever', async () => {
  const pool = aPool({ max: 1, acquireTimeoutMillis: 5 * SECOND }, { validateConnection: true });
  await opened(pool, 1);
  const [old] = [...world.server.connections];
  world.server.query = () => undefined;
  const acquired = outcome(pool.acquire());
  await pass(5 * SECOND - 1);
  expect(acquired.at).toBeUndefined();
  expect(pool.stats).toMatchObject({ size: 1, available: 0, borrowed: 1, pending: 1 });
  await pass(1);
  expect(acquired.error).toBeInstanceOf(AcquireTimeoutError);
  expect(old?.closed).toBe(true);
  world.server.query = () => null;
  await opened(pool, 1);
  expect(pool.stats).toMatchObject({ size: 1, available: 1, evictions: { broken: 1 } });
});

test('a caller that leaves during the test does not get the connection afterwards', async () => {
  const undecided = undecidedTest();
  const pool = aPool({ max: 1, validate: undecided.validate });
  await opened(pool, 1);
  const controller = new AbortController();
  const left = outcome(pool.acquire({ signal: controller.signal }));
  await pass(SECOND);
  controller.abort();
  undecided.answer(true);
  await pass(0);
  expect(left.error).toBeInstanceOf(AbortedError);
  expect(pool.stats).toMatchObject({ borrowed: 0, pending: 0 });
  await opened(pool, 1);
  expect(pool.stats).toMatchObject({ size: 1, available: 1 });
});

test('close() does not wait for a test', async () => {
  const pool = aPool({ max: 1 }, { validateConnection: true });
  await opened(pool, 1);
  world.server.query = () => undefined;
  const acquired = outcome(pool.acquire());
  await pass(SECOND);
  const closed = outcome(pool.close());
  await pass(1);
  expect(acquired.error).toBeInstanceOf(PoolClosedError);
  expect(closed.at).toBeDefined();
  expect(world.server.connections.size).toBe(0);
});

test('a connection that fails while it is tested is not handed out', async () => {
  const undecided = undecidedTest();
  const pool = aPool({ max: 1, validate: undecided.validate });
  await opened(pool, 1);
  const [old] = [...world.server.connections];
  const acquired = outcome(pool.acquire());
  await pass(0);
  old?.end();
  undecided.answer(true);
  await pass(world.server.loginMs + 1);
  expect(settled(acquired)).not.toBe(old);
  expect(pool.stats).toMatchObject({ size: 1, borrowed: 1, evictions: { broken: 1 } });
  pool.release(settled(acquired));
});

test('a test neither causes an early replacement nor makes its caller wait for a renewal under way', async () => {
  const pool = aPool({ max: 2, idleTimeoutMillis: HOUR, validate: () => true });
  const old = await world.borrowedWhileRenewed(pool);
  pool.release(old);
  await pass(SECOND);
  // A later token is at hand, and the successor on it is still to come.
  const acquired = outcome(pool.acquire());
  await pass(0);
  expect(settled(acquired)).toBe(old);
  expect(pool.stats).toMatchObject({ size: 1, evictions: {} });
  pool.release(old);
});

test("the pool's own test is no misuse of a connection whose session is reset, and is not its use either", async () => {
  const validate = (connection: Connection): boolean => {
    driven(connection).execSqlBatch({ sql: 'SELECT 1', done: () => {} });
    return true;
  };
  const pool = aPool({ max: 1, resetSession: 'always', validate, idleTimeoutMillis: HOUR });
  for (let i = 0; i < 3; i += 1) {
    const [connection] = (await borrow(pool, 1)) as [Connection];
    pool.release(connection);
  }
  expect(pool.stats).toMatchObject({ size: 1, logins: 1, evictions: {} });
  // After the test, a request on a connection that is not borrowed is one.
  const [idle] = [...world.server.connections];
  idle?.execSqlBatch({ sql: 'SELECT 1', done: () => {} });
  await pass(0);
  expect(pool.stats.evictions).toEqual({ misused: 1 });
});

test.each<[string, () => boolean | Promise<boolean>, string]>([
  ['says no', () => false, 'pool.validate did not return true.'],
  [
    'throws something else than an error',
    () => {
      throw 'no';
    },
    'pool.validate threw something that is not an Error.',
  ],
])('the reason is reported where pool.validate %s', async (_, validate, message) => {
  const pool = aPool({ max: 1, validate, acquireTimeoutMillis: 2 * SECOND });
  const causes: unknown[] = [];
  for (let i = 0; i < 2; i += 1) {
    const acquired = outcome(pool.acquire());
    await pass(3 * SECOND);
    for (let cause = acquired.error; cause instanceof Error; cause = cause.cause) causes.push(cause);
  }
  expect(causes).toContainEqual(expect.objectContaining({ message }));
  expect(causes).toContainEqual(
    expect.objectContaining({
      message: 'A new connection failed its test.',
      hint: expect.stringContaining('pool.validate or validateConnection: true'),
    }),
  );
});

import type { Connection } from 'tedious';
import { expect, test, vi } from 'vitest';
import { borrowAtOnce, driven, drivenWorld, HOUR, MINUTE, outcome, SECOND, settled } from '../support/driven-world.js';

const world = drivenWorld();

const idle = { min: 2, max: 2, idleTimeoutMillis: 10 * MINUTE, keepaliveMillis: MINUTE };

test('an idle connection is sent a request before its keepalive time is over, and again after it', async () => {
  const { clock, server, opened, aPool } = world;
  await opened(aPool(idle), 2);
  await clock.pass(40 * SECOND);
  expect(server.queries).toEqual([]);
  await clock.pass(21 * SECOND);
  expect(server.queries).toEqual(['SELECT 1', 'SELECT 1']);
  await clock.pass(2 * MINUTE);
  expect(server.queries.length).toBeGreaterThanOrEqual(6);
  expect(world.events.some(({ name }) => name === 'connection:keepalive')).toBe(true);
});

test('a connection that is used needs no keepalive', async () => {
  const { clock, server, opened, aPool } = world;
  const pool = aPool({ ...idle, min: 1, max: 1 });
  await opened(pool, 1);
  for (let i = 0; i < 10; i += 1) {
    await clock.pass(20 * SECOND);
    await pool.use(() => undefined);
  }
  expect(server.queries).toEqual([]);
});

test('a keepalive does not count as use: a connection beyond min is closed when it has been idle for long', async () => {
  const { clock, opened, aPool } = world;
  const pool = aPool({ max: 1, idleTimeoutMillis: 5 * MINUTE, keepaliveMillis: MINUTE });
  await opened(pool, 1);
  await clock.pass(5 * MINUTE + SECOND);
  expect(pool.stats.evictions).toEqual({ idle: 1 });
});

test('it does not keep the process alive', async () => {
  const { clock, server, opened, aPool } = world;
  await opened(aPool(idle), 2);
  await clock.pass(3 * MINUTE);
  expect([...server.connections].map(({ held }) => held)).toEqual([false, false]);
});

test('a connection that does not answer within 5 s is replaced before a caller finds it', async () => {
  const { clock, server, opened, aPool } = world;
  const pool = aPool(idle);
  await opened(pool, 2);
  server.query = () => undefined;
  await clock.pass(MINUTE + 6 * SECOND);
  expect(pool.stats.evictions).toEqual({ broken: 2 });
  server.query = () => null;
  await clock.pass(SECOND);
  expect(pool.stats.available).toBe(2);
});

test('a caller that arrives during a keepalive waits for its answer, not for a login', async () => {
  const { clock, server, opened, aPool } = world;
  const pool = aPool({ ...idle, min: 1, max: 1 });
  await opened(pool, 1);
  let answer: (error: null) => void = () => {};
  server.query = () => undefined;
  const [connection] = server.connections;
  if (connection === undefined) throw new Error('no connection');
  const send = connection.execSqlBatch.bind(connection);
  connection.execSqlBatch = (request) => {
    answer = request.done;
    send(request);
  };
  for (let i = 0; i < 60 && server.queries.length === 0; i += 1) await clock.pass(SECOND);
  const acquired = pool.acquire();
  answer(null);
  expect(await acquired).toBe(connection);
  expect(pool.stats.logins).toBe(1);
});

test('the error of a caller whose time is up during a keepalive mentions the keepalive', async () => {
  const { pool } = await asked({ acquireTimeoutMillis: 2 * SECOND });
  const waiting = outcome(pool.acquire());
  await world.clock.pass(3 * SECOND);
  expect(() => settled(waiting)).toThrow(
    expect.objectContaining({ code: 'ERR_ACQUIRE_TIMEOUT', hint: expect.stringContaining('a keepalive') }),
  );
});

test('Infinity means never, not a timer that fires all the time', async () => {
  const { clock, server, opened, aPool } = world;
  const warnings: string[] = [];
  const onWarning = ({ name }: Error) => warnings.push(name);
  process.on('warning', onWarning);
  await opened(aPool({ ...idle, keepaliveMillis: Number.POSITIVE_INFINITY }), 2);
  await clock.pass(5 * MINUTE);
  process.off('warning', onWarning);
  expect(server.queries).toEqual([]);
  expect(warnings).toEqual([]);
});

test('a reset that the server does not confirm on a keepalive closes the connection', async () => {
  const { clock, server, opened, aPool } = world;
  const pool = aPool({ ...idle, min: 1, max: 1, resetSession: 'always' });
  await opened(pool, 1);
  await pool.use((connection) => driven(connection).execSqlBatch({ sql: 'USE other', done: () => {} }));
  server.confirmsResets = false;
  await clock.pass(MINUTE);
  expect(pool.stats.evictions).toEqual({ 'reset-failed': 1 });
  server.confirmsResets = true;
  await clock.pass(SECOND);
  expect(pool.stats.available).toBe(1);
});

test('a keepalive calls for no reset: the options that the application has chosen for tedious stay as they are', async () => {
  const { clock, server, opened, aPool } = world;
  const { prototype } = server.tedious.Connection as unknown as { prototype: { getInitialSql(): string } };
  prototype.getInitialSql = () => 'set datefirst 1\n';
  const pool = aPool({ ...idle, min: 1, max: 1, resetSession: 'always' });
  await opened(pool, 1);
  const [connection] = server.connections;
  const request = { sql: 'SELECT name FROM sys.tables', done: () => {} };
  for (const resets of [0, 1]) {
    await clock.pass(3 * MINUTE);
    await pool.use((borrowed) => driven(borrowed).execSqlBatch(request));
    // A reset of its own, with the options, follows the use; the request itself must not have carried one.
    expect(connection?.resets).toBe(resets + 1);
  }
  expect(server.queries.filter((sql) => sql === 'SELECT 1').length).toBeGreaterThanOrEqual(5);
});

/** The server answers the requests of these connections when the test decides. */
function answersOnDemand(): { answer: (error?: Error) => void } {
  const pending: ((error: Error | null) => void)[] = [];
  for (const connection of world.server.connections) {
    connection.execSqlBatch = ({ sql, done }) => {
      world.server.queries.push(sql);
      pending.push(done);
    };
  }
  return {
    answer(error) {
      for (const done of pending.splice(0)) done(error ?? null);
    },
  };
}

/** A pool of one connection, for which a keepalive has just been sent. */
async function asked(pool = {}) {
  const { clock, server, opened, aPool } = world;
  vi.spyOn(Math, 'random').mockReturnValue(0);
  const one = aPool({ ...idle, min: 1, max: 1, ...pool });
  await opened(one, 1);
  const [connection] = server.connections;
  const { answer } = answersOnDemand();
  // It looks every 3 s.
  await clock.pass(63 * SECOND - server.loginMs);
  expect(server.queries).toEqual(['SELECT 1']);
  return { pool: one, connection: connection as unknown as Connection, answer };
}

test('each keepalive is reported, with the time that the server took', async () => {
  const { pool, answer } = await asked();
  await world.clock.pass(3 * SECOND);
  answer();
  await world.clock.pass(0);
  const reported = world.events.filter(({ name }) => name === 'connection:keepalive').map(({ payload }) => payload);
  expect(reported).toEqual([{ pool: pool.name, connection: expect.any(Number), answered: true, durationMs: 3_000 }]);
});

test('a request that fails closes the connection', async () => {
  const { pool, answer } = await asked();
  answer(new Error('The session was killed.'));
  await world.clock.pass(0);
  expect(pool.stats.evictions).toEqual({ broken: 1 });
});

test('a session whose token is refused by the answer is closed for that reason', async () => {
  const { pool, connection, answer } = await asked();
  driven(connection).emit('errorMessage', { number: 37396, state: 1, class: 16, message: 'The token has expired.' });
  answer();
  await world.clock.pass(0);
  expect(pool.stats.evictions).toEqual({ 'token-invalidated': 1 });
});

test('a connection is not closed for being idle while its answer is awaited, but soon after it', async () => {
  const { pool, answer } = await asked({ min: 0, idleTimeoutMillis: MINUTE + 5 * SECOND });
  await world.clock.pass(4 * SECOND);
  expect(pool.stats.evictions).toEqual({});
  answer();
  await world.clock.pass(30 * SECOND);
  expect(pool.stats.evictions).toEqual({ idle: 1 });
});

test('an answer that arrives after the pool was closed changes nothing, and no timer is left', async () => {
  const { pool, answer } = await asked();
  const ended = outcome(pool.close());
  await world.clock.pass(10 * SECOND);
  settled(ended);
  const { stats } = pool;
  answer();
  await world.clock.pass(0);
  expect(pool.stats).toEqual(stats);
  expect(world.clock.pending.size).toBe(0);
});

test('the connection that was used last is handed out first after a keepalive, too', async () => {
  const { clock, server, opened, aPool } = world;
  vi.spyOn(Math, 'random').mockReturnValue(0);
  const pool = aPool({ ...idle, min: 3, max: 3 });
  await opened(pool, 3);
  await clock.pass(30 * SECOND);
  const last = await borrowAtOnce(pool);
  pool.release(last);
  await clock.pass(35 * SECOND);
  expect(server.queries).toHaveLength(2);
  expect(await borrowAtOnce(pool)).toBe(last);
  pool.release(last);
});

test('a successor that has logged in meanwhile takes over after the answer', async () => {
  const { clock, server, opened, aPool } = world;
  vi.spyOn(Math, 'random').mockReturnValue(0);
  let issued = 0;
  /** Tokens of one principal. */
  const credential = () => ({
    async getToken() {
      issued += 1;
      const claims = Buffer.from(JSON.stringify({ tid: 't', oid: 'o', uti: issued })).toString('base64url');
      return { token: `e30.${claims}.s`, expiresOnTimestamp: Date.now() + HOUR };
    },
  });
  const pool = aPool({ ...idle, min: 1, max: 1 }, { authentication: credential() });
  await opened(pool, 1);
  const [old] = server.connections;
  const { answer } = answersOnDemand();
  server.loginMs = 12 * SECOND;
  await clock.pass(53 * SECOND);
  const replaced = outcome(pool.replaceCredential(credential()));
  await clock.pass(13 * SECOND);
  expect([server.queries.length, server.connections.size]).toEqual([1, 2]);
  answer();
  await clock.pass(SECOND);
  expect(old?.closed).toBe(true);
  expect(pool.stats).toMatchObject({ size: 1, available: 1, renewals: 1 });
  settled(replaced);
});

test('no keepalive carries a reset that the server would refuse, because the token has expired', async () => {
  const { clock, server, provider, opened, aPool } = world;
  const pool = aPool({ ...idle, min: 1, max: 1, idleTimeoutMillis: 24 * HOUR, resetSession: 'always' });
  await opened(pool, 1);
  provider.sticky = new Error('down');
  const request = { sql: 'SELECT name FROM sys.tables', done: () => {} };
  await pool.use((connection) => driven(connection).execSqlBatch(request));
  await clock.pass(55 * MINUTE);
  const before = server.queries.length;
  expect(before).toBeGreaterThan(50);
  await clock.pass(4 * MINUTE + 30 * SECOND);
  await pool.use((connection) => driven(connection).execSqlBatch(request));
  const late = server.queries.length;
  await clock.pass(10 * MINUTE);
  expect(server.queries.length).toBe(late);
});

test('the pool can be closed during a keepalive: nothing is left, and the keepalive is not reported as unanswered', async () => {
  const { clock, server, opened, aPool } = world;
  const pool = aPool({ ...idle, min: 1, max: 1 });
  await opened(pool, 1);
  server.query = () => undefined;
  for (let i = 0; i < 60 && server.queries.length === 0; i += 1) await clock.pass(SECOND);
  const closed = outcome(pool.close());
  await clock.pass(SECOND);
  settled(closed);
  expect(server.connections.size).toBe(0);
  await clock.pass(MINUTE);
  expect(server.queries).toHaveLength(1);
  expect(world.events.filter(({ name }) => name === 'connection:keepalive')).toEqual([]);
});

test('connections that are evicted while an answer is awaited are closed after it', async () => {
  const { clock, server, opened, aPool } = world;
  const pool = aPool({ ...idle, min: 1, max: 1 });
  await opened(pool, 1);
  const { answer } = answersOnDemand();
  for (let i = 0; i < 60 && server.queries.length === 0; i += 1) await clock.pass(SECOND);
  pool.evictAll();
  answer();
  await clock.pass(SECOND);
  expect(pool.stats).toMatchObject({ size: 1, logins: 2, evictions: { 'evicted-by-caller': 1 } });
});

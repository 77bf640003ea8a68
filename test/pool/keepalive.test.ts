import { expect, test } from 'vitest';
import { driven, drivenWorld, MINUTE, SECOND } from '../support/driven-world.js';

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

test('a keepalive is not a use: a connection beyond min is closed when it has been idle for long', async () => {
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

test('a caller who comes while an answer is awaited waits for it, not for a login', async () => {
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

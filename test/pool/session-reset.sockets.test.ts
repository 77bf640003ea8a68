import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { type Connection, ISOLATION_LEVEL, Request } from 'tedious';
import { expect, onTestFinished, test, vi } from 'vitest';
import { createTokenPools, TokenExpiredError, type TokenPoolConfig, type TokenPoolsConfig } from '../../src/index.js';
import { createTestClock, type SqlEmulator } from '../../src/testing/index.js';
import { site } from '../support/pool.js';
import { query } from '../support/query.js';

const ALWAYS = { pool: { resetSession: 'always', max: 1 } } as const;

/** A batch, as `query()` of mssql without parameters sends it; `query` sends sp_executesql. */
function batch(connection: Connection, sql: string): Promise<unknown[][]> {
  return new Promise((resolve, reject) => {
    const rows: unknown[][] = [];
    const request = new Request(sql, (error) => (error ? reject(error) : resolve(rows)));
    request.on('row', (columns: { value: unknown }[]) => rows.push(columns.map(({ value }) => value)));
    connection.execSqlBatch(request);
  });
}

function done(act: (callback: (error?: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => act((error) => (error ? reject(error) : resolve())));
}

function resetsSeen(): { roundTrip: boolean }[] {
  const seen: { roundTrip: boolean }[] = [];
  const onReset = (message: unknown) => seen.push(message as { roundTrip: boolean });
  subscribe('mssql-token-pool:connection:reset', onReset);
  onTestFinished(() => {
    unsubscribe('mssql-token-pool:connection:reset', onReset);
  });
  return seen;
}

const traces: [string, (connection: Connection) => Promise<unknown>][] = [
  ['USE', (connection) => batch(connection, 'USE elsewhere')],
  ['a SET option', (connection) => batch(connection, 'SET LOCK_TIMEOUT 100 SET XACT_ABORT ON SET DATEFIRST 1')],
  ['ANSI options', (connection) => batch(connection, 'SET ANSI_NULLS OFF SET QUOTED_IDENTIFIER OFF')],
  ['session context', (connection) => batch(connection, "EXEC sp_set_session_context N'tenant', 7")],
  ['a temporary table', (connection) => batch(connection, 'CREATE TABLE #t (id int)')],
  ['the isolation level', (connection) => batch(connection, 'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE')],
  [
    'the isolation level of a transaction that is over',
    async (connection) => {
      await done((callback) => connection.beginTransaction(callback, '', ISOLATION_LEVEL.SERIALIZABLE));
      await done((callback) => connection.commitTransaction(callback));
    },
  ],
  ['EXECUTE AS', (connection) => batch(connection, "EXECUTE/* as */ AS USER = 'somebody'")],
  ['an open transaction', (connection) => batch(connection, 'BEGIN TRANSACTION')],
  ['a transaction that SELECT has opened', (connection) => batch(connection, 'SET IMPLICIT_TRANSACTIONS ON')],
];

const STATE =
  "SELECT DB_NAME(), @@LOCK_TIMEOUT, SESSION_CONTEXT(N'tenant'), OBJECT_ID('tempdb..#t'), USER_NAME(), @@TRANCOUNT";

function stateOf(server: SqlEmulator): object {
  const [session] = server.sessions;
  const options = Object.fromEntries(session?.setOptions ?? []);
  return { sessions: server.sessions.length, isolationLevel: session?.isolationLevel, options };
}

test.each(traces)('the next borrower finds no trace of %s', async (_, leave) => {
  await using s = await site();
  const pool = s.pool(ALWAYS);
  const fresh = await pool.use((connection) => query(connection, STATE));
  const initially = stateOf(s.server);

  await pool.use(leave);
  const found = await pool.use((connection) => query(connection, STATE));
  expect(found).toEqual(fresh);
  expect(stateOf(s.server)).toEqual(initially);
});

test.each<[string, TokenPoolConfig['options'], string, string]>([
  ['', {}, 'OFF', 'set transaction isolation level read committed'],
  [' where the server does not restore all of them', { datefirst: 1 }, 'ON', 'set ansi_nulls on'],
])('the options of the first borrower are those of all later ones%s', async (_, options, arithabort, first) => {
  await using s = await site();
  const config = s.server.config();
  const pool = s.pool({ options: { ...config.options, ...options }, ...ALWAYS });
  await pool.use((connection) => query(connection, 'SELECT 1'));
  const initially = stateOf(s.server);
  expect(initially).toMatchObject({ options: { ARITHABORT: arithabort } });
  await pool.use((connection) => query(connection, 'SELECT 1'));
  expect(stateOf(s.server)).toEqual(initially);
  // Reset by a request of its own.
  await pool.use((connection) => batch(connection, 'SET TRANSACTION ISOLATION LEVEL SNAPSHOT'));
  await pool.use(() => undefined);
  expect(stateOf(s.server)).toEqual(initially);
  expect(s.server.queries.at(-1)?.sql).toContain(first);
});

test('without resetSession, the next borrower finds what the last one left, as with mssql', async () => {
  await using s = await site();
  const pool = s.pool({ pool: { max: 1 } });
  await pool.use((connection) => batch(connection, 'USE elsewhere SET LOCK_TIMEOUT 100'));
  const found = await pool.use((connection) => query(connection, 'SELECT DB_NAME(), @@LOCK_TIMEOUT'));
  expect(found).toEqual([['elsewhere', 100]]);
  expect(s.server.sessions[0]?.resets).toBe(0);
});

test('the reset is part of the next request, whatever its kind, and costs no separate request', async () => {
  await using s = await site();
  const seen = resetsSeen();
  const pool = s.pool(ALWAYS);
  await pool.use((connection) => query(connection, 'SELECT 1'));
  await pool.use((connection) => query(connection, 'SELECT 2'));
  await pool.use((connection) => batch(connection, 'SELECT 3'));
  await pool.use(async (connection) => {
    await done((callback) => connection.beginTransaction(callback));
    await batch(connection, 'CREATE TABLE #kept (id int)');
    await query(connection, "SELECT OBJECT_ID('tempdb..#kept')");
    await done((callback) => connection.commitTransaction(callback));
  });
  // One that makes no request leaves nothing to reset.
  await pool.use(() => undefined);
  expect(s.server.sessions[0]?.resets).toBe(3);
  expect(seen.map(({ roundTrip }) => roundTrip)).toEqual([false, false, false]);
  expect(s.server.queries.map(({ sql }) => sql).filter((sql) => /^SELECT \d/.test(sql))).toEqual([
    'SELECT 1',
    'SELECT 2',
    'SELECT 3',
  ]);
  expect(s.server.queries.filter(({ sql }) => /^set /.test(sql))).toHaveLength(1);
});

test('a borrower keeps its own settings for as long as it has the connection', async () => {
  await using s = await site();
  const pool = s.pool(ALWAYS);
  await pool.use((connection) => query(connection, 'SELECT 1'));
  const found = await pool.use(async (connection) => {
    await batch(connection, 'USE elsewhere SET TRANSACTION ISOLATION LEVEL SNAPSHOT');
    await batch(connection, 'CREATE TABLE #t (id int)');
    return query(connection, "SELECT DB_NAME(), CASE WHEN OBJECT_ID('tempdb..#t') IS NULL THEN 0 ELSE 1 END");
  });
  expect(found).toEqual([['elsewhere', 1]]);
});

test('a separate reset precedes the next request if the isolation level was changed', async () => {
  await using s = await site();
  const seen = resetsSeen();
  const pool = s.pool(ALWAYS);
  await pool.use((connection) => batch(connection, 'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE'));
  const [first, second] = await Promise.all([
    pool.use((connection) => query(connection, 'SELECT 1')),
    pool.use((connection) => query(connection, 'SELECT 2')),
  ]);
  expect([first, second]).toEqual([[[1]], [[2]]]);
  expect(seen.map(({ roundTrip }) => roundTrip)).toEqual([true, false]);
  expect(s.server.sessions[0]?.isolationLevel).toBe('READ COMMITTED');
});

test("the application's own options of tedious survive a reset", async () => {
  await using s = await site();
  const config = s.server.config();
  const pool = s.pool({
    options: {
      ...config.options,
      abortTransactionOnError: true,
      connectionIsolationLevel: ISOLATION_LEVEL.SNAPSHOT as number,
      datefirst: 1,
    },
    ...ALWAYS,
  });
  await pool.use((connection) => query(connection, 'SELECT 1'));
  await pool.use((connection) => query(connection, 'SELECT 1'));
  const [session] = s.server.sessions;
  expect(session?.resets).toBeGreaterThan(0);
  expect(session?.isolationLevel).toBe('SNAPSHOT');
  expect(session?.setOptions.get('XACT_ABORT')).toBe('ON');
  expect(session?.setOptions.get('DATEFIRST')).toBe('1');
});

test('a session that the server cannot reset is replaced without an error for the next borrower', async () => {
  await using s = await site();
  const pool = s.pool(ALWAYS);
  await pool.use((connection) => batch(connection, "EXECUTE AS USER = 'somebody'"));
  const found = await pool.use((connection) => query(connection, 'SELECT 1'));
  expect(found).toEqual([[1]]);
  expect(s.server.logins).toHaveLength(2);
  expect(pool.stats.evictions).toEqual({ 'reset-failed': 1 });
});

test('several sessions that cannot be reset do not count as a failover', async () => {
  await using s = await site();
  const failovers: unknown[] = [];
  const onFailover = (message: unknown) => failovers.push(message);
  subscribe('mssql-token-pool:pool:failover', onFailover);
  onTestFinished(() => {
    unsubscribe('mssql-token-pool:pool:failover', onFailover);
  });
  const pool = s.pool({ pool: { resetSession: 'always', max: 4 } });
  const connections = await Promise.all(Array.from({ length: 4 }, () => pool.acquire()));
  for (const connection of connections.slice(0, 3)) await batch(connection, "EXECUTE AS USER = 'somebody'");
  for (const connection of connections) pool.release(connection);
  await expect.poll(() => pool.stats.evictions, { timeout: 10_000 }).toEqual({ 'reset-failed': 3 });
  expect(failovers).toEqual([]);
  expect(pool.stats.size).toBe(1);
});

test('a connection that is used after it was returned is closed, so that no borrower finds the traces', async () => {
  await using s = await site();
  const pool = s.pool(ALWAYS);
  let kept: Connection | undefined;
  await pool.use(async (connection) => {
    kept = connection;
    await query(connection, 'SELECT 1');
  });
  await expect(batch(kept as Connection, 'USE elsewhere')).rejects.toMatchObject({ code: 'EINVALIDSTATE' });
  expect(await pool.use((connection) => query(connection, 'SELECT DB_NAME()'))).not.toEqual([['elsewhere']]);
  expect(pool.stats).toMatchObject({ logins: 2, evictions: { misused: 1 } });
});

test("the pool's own requests on an idle connection are not a misuse", async () => {
  await using s = await site();
  const pool = s.pool({
    validateConnection: true,
    pool: {
      resetSession: 'always',
      max: 1,
      min: 1,
      keepaliveMillis: 50,
      validate: (c) => batch(c, 'SELECT 1').then(() => true),
    },
  });
  let keepalives = 0;
  const onKeepalive = () => {
    keepalives += 1;
  };
  subscribe('mssql-token-pool:connection:keepalive', onKeepalive);
  onTestFinished(() => {
    unsubscribe('mssql-token-pool:connection:keepalive', onKeepalive);
  });
  for (let i = 1; i <= 3; i += 1) {
    await pool.use((connection) => batch(connection, 'SELECT 1'));
    await expect.poll(() => keepalives, { timeout: 10_000 }).toBeGreaterThanOrEqual(i);
  }
  expect(pool.stats).toMatchObject({ logins: 1, evictions: {} });
});

test('a request that was cancelled before it was sent does not use up the reset', async () => {
  await using s = await site();
  const pool = s.pool(ALWAYS);
  await pool.use((connection) => batch(connection, 'USE elsewhere'));
  const found = await pool.use(async (connection) => {
    const cancelled = new Promise((resolve) => {
      const request = new Request(`SELECT '${'x'.repeat(100_000)}'`, resolve);
      connection.execSqlBatch(request);
      request.cancel();
    });
    expect(await cancelled).toMatchObject({ code: 'ECANCEL' });
    return query(connection, 'SELECT DB_NAME()');
  });
  expect(found).not.toEqual([['elsewhere']]);
});

test('the identity provider is down: a session on an expired token is not handed out to be refused', async () => {
  await using s = await site({ entra: { tokenLifetimeSeconds: 2 }, server: { enforceExpiry: 'reset' } });
  const pool = s.pool({ pool: { resetSession: 'always', max: 1, acquireTimeoutMillis: 3_000 } });
  await pool.use((connection) => query(connection, 'SELECT 1'));
  s.entra.fail({ status: 503 });
  await vi.waitFor(
    async () => {
      const failure = await pool
        .use((connection) => query(connection, 'SELECT 1'))
        .then(
          () => undefined,
          (error: unknown) => error,
        );
      expect(failure).toBeInstanceOf(TokenExpiredError);
      expect((failure as Error).cause).toMatchObject({ status: 503 });
    },
    { timeout: 20_000, interval: 50 },
  );
  s.entra.heal();
});

test('sessions are reset across many token lifetimes without an error for any borrower', async () => {
  await using s = await site({ entra: { tokenLifetimeSeconds: 2 }, server: { enforceExpiry: 'reset' } });
  const pool = s.pool({ pool: { resetSession: 'always', max: 2 } });
  while (s.server.logins.length < 5) {
    await pool.use((connection) => query(connection, 'SELECT 1'));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect(s.server.logins.every(({ error }) => error === undefined)).toBe(true);
});

test('a token that the server refuses at a reset is not used again, nor are the other sessions on it', async () => {
  const clock = createTestClock();
  await using s = await site({ entra: { now: clock.now }, server: { now: clock.now, enforceExpiry: 'reset' } });
  const pool = s.pool({ pool: { resetSession: 'always', max: 2 } });
  const both = async () => {
    const connections = await Promise.all([pool.acquire(), pool.acquire()]);
    const answers = await Promise.allSettled(connections.map((connection) => query(connection, 'SELECT 1')));
    for (const connection of connections) pool.release(connection);
    return answers.map(({ status }) => status);
  };
  await both();
  clock.advance(2 * 3_600_000);
  const [first] = await Promise.allSettled([pool.use((connection) => query(connection, 'SELECT 1'))]);
  expect(first).toMatchObject({ status: 'rejected', reason: { number: 18456 } });
  expect(pool.stats.evictions).toEqual({ 'token-invalidated': 2 });
  expect(await both()).toEqual(['fulfilled', 'fulfilled']);
});

test('createTokenPools resets sessions by default', async () => {
  await using s = await site();
  const { authentication: _, ...config } = s.server.config();
  for (const resetSession of ['never', undefined] as const) {
    await using pools = createTokenPools({ ...(config as TokenPoolsConfig), pool: { max: 1, resetSession } });
    const user = pools.for({ key: 'a', authentication: s.entra.credential() });
    await user.use((connection) => batch(connection, 'USE elsewhere'));
    const [[name] = []] = await user.use((connection) => query(connection, 'SELECT DB_NAME()'));
    expect(name === 'elsewhere').toBe(resetSession === 'never');
  }
});

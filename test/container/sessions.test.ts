import assert from 'node:assert/strict';
import { once } from 'node:events';
import sql from 'mssql';
import { Connection } from 'tedious';
import { describe, expect, test } from 'vitest';
import { inDatabase, restartServer, sameBothWays, serverUnderTest, skip, useSite } from './server-under-test.js';

const site = useSite();

describe('a request', () => {
  sameBothWays('is cancelled, and its connection goes on', site, async (pool) => {
    await pool.query('SELECT 1 AS one');
    const request = pool.request();
    const waiting = request.query("WAITFOR DELAY '00:00:30'").then(
      () => assert.fail('it was not cancelled'),
      (error) => error,
    );
    setTimeout(() => request.cancel(), 200);
    assert.equal((await waiting).code, 'ECANCEL');
    assert.deepEqual([...(await pool.query('SELECT 1 AS one')).recordset], [{ one: 1 }]);
  });

  sameBothWays('whose session is killed fails, and the pool goes on', site, async (pool) => {
    const transaction = pool.transaction();
    transaction.on('rollback', () => {});
    await transaction.begin();
    const { recordset } = await transaction.request().query('SELECT @@SPID AS spid');
    await pool.query(`KILL ${recordset[0].spid}`);
    await assert.rejects(transaction.request().query('SELECT 1'));
    await transaction.rollback().catch(() => {});
    assert.deepEqual([...(await pool.query('SELECT 1 AS one')).recordset], [{ one: 1 }]);
  });
});

describe('a session', () => {
  /** A tedious connection by the config of mssql. */
  async function connected(config: sql.config): Promise<Connection> {
    const { server, port, user, password, database, authentication, options } = config;
    const login = authentication ?? { type: 'default', options: { userName: user, password } };
    const connection = new Connection({
      server,
      authentication: login as never,
      options: { port, database, ...(options as object) },
    } as never);
    await new Promise<void>((resolve, reject) => connection.connect((error) => (error ? reject(error) : resolve())));
    return connection;
  }

  test('is like new after a reset', async (context) => {
    const outcomes = [];
    for (const config of [site.direct(), site.through()]) {
      const connection = await connected(config);
      const { query } = await import('../support/query.js');
      await query(connection, 'USE master');
      await new Promise<void>((resolve, reject) => connection.reset((error) => (error ? reject(error) : resolve())));
      outcomes.push(await query(connection, 'SELECT DB_NAME(), @@TRANCOUNT'));
      connection.close();
    }
    expect(outcomes[1]).toEqual(outcomes[0]);
    if (outcomes[0]?.[0]?.[0] !== site.database) skip(context, 'the server does not go back to the first database');
  });

  test('ends on the server when its client disconnects', async () => {
    const count = () =>
      inDatabase(site.direct(), async (pool) => {
        const { recordset } = await pool
          .request()
          .query("SELECT COUNT(DISTINCT spid) AS n FROM sys.sysprocesses WHERE program_name = 'the one that goes'");
        return recordset[0].n as number;
      });
    const connection = await connected(site.through({ options: { appName: 'the one that goes' } }));
    const before = await count();
    connection.close();
    await once(connection, 'end');
    await expect.poll(count, { timeout: 10_000 }).toBeLessThanOrEqual(Math.max(0, before - 1));
  });

  test('ends on the client when the gateway cuts it', async () => {
    const connection = await connected(site.through());
    connection.on('error', () => {});
    const ended = once(connection, 'end');
    site.gateway.dropConnections();
    await ended;
  });
});

describe('a restart of the server', () => {
  test('is survived by the gateway, and by a pool that dials again', async (context) => {
    const { restart } = serverUnderTest();
    if (restart === undefined) skip(context, 'no --restart command was given');
    const pool = await new sql.ConnectionPool(site.through()).connect();
    pool.on('error', () => {});
    await pool.query('SELECT 1 AS one');
    await restartServer(restart);
    await expect
      .poll(
        () =>
          pool.query('SELECT 1 AS one').then(
            (r) => r.recordset[0].one,
            (error) => error.message,
          ),
        {
          timeout: 60_000,
          interval: 500,
        },
      )
      .toBe(1);
    await pool.close();
  }, 180_000);
});

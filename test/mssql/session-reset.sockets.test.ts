import { expect, test } from 'vitest';
import { named } from '../support/named.js';
import { useEmulators, ways } from './three-ways.js';

const emulators = useEmulators();

test.each(named(ways))('%s: the next request finds nothing of the last one', async (_, way) => {
  const { entra, server } = emulators;
  const config = { ...server.config(), authentication: entra.credential(), pool: { max: 1, resetSession: 'always' } };
  const pool = await way.open(config as never);
  try {
    // What query() sets ends with it, because mssql sends it with sp_executesql; what batch() sets stays.
    await pool.request().batch('USE elsewhere SET LOCK_TIMEOUT 100');
    await pool.query("EXEC sp_set_session_context N'tenant', 7");
    const { recordset } = await pool.query(
      "SELECT DB_NAME() AS name, @@LOCK_TIMEOUT AS wait, SESSION_CONTEXT(N'tenant') AS t",
    );
    expect(recordset[0]).toEqual({ name: 'master', wait: -1, t: null });

    const transaction = new way.sql.Transaction(pool);
    await transaction.begin(way.sql.ISOLATION_LEVEL.SERIALIZABLE);
    await transaction.request().query('SELECT 1 AS one');
    await transaction.commit();
    await pool.request().input('one', 1).query('SELECT @one AS one');
    expect(server.sessions.at(-1)?.isolationLevel).toBe('READ COMMITTED');
    expect(server.sessions.at(-1)?.resets).toBeGreaterThanOrEqual(3);
  } finally {
    await pool.close();
  }
});

test.each(named(ways))('%s: sessions are not reset unless it is set, as with mssql', async (_, way) => {
  const { entra, server } = emulators;
  const config = { ...server.config(), authentication: entra.credential(), pool: { max: 1 } };
  const pool = await way.open(config as never);
  try {
    await pool.request().batch('USE elsewhere');
    const { recordset } = await pool.query('SELECT DB_NAME() AS name');
    expect(recordset[0]).toEqual({ name: 'elsewhere' });
    expect(server.sessions.at(-1)?.resets).toBe(0);
  } finally {
    await pool.close();
  }
});

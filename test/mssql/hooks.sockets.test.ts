import type { Connection } from 'tedious';
import { describe, expect, test } from 'vitest';
import { named } from '../support/named.js';
import { stockMssql, useEmulators, ways, withPool } from './three-ways.js';

const emulators = useEmulators();

describe.each(named([stockMssql, ...ways]))('hooks of the config with %s', (_, way) => {
  test('beforeConnect is called with every connection before it logs in', async () => {
    const seen: string[] = [];
    const beforeConnect = (connection: Connection) => {
      seen.push('before');
      connection.once('connect', (error) => seen.push(error ? 'failed' : 'connected'));
    };
    await withPool(way, emulators.server.config({ beforeConnect, pool: { max: 2 } }), async (pool) => {
      await Promise.all([pool.query("WAITFOR DELAY '00:00:00.050'"), pool.query("WAITFOR DELAY '00:00:00.050'")]);
    });
    expect(seen.slice(0, 2)).toEqual(['before', 'connected']);
    expect(seen.filter((what) => what === 'before').length).toBeGreaterThanOrEqual(2);
    expect(seen).not.toContain('failed');
  });

  test('pool.validate decides about a connection, even later', async () => {
    let refuse: unknown;
    const validate = (connection: Connection) => connection !== refuse;
    await withPool(way, emulators.server.config({ pool: { max: 1, validate } }), async (pool) => {
      const spid = async () => (await pool.query('SELECT @@SPID AS spid')).recordset[0].spid;
      const first = await spid();
      expect(await spid()).toBe(first);
      const { promise } = pool.pool.acquire();
      refuse = await promise;
      pool.pool.release(refuse as Connection);
      expect(await spid()).not.toBe(first);
    });
  });

  test.each([true, 'socket', false] as const)(
    'validateConnection: %s notices a connection that was cut',
    async (validateConnection) => {
      await withPool(way, emulators.server.config({ validateConnection, pool: { max: 1 } }), async (pool) => {
        await pool.query('SELECT 1');
        emulators.server.dropConnections();
        // The reset has to arrive here first; mode true would not need that.
        await new Promise((resolve) => setTimeout(resolve, 20));
        expect((await pool.query('SELECT 1 AS ok')).recordset).toEqual([{ ok: 1 }]);
      });
    },
  );
});

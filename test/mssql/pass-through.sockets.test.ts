import { createRequire } from 'node:module';
import stock from 'mssql';
import { describe, expect, test } from 'vitest';
import type { TokenPoolConfig } from '../../src/connections/config.js';
import sql from '../../src/mssql/index.js';
import { withoutTokenRefresh, withTokenRefresh } from '../../src/mssql/with-token-refresh.js';
import { named } from '../support/named.js';
import { useEmulators, ways, withPool } from './three-ways.js';

const { cloneDeep } = createRequire(import.meta.url)('lodash') as { cloneDeep(config: object): object };

const emulators = useEmulators({ server: { users: { app: 'S3cret!!' } } });

describe('logins without a token', () => {
  const configs = [
    { server: 'db', user: 'sa', password: 'x' },
    { server: 'db', authentication: { type: 'default', options: { userName: 'sa', password: 'x' } } },
    { server: 'db', domain: 'CORP', user: 'me', password: 'x' },
    { server: 'db', authentication: { type: 'ntlm', options: { domain: 'CORP', userName: 'me', password: 'x' } } },
  ];

  test('withTokenRefresh adds its two hooks to SQL login and NTLM configs, and hides the password', () => {
    for (const config of configs) {
      const before = structuredClone(config);
      const given = withTokenRefresh(config as TokenPoolConfig);
      const { beforeConnect, pool, ...rest } = given;
      expect(rest).toEqual(
        JSON.parse(JSON.stringify(config, (key, value) => (key === 'password' ? undefined : value))),
      );
      expect(given).toMatchObject(config);
      expect(beforeConnect).toBeTypeOf('function');
      expect(pool).toEqual({ validate: expect.any(Function) });
      expect(config).toEqual(before);
    }
    const text = 'Server=db;User Id=sa;Password=x';
    expect(withTokenRefresh(text)).toMatchObject({ server: 'db', user: 'sa', password: 'x' });
  });

  test('applying it twice is the same as once, and the drop-in takes it as it was', () => {
    const hook = () => undefined;
    for (const config of configs) {
      const given = { ...config, beforeConnect: hook, pool: { max: 3, validate: () => true } } as TokenPoolConfig;
      const once = withTokenRefresh(given);
      expect(withoutTokenRefresh(once as never)).toMatchObject(given);
      expect(withoutTokenRefresh(withTokenRefresh(once as never) as never)).toMatchObject(given);
    }
  });

  test.each(named(ways))('a SQL login works through %s', async (_, way) => {
    const rows = await withPool(way, emulators.server.config({ user: 'app', password: 'S3cret!!' }), (pool) =>
      pool.query('SELECT SUSER_SNAME() AS name'),
    );
    expect(rows.recordset).toEqual([{ name: 'app' }]);
    expect(emulators.entra.requests).toEqual([]);
  });

  test.each([
    ['spread', (config: object) => ({ ...config })],
    ['lodash', cloneDeep],
  ])('SQL login through a copy of what withTokenRefresh returns (%s), which holds no password', async (_, copy) => {
    const config = copy(withTokenRefresh(emulators.server.config({ user: 'app', password: 'S3cret!!' }) as never));
    const pool = await new stock.ConnectionPool(config as never).connect();
    expect((await pool.query('SELECT SUSER_SNAME() AS name')).recordset).toEqual([{ name: 'app' }]);
    await pool.close();
  });

  test('a connection string with SQL login', async () => {
    const { server } = emulators;
    const pool = new sql.ConnectionPool(
      `Server=tcp:localhost,${server.port};Database=shop;User Id=app;Password=S3cret!!;Encrypt=true`,
    );
    Object.assign(pool.config.options as object, server.config().options);
    await pool.connect();
    expect((await pool.query('SELECT DB_NAME() AS name')).recordset).toEqual([{ name: 'shop' }]);
    await pool.close();
  });

  test.each(named(ways))('a wrong password is refused through %s', async (_, way) => {
    const error = await way.open(emulators.server.config({ user: 'app', password: 'wrong' })).catch((e) => e);
    expect(error).toBeInstanceOf(way.sql.ConnectionError);
    expect(error.code).toBe('ELOGIN');
  });
});

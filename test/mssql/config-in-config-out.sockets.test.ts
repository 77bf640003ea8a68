import { describe, expect, test } from 'vitest';
import { encryptedTokenStore } from '../../src/index.js';
import { withTokenRefresh } from '../../src/mssql/with-token-refresh.js';
import { MemoryStore } from '../tokens/memory-store.js';
import { stock, useEmulators } from './three-ways.js';

const emulators = useEmulators();
type Stock = import('mssql').config;

function frozen<T extends object>(object: T): T {
  for (const value of Object.values(object)) if (typeof value === 'object' && value !== null) frozen(value);
  return Object.freeze(object);
}

async function ask(config: Stock): Promise<unknown> {
  const pool = await new stock.ConnectionPool(config).connect();
  try {
    return (await pool.query('SELECT 1 AS ok')).recordset;
  } finally {
    await pool.close();
  }
}

describe('withTokenRefresh: config in, config out', () => {
  test('does not change its input, which may be frozen', async () => {
    const config = frozen(emulators.server.config({ pool: { max: 3, maxAgeMillis: 1000 } }));
    expect(await ask(withTokenRefresh(config))).toEqual([{ ok: 1 }]);
  });

  test('returns only keys that mssql and its pool know', () => {
    const refreshing = withTokenRefresh({
      ...emulators.server.config(),
      scope: 'https://database.windows.net/.default',
      strictExpiry: true,
      tokenStore: encryptedTokenStore(new MemoryStore(), { keys: Buffer.alloc(32) }).named('x'),
      clientId: 'x',
      pool: { max: 3, min: 1, overlap: 2, maxRenewals: 1, maxAgeMillis: 5, maxOpening: 2, leakDetectionMillis: 9 },
      stream: true,
    });
    expect(Object.keys(refreshing).sort()).toEqual([
      'authentication',
      'beforeConnect',
      'options',
      'pool',
      'port',
      'server',
      'stream',
    ]);
    expect(Object.keys(refreshing.pool).sort()).toEqual(['max', 'min', 'validate']);
    expect(refreshing.options).toMatchObject({ encrypt: true, maxRetriesOnTransientErrors: 0 });
  });

  test("accepts 'host,port' as the server, which mssql reads as a name", async () => {
    const { server, port, ...rest } = emulators.server.config();
    expect(await ask(withTokenRefresh({ ...rest, server: `tcp:${server},${port}` }))).toEqual([{ ok: 1 }]);
    expect(await ask(withTokenRefresh(withTokenRefresh({ ...rest, server: `${server},${port}` })))).toEqual([
      { ok: 1 },
    ]);
  });

  test('works in sql.connect()', async () => {
    const pool = await stock.connect(withTokenRefresh(emulators.server.config()));
    expect((await stock.query`SELECT 1 AS ok`).recordset).toEqual([{ ok: 1 }]);
    await pool.close();
  });

  test('a spread copy works, and shares the tokens', async () => {
    const before = emulators.entra.requests.length;
    const refreshing = withTokenRefresh(emulators.server.config());
    expect(await ask({ ...refreshing })).toEqual([{ ok: 1 }]);
    expect(await ask({ ...refreshing, options: { ...refreshing.options } })).toEqual([{ ok: 1 }]);
    expect(emulators.entra.requests.length - before).toBe(1);
  });

  test('applying it twice is the same as applying it once', async () => {
    let hooked = 0;
    let validated = 0;
    const once = withTokenRefresh({
      ...emulators.server.config(),
      connectionTimeout: 2000,
      beforeConnect: () => {
        hooked += 1;
      },
      pool: {
        validate: () => {
          validated += 1;
          return true;
        },
      },
    });
    const twice = withTokenRefresh({ ...withTokenRefresh(once), pool: { ...once.pool, max: 2 } });
    expect(Object.keys(twice).sort()).toEqual(Object.keys(once).sort());
    expect(twice.options).toEqual(once.options);
    expect(await ask(twice)).toEqual([{ ok: 1 }]);
    // The probe and the connection; one checkout of a new connection.
    expect({ hooked, validated }).toEqual({ hooked: 2, validated: 1 });
  });

  test('gives a login its own time for the token only while there is none', async () => {
    const refreshing = withTokenRefresh({ ...emulators.server.config(), connectionTimeout: 2000 });
    expect(refreshing.options.connectTimeout).toBe(12_000);
    await ask(refreshing);
    expect(refreshing.options.connectTimeout).toBe(2000);
  });

  test('reports a copy of the config that has lost the hook', async () => {
    const { beforeConnect: _, ...lost } = withTokenRefresh(emulators.server.config());
    const error = (await ask(lost as Stock).catch((e) => e)) as Error;
    expect(error.message).toMatch(/its beforeConnect hook is missing/);
  });

  test('refuses invalid options at once', () => {
    const credential = emulators.entra.credential();
    expect(() => withTokenRefresh({ server: '', authentication: credential })).toThrow(/server/);
    expect(() => withTokenRefresh({ server: 'db', authentication: credential, options: { encrypt: false } })).toThrow(
      /encrypt/,
    );
  });

  test('never turns on the debug output that holds the token', () => {
    const refreshing = withTokenRefresh({ ...emulators.server.config(), debug: true } as never) as {
      options: { debug: object };
    };
    expect(refreshing.options.debug).toEqual({ packet: true, token: true, data: false, payload: false });
  });
});

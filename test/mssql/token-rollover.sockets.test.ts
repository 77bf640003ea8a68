import { describe, expect, test } from 'vitest';
import type { AccessToken, TokenCredential } from '../../src/index.js';
import { clockPerTest } from '../support/clock-per-test.js';
import { named } from '../support/named.js';
import { type Config, type StockPool, useEmulators, ways, withPool } from './three-ways.js';

const emulators = useEmulators({ server: { now: () => Date.now() } });
const HOUR = 3_600_000;
const MINUTE = 60_000;

// Only the clocks are driven: sockets and timers are real.
const clock = clockPerTest('now', { timers: false });

/** Issues tokens that are valid for one hour, unless it is down. */
function hourly(): TokenCredential & { asked: number; down: boolean } {
  return {
    asked: 0,
    down: false,
    async getToken(): Promise<AccessToken> {
      if (this.down) throw new Error('no answer');
      this.asked += 1;
      const token = emulators.entra.issueToken({ expiresInSeconds: HOUR / 1000, claims: { n: this.asked } });
      return { token, expiresOnTimestamp: Date.now() + HOUR };
    },
  };
}

const config = (credential: TokenCredential, overrides: Partial<Config> = {}) =>
  ({ ...emulators.server.config(), authentication: credential, pool: { max: 1 }, ...overrides }) as Config;
const session = async (pool: StockPool) => (await pool.query('SELECT @@SPID AS spid')).recordset[0].spid as number;

describe.each(named(ways))('tokens that run out, with %s', (_, way) => {
  test('a connection stays in the pool while its token is valid', async () => {
    await withPool(way, config(hourly()), async (pool) => {
      const first = await session(pool);
      clock.freeze(20 * MINUTE);
      expect(await session(pool)).toBe(first);
    });
  });

  test('a connection near the end of its token is replaced once there is a later token', async () => {
    const credential = hourly();
    await withPool(way, config(credential), async (pool) => {
      const first = await session(pool);
      clock.freeze(57 * MINUTE);
      await session(pool);
      await expect.poll(() => credential.asked).toBe(2);
      await expect.poll(() => session(pool)).not.toBe(first);
      expect(emulators.server.logins.at(-1)?.tokenExpiry).toBeGreaterThan(Date.now() + 55 * MINUTE);
      const second = await session(pool);
      expect(await session(pool)).toBe(second);
    });
  });

  test('a connection whose token expired while the process slept is not handed out', async () => {
    await withPool(way, config(hourly()), async (pool) => {
      const first = await session(pool);
      clock.freeze(2 * HOUR);
      expect(await session(pool)).not.toBe(first);
    });
  });

  test('with the identity provider down, an open connection stays in use', async () => {
    const credential = hourly();
    await withPool(way, config(credential), async (pool) => {
      const first = await session(pool);
      credential.down = true;
      clock.freeze(2 * HOUR);
      expect(await session(pool)).toBe(first);
    });
  });

  test('strictExpiry refuses the connection then, with the reason', async () => {
    const credential = hourly();
    await withPool(way, config(credential, { strictExpiry: true }), async (pool) => {
      pool.on('error', () => {});
      await session(pool);
      credential.down = true;
      clock.freeze(2 * HOUR);
      const error = await pool.query('SELECT 1').catch((e) => e);
      expect(error).toBeInstanceOf(way.sql.ConnectionError);
      expect(error.code).toBe('EFEDAUTH');
      expect(error.message).not.toBe('');
    });
  });

  test('a connection older than maxAgeMillis is replaced', async () => {
    await withPool(way, config(hourly(), { pool: { max: 1, maxAgeMillis: 10 * MINUTE } }), async (pool) => {
      const first = await session(pool);
      clock.freeze(8 * MINUTE);
      expect(await session(pool)).toBe(first);
      clock.freeze(2 * MINUTE);
      expect(await session(pool)).not.toBe(first);
    });
  });

  test('no connection is replaced for a token that does not expire later', async () => {
    const credential = hourly();
    const { token, expiresOnTimestamp } = (await credential.getToken('')) as AccessToken;
    const same = { getToken: async () => ({ token, expiresOnTimestamp }) };
    await withPool(way, config(same), async (pool) => {
      const first = await session(pool);
      clock.freeze(58 * MINUTE);
      for (let i = 0; i < 5; i += 1) expect(await session(pool)).toBe(first);
    });
  });

  test('a token that the server calls expired is discarded', async () => {
    const credential = hourly();
    await withPool(way, config(credential), async (pool) => {
      pool.on('error', () => {});
      await session(pool);
      emulators.server.failLogins({ number: 18456, state: 233, class: 14, message: 'Token is expired.', count: 1 });
      emulators.server.dropConnections();
      // Stock mssql has no second attempt: the caller after this one gets the fresh token.
      await pool.query('SELECT 1').catch(() => {});
      expect((await pool.query('SELECT 1 AS ok')).recordset).toEqual([{ ok: 1 }]);
      expect(credential.asked).toBe(2);
    });
  });
});

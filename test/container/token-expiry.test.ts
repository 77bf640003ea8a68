import stock from 'mssql';
import { describe, expect, test } from 'vitest';
import { ConnectionPool } from '../../src/mssql/index.js';
import { useSite } from './server-under-test.js';

const LIFETIME_SECONDS = 3;
const LOAD_MS = 10_000;

/** Works on a real server for several token lifetimes, and returns the errors. */
async function load(pool: stock.ConnectionPool): Promise<string[]> {
  const errors: string[] = [];
  const until = Date.now() + LOAD_MS;
  const one = async (): Promise<void> => {
    while (Date.now() < until) {
      try {
        const { recordset } = await pool.request().input('n', stock.Int, 20).query('SELECT @n + 1 AS n');
        if (recordset[0].n !== 21) errors.push('a wrong result');
        const transaction = pool.transaction();
        await transaction.begin();
        try {
          await transaction.request().query('SELECT 1 AS one');
          await transaction.commit();
        } catch (error) {
          await transaction.rollback().catch(() => {});
          throw error;
        }
      } catch (error) {
        errors.push((error as Error).message);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  await Promise.all([one(), one(), one()]);
  return errors;
}

describe('on a real server whose gateway enforces expiry at every query', () => {
  const site = useSite({ enforceExpiry: 'query', tokenLifetimeSeconds: LIFETIME_SECONDS });

  test('our pool survives several token expiries without an error', async () => {
    const pool = await new ConnectionPool(site.through() as never).connect();
    const errors = await load(pool as unknown as stock.ConnectionPool);
    const closedAt = Date.now();
    await pool.close();
    expect(errors).toEqual([]);
    // A login that was still under way when the pool closed was not refused.
    const refused = site.gateway.logins.filter(
      ({ error, closed = 0 }) => error !== undefined && !(error === 'dropped' && closed >= closedAt),
    );
    expect(refused).toEqual([]);
  });

  test('stock mssql does not, unless it validates before each query', async () => {
    // Its default, a SELECT 1 at each checkout, finds out what has expired; only what expires after that fails, now and then.
    const pool = await new stock.ConnectionPool({ ...site.through(), validateConnection: 'socket' } as never).connect();
    pool.on('error', () => {});
    const errors = await load(pool);
    await pool.close();
    expect(errors.length).toBeGreaterThan(0);
    expect(errors[0]).toContain('access token is expired');
  });
});

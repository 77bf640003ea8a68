import knex from 'knex';
import { CompiledQuery, Kysely, MssqlDialect } from 'kysely';
import { DataSource } from 'typeorm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTokenPool, type TokenPool } from '../../src/index.js';
import sql from '../../src/mssql/index.js';
import { knexConfig } from '../../src/orm/knex.js';
import { dialectConfig } from '../../src/orm/kysely.js';
import { dataSourceOptions } from '../../src/orm/typeorm.js';
import { type EntraEmulator, type SqlEmulator, startEntraEmulator, startSqlEmulator } from '../../src/testing/index.js';
import { query as runQuery } from '../support/query.js';

const SPID = 'SELECT @@SPID AS spid';
const PATIENT = { timeout: 10_000 };

let entra: EntraEmulator;
let server: SqlEmulator;
beforeAll(async () => {
  entra = await startEntraEmulator();
  server = await startSqlEmulator({ entra });
});
afterAll(async () => {
  await server.close();
  await entra.close();
});

/** A client of a pool: a query in it, and its end. */
type Client = { run: () => Promise<unknown>; close: () => Promise<unknown> };

const CLIENTS: Record<string, (pool: TokenPool) => Promise<Client>> = {
  async 'the pool itself'(pool) {
    return { run: () => pool.use((connection) => runQuery(connection, SPID)), close: async () => {} };
  },
  async mssql(pool) {
    const db = await new sql.ConnectionPool(pool).connect();
    expect(db.tokenPool).toBe(pool);
    return { run: () => db.query(SPID), close: () => db.close() };
  },
  async knex(pool) {
    const db = knex(knexConfig(pool));
    return { run: async () => await db.raw(SPID), close: () => db.destroy() };
  },
  async Kysely(pool) {
    const db = new Kysely({ dialect: new MssqlDialect(dialectConfig(pool)) });
    return { run: () => db.executeQuery(CompiledQuery.raw(SPID)), close: () => db.destroy() };
  },
  async TypeORM(pool) {
    const db = await new DataSource(dataSourceOptions(pool)).initialize();
    return { run: () => db.query(SPID), close: () => db.destroy() };
  },
};

const authentication = (clientSecret: () => string) => {
  const { tenantId, clientId, url: authority } = entra;
  return { tenantId, clientId, clientSecret, authority };
};

test.each(Object.keys(CLIENTS))(
  '%s: connections and credential are exchanged under load without an error',
  async (name) => {
    let withOld = 0;
    const old = authentication(() => {
      withOld += 1;
      return entra.clientSecret;
    });
    const config = server.config({ pool: { max: 3, maxOpening: 1, acquireTimeoutMillis: 20_000 } });
    const pool = createTokenPool({ ...config, authentication: old } as never);
    const client = await (CLIENTS[name] as (pool: TokenPool) => Promise<Client>)(pool);
    let isOver = false;
    let served = 0;
    const callers = Array.from({ length: 6 }, async () => {
      while (!isOver) {
        await client.run();
        served += 1;
      }
    });
    const servedMore = async (): Promise<void> => {
      const before = served;
      await expect.poll(() => served, PATIENT).toBeGreaterThan(before + 10);
    };
    await servedMore();

    const { size } = pool.stats;
    pool.evictAll({ reason: 'test' });
    await servedMore();
    await expect.poll(() => pool.stats.evictions['evicted-by-caller'], PATIENT).toBeGreaterThanOrEqual(size);

    const askedBefore = withOld;
    await pool.replaceCredential(authentication(() => entra.clientSecret) as never);
    await expect.poll(() => pool.stats.renewals, PATIENT).toBeGreaterThan(0);
    await servedMore();
    expect(withOld).toBe(askedBefore);

    pool.suspend();
    await expect.poll(() => pool.stats.borrowed, PATIENT).toBe(0);
    const whileSuspended = served;
    expect(pool.health()).toMatchObject({ status: 'degraded', reasons: [{ code: 'suspended' }] });
    pool.evictAll({ reason: 'maintenance' });
    await expect.poll(() => pool.stats.size, PATIENT).toBe(0);
    expect(served).toBe(whileSuspended);
    pool.resume();
    await servedMore();

    isOver = true;
    await Promise.all(callers);
    expect(pool.health()).toEqual({ status: 'ok', reasons: [] });
    expect(pool.stats.failedLogins).toBe(0);
    await client.close();
    await pool.close();
  },
);

test('the drop-in exposes its pool: health, figures and operations of mssql.connect(config)', async () => {
  const db = new sql.ConnectionPool(server.config({ authentication: entra.credential() }));
  expect(db.tokenPool).toBeUndefined();
  await db.connect();
  expect(db.tokenPool?.health()).toEqual({ status: 'ok', reasons: [] });
  db.tokenPool?.evictAll();
  await db.query(SPID);
  expect(db.tokenPool?.stats).toMatchObject({ logins: 2, evictions: { 'evicted-by-caller': 1 } });
  await db.close();
  expect(db.tokenPool).toBeUndefined();
});

test('a pool whose server is unreachable is down for a readiness probe, without a query', async () => {
  const pool = createTokenPool(
    server.config({ authentication: entra.credential(), pool: { acquireTimeoutMillis: 2_000 } }),
  );
  server.failLogins({ number: 18456, state: 1, class: 14, message: 'Login failed.', count: 1 });
  await expect(pool.acquire()).rejects.toThrow();
  expect(pool.health()).toMatchObject({ status: 'down', reasons: [{ code: 'cannot-connect' }] });
  expect(JSON.stringify(pool.health())).not.toContain(entra.clientSecret);
  await pool.use(() => {});
  expect(pool.health().status).toBe('ok');
  await pool.close();
});

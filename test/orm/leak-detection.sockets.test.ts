import { drizzle } from 'drizzle-orm/node-mssql';
import knex from 'knex';
import { CompiledQuery, Kysely, MssqlDialect } from 'kysely';
import { DataSource } from 'typeorm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTokenPool, createTokenPools, type TokenPool } from '../../src/index.js';
import sql from '../../src/mssql/index.js';
import { connectClient } from '../../src/orm/drizzle.js';
import { knexConfig } from '../../src/orm/knex.js';
import { dialectConfig } from '../../src/orm/kysely.js';
import { dataSourceOptions } from '../../src/orm/typeorm.js';
import { type EntraEmulator, type SqlEmulator, startEntraEmulator, startSqlEmulator } from '../../src/testing/index.js';
import { query as runQuery } from '../support/query.js';

const SLOW = 'SELECT total FROM slow';

let entra: EntraEmulator;
let server: SqlEmulator;
let answer: () => void = () => {};

beforeAll(async () => {
  entra = await startEntraEmulator();
  server = await startSqlEmulator({
    entra,
    async onQuery(text) {
      if (text.includes('slow')) {
        await new Promise<void>((resolve) => {
          answer = resolve;
        });
      }
      return [];
    },
  });
});
afterAll(async () => {
  await server.close();
  await entra.close();
});

function withoutLogin() {
  const { authentication: _, ...config } = server.config();
  return config;
}

type Client = { run: () => Promise<unknown>; close: () => Promise<unknown> };

/** What an application would write; its name is looked for. */
const CLIENTS: Record<string, (pool: TokenPool) => Promise<Client>> = {
  async 'the pool itself'(pool) {
    return { run: () => pool.use((connection) => runQuery(connection, SLOW)), close: async () => {} };
  },
  async mssql(pool) {
    const db = await new sql.ConnectionPool(pool).connect();
    return { run: () => db.request().query(SLOW), close: () => db.close() };
  },
  async knex(pool) {
    const db = knex(knexConfig(pool));
    return { run: async () => await db.raw(SLOW), close: () => db.destroy() };
  },
  async 'a transaction of knex'(pool) {
    const db = knex(knexConfig(pool));
    return {
      run: () => db.transaction(async (trx) => await trx.raw(SLOW)),
      close: () => db.destroy(),
    };
  },
  async 'a transaction of knex without a function'(pool) {
    const db = knex(knexConfig(pool));
    const run = async () => {
      const trx = await db.transaction();
      await trx.raw(SLOW);
      await trx.commit();
    };
    return { run, close: () => db.destroy() };
  },
  async Kysely(pool) {
    const db = new Kysely({ dialect: new MssqlDialect(dialectConfig(pool)) });
    return { run: async () => await db.executeQuery(CompiledQuery.raw(SLOW)), close: () => db.destroy() };
  },
  async 'a transaction of Kysely'(pool) {
    const db = new Kysely({ dialect: new MssqlDialect(dialectConfig(pool)) });
    return {
      run: () => db.transaction().execute((trx) => trx.executeQuery(CompiledQuery.raw(SLOW))),
      close: () => db.destroy(),
    };
  },
  async 'a transaction of mssql'(pool) {
    const db = await new sql.ConnectionPool(pool).connect();
    const run = async () => {
      const transaction = db.transaction();
      await transaction.begin();
      await transaction.request().query(SLOW);
      await transaction.commit();
    };
    return { run, close: () => db.close() };
  },
  async TypeORM(pool) {
    const db = await new DataSource(dataSourceOptions(pool)).initialize();
    return { run: async () => await db.query(SLOW), close: () => db.destroy() };
  },
  async Drizzle(pool) {
    const client = await connectClient(pool);
    const db = drizzle({ client: client as never });
    return { run: async () => await db.execute(SLOW), close: () => client.close() };
  },
};

test.each(Object.keys(CLIENTS))(
  '%s: a slow query is reported with the line of the application that runs it',
  async (name) => {
    const pool = createTokenPool(
      server.config({ authentication: entra.credential(), pool: { max: 2, leakDetectionMillis: 100 } }),
    );
    const client = await (CLIENTS[name] as (pool: TokenPool) => Promise<Client>)(pool);
    async function monthlyReport(): Promise<unknown> {
      return await client.run();
    }
    const running = monthlyReport();
    await expect.poll(() => pool.stats.leaks, { timeout: 10_000 }).toBeGreaterThan(0);
    const [borrower] = pool.stats.borrowers;
    expect(borrower?.holder).toContain('leak-detection.sockets.test.ts');
    expect(borrower?.stack).toContain('monthlyReport');
    answer();
    await running;
    expect(pool.stats.borrowers).toEqual([]);
    await client.close();
    await pool.close();
  },
);

test('pools of many identities: the stack of a checkout reaches the application', async () => {
  await using pools = createTokenPools({ ...withoutLogin(), pool: { leakDetectionMillis: 100 } });
  const mine = pools.for({ authentication: entra.credential() });
  async function monthlyReport(): Promise<void> {
    await mine.use((connection) => runQuery(connection, SLOW));
  }
  const running = monthlyReport();
  const stats = () => mine.stats as TokenPool['stats'];
  await expect.poll(() => stats().leaks, { timeout: 10_000 }).toBe(1);
  expect(stats().borrowers[0]?.stack).toContain('monthlyReport');
  expect(stats().borrowers[0]?.holder).toContain('leak-detection.sockets.test.ts');
  answer();
  await running;
});

test('the drop-in takes the setting in its config', async () => {
  const db = await new sql.ConnectionPool(
    server.config({
      authentication: entra.credential(),
      pool: { max: 1, acquireTimeoutMillis: 300, leakDetectionMillis: 100 },
    }),
  ).connect();
  const running = (async function monthlyReport() {
    return await db.query(SLOW);
  })();
  await expect.poll(() => db.borrowed, { timeout: 10_000 }).toBe(1);
  const error = (await db.query('SELECT 2 AS two').catch((failure) => failure)) as Error;
  expect(error.message).toMatch(
    /1 of 1 borrowed.* Borrowed: 1 by .*leak-detection\.sockets\.test\.ts:\d+:\d+\)?, longest/,
  );
  answer();
  await running;
  await db.close();
});

import knex from 'knex';
import { Sequelize } from 'sequelize';
import { DataSource } from 'typeorm';
import { expect, test } from 'vitest';
import type { TokenPoolConfig } from '../../src/connections/config.js';
import { createTokenPool, withTokenRefresh } from '../../src/index.js';
import { knexConfig } from '../../src/orm/knex.js';
import { adapterConfig } from '../../src/orm/prisma.js';
import { sequelizeOptions } from '../../src/orm/sequelize.js';
import { dataSourceOptions } from '../../src/orm/typeorm.js';
import { type Site, site } from '../support/pool.js';

const configOf = ({ server, entra }: Site, rest: Partial<TokenPoolConfig> = {}): TokenPoolConfig =>
  ({ ...server.config(), authentication: entra.credential(), ...rest }) as TokenPoolConfig;

test("Sequelize's own pool settings beside ours keep the expiry check", async () => {
  await using s = await site({ entra: { tokenLifetimeSeconds: 2 } });
  const options = sequelizeOptions(configOf(s) as never);
  const sequelize = new Sequelize({ ...options, pool: { max: 1 }, logging: false, databaseVersion: '16.0.0' } as never);
  const startedAt = Date.now();
  try {
    while (Date.now() - startedAt < 3_000) {
      await sequelize.query('SELECT 1 AS one');
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  } finally {
    await sequelize.close();
  }
  expect(s.server.logins.length).toBeGreaterThan(1);
});

test("knex's own pool settings and config function are refused by name", async () => {
  await using s = await site();
  const own = knexConfig(configOf(s));
  expect(() => knex({ ...own, pool: { max: 25 } })).toThrow(/knex's own 'pool.max' has no effect/);
  expect(() => knex({ ...own, connection: (async () => ({})) as never })).toThrow(/'connection' cannot be a function/);
});

test('knex keeps its contract: acquireConnectionTimeout, KnexTimeoutError, __knexUid and mapBinding', async () => {
  await using s = await site();
  const config = configOf(s, { pool: { max: 1 } });
  const options = { ...config.options, mapBinding: (value: unknown) => (value === 'seven' ? { value: 7 } : undefined) };
  const db = knex({ ...knexConfig({ ...config, options } as never), acquireConnectionTimeout: 400 });
  try {
    const seen: string[] = [];
    db.on('query', ({ __knexUid }: { __knexUid: string }) => seen.push(__knexUid));
    await db.raw('SELECT 1 AS one');
    await db.raw('SELECT 1 AS one');
    expect(seen).toEqual(['__knexUid1', '__knexUid1']);
    expect(db.client.connectionSettings.options.mapBinding('seven')).toEqual({ value: 7 });
    const blocking = await db.client.acquireConnection();
    const error = await db.raw('SELECT 1').then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(knex.KnexTimeoutError);
    expect(error).toMatchObject({ cause: { code: 'ERR_ACQUIRE_TIMEOUT' } });
    await db.client.releaseConnection(blocking);
  } finally {
    await db.destroy();
  }
});

test("knex's asyncStackTraces begin where they begin with stock knex", async () => {
  await using s = await site();
  const db = knex({ ...knexConfig(configOf(s)), asyncStackTraces: true });
  try {
    for (const query of [db.raw('SELECT * FROM nothing'), db('nothing').select()]) {
      const { stack = '' } = (await query.catch((error: unknown) => error)) as Error;
      expect(stack).toContain('own-settings.sockets.test');
      expect(stack).not.toContain('knex-stacks');
    }
  } finally {
    await db.destroy();
  }
});

test("TypeORM's own pool settings beside ours are used", async () => {
  await using s = await site();
  const own = dataSourceOptions(configOf(s, { pool: { max: 7 } }) as never);
  const dataSource = new DataSource({ ...own, pool: { max: 2, errorHandler: () => undefined } } as never);
  await dataSource.initialize();
  try {
    const { master } = dataSource.driver as unknown as { master: { config: TokenPoolConfig } };
    expect(master.config.pool?.max).toBe(2);
    await Promise.all([1, 2, 3, 4].map(() => dataSource.query('SELECT 1 AS one')));
    expect(s.server.connections.most).toBeLessThanOrEqual(2);
  } finally {
    await dataSource.destroy();
  }
});

test.each([
  ['sequelizeOptions', sequelizeOptions],
  ['adapterConfig', adapterConfig],
  ['withTokenRefresh', withTokenRefresh],
])('%s says why a pool is not a config', async (_, factory) => {
  await using s = await site();
  const pool = createTokenPool(configOf(s));
  expect(() => (factory as (input: unknown) => unknown)(pool)).toThrow(/A pool was passed where a config is needed/);
  await pool.close();
});

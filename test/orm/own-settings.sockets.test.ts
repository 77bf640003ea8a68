import knex from 'knex';
import { Kysely, MssqlDialect, sql } from 'kysely';
import stock from 'mssql';
import { Sequelize } from 'sequelize';
import * as tedious from 'tedious';
import { DataSource } from 'typeorm';
import { expect, test } from 'vitest';
import type { TokenPoolConfig } from '../../src/connections/config.js';
import { createTokenPool, withTokenRefresh } from '../../src/index.js';
import { knexConfig } from '../../src/orm/knex.js';
import { dialectConfig } from '../../src/orm/kysely.js';
import { adapterConfig } from '../../src/orm/prisma.js';
import { sequelize7Options, sequelizeOptions } from '../../src/orm/sequelize.js';
import { dataSourceOptions } from '../../src/orm/typeorm.js';
import { type Site, site } from '../support/pool.js';

const configOf = ({ server, entra }: Site, rest: Partial<TokenPoolConfig> = {}): TokenPoolConfig =>
  ({ ...server.config(), authentication: entra.credential(), ...rest }) as TokenPoolConfig;

test("Sequelize's own pool settings do not disable the expiry check", async () => {
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

test.each([
  ['withTokenRefresh', withTokenRefresh],
  ['adapterConfig', adapterConfig],
])('pool settings in place of those of %s keep the expiry check', async (_, configFor) => {
  await using s = await site({ entra: { tokenLifetimeSeconds: 2 } });
  const config = (configFor as (input: TokenPoolConfig) => object)(configOf(s, { validateConnection: false }));
  const pool = await new stock.ConnectionPool({ ...config, pool: { max: 1 } } as never).connect();
  // mssql's probe, and the first connection of the pool.
  await pool.query('SELECT 1 AS one');
  const first = s.server.logins.length;
  try {
    await expect
      .poll(
        async () => {
          await pool.query('SELECT 1 AS one');
          return s.server.logins.length;
        },
        { timeout: 10_000 },
      )
      .toBeGreaterThan(first);
  } finally {
    await pool.close();
  }
});

test.each([
  ['sequelizeOptions', sequelizeOptions],
  ['sequelize7Options', sequelize7Options],
])("%s refuses pool settings that Sequelize's pool does not have, by name", async (_, optionsOf) => {
  await using s = await site();
  const withPool = (pool: object) => () => optionsOf(configOf(s, { pool } as never) as never);
  for (const key of ['overlap', 'maxRenewals', 'createTimeoutMillis', 'leakDetectionMillis', 'acquireTimeout', 'Max']) {
    expect(withPool({ [key]: 5 })).toThrow(`pool.${key} is not a setting`);
  }
  for (const key of [
    'max',
    'min',
    'idle',
    'acquire',
    'evict',
    'maxUses',
    'idleTimeoutMillis',
    'acquireTimeoutMillis',
  ]) {
    for (const value of ['7', Number.NaN, -1, {}, true])
      expect(withPool({ [key]: value })).toThrow(`pool.${key} must be`);
    expect(withPool({ [key]: null })).not.toThrow();
    expect(withPool({ [key]: 7 })).not.toThrow();
  }
  expect(withPool({ idle: 0, evict: 0 })).not.toThrow();
  expect(withPool({ idle: 5, idleTimeoutMillis: 7 })).toThrow('pool.idle and pool.idleTimeoutMillis are the same');
  expect(withPool({ validate: async () => true })).toThrow('pool.validate must return true or false');
  expect(withPool(5 as never)).toThrow("'pool' must be an object");
});

test("the application's own pool.validate is called, and the expiry check remains", async () => {
  await using s = await site();
  const answers = [true, false];
  const validate = () => answers.shift() ?? true;
  const options = sequelizeOptions(configOf(s, { pool: { max: 1, validate } } as never) as never);
  const sequelize = new Sequelize({ ...options, logging: false, databaseVersion: '16.0.0' } as never);
  try {
    for (let query = 0; query < 4; query += 1) await sequelize.query('SELECT 1 AS one');
    expect(answers).toEqual([]);
    expect(s.server.logins.length).toBe(2);
    expect(options.pool.validate(new tedious.Connection({ server: 'localhost' }))).toBe(false);
  } finally {
    await sequelize.close();
  }
});

test("an exception of the application's own pool.validate closes the connection and goes no further", async () => {
  await using s = await site();
  const answers: (() => unknown)[] = [
    () => {
      throw new Error('out of order');
    },
    () => Promise.reject(new Error('not waited for')),
  ];
  const validate = () => (answers.shift() ?? (() => true))();
  const options = sequelizeOptions(configOf(s, { pool: { max: 1, validate } } as never) as never);
  const sequelize = new Sequelize({ ...options, logging: false, databaseVersion: '16.0.0' } as never);
  try {
    for (let query = 0; query < 3; query += 1) await sequelize.query('SELECT 1 AS one');
    expect(answers).toEqual([]);
    expect(s.server.logins.length).toBe(2);
  } finally {
    await sequelize.close();
  }
});

test("Kysely's own pool settings are refused with an error that names them", async () => {
  await using s = await site();
  const own = dialectConfig(configOf(s));
  const withOptions = (options: object) => async () => {
    const dialect = new MssqlDialect({ ...own, tarn: { ...own.tarn, options } } as never);
    const db = new Kysely<never>({ dialect });
    await sql`SELECT 1 AS one`.execute(db).finally(() => db.destroy());
  };
  await expect(withOptions({ min: 0, max: 25 })()).rejects.toThrow(/Kysely's own 'tarn.options.max' has no effect/);
  await expect(withOptions(own.tarn.options)()).resolves.toBeUndefined();
});

test("knex's own pool settings and config function are refused with an error that names them", async () => {
  await using s = await site();
  const own = knexConfig(configOf(s));
  expect(() => knex({ ...own, pool: { max: 25 } })).toThrow(/knex's own 'pool.max' has no effect/);
  expect(() => knex({ ...own, connection: (async () => ({})) as never })).toThrow(/'connection' cannot be a function/);
});

test('knex keeps its contract: __knexUid and mapBinding', async () => {
  await using s = await site();
  const config = configOf(s, { pool: { max: 1 } });
  const options = { ...config.options, mapBinding: (value: unknown) => (value === 'seven' ? { value: 7 } : undefined) };
  const db = knex(knexConfig({ ...config, options } as never));
  try {
    const seen: string[] = [];
    db.on('query', ({ __knexUid }: { __knexUid: string }) => seen.push(__knexUid));
    await db.raw('SELECT 1 AS one');
    await db.raw('SELECT 1 AS one');
    expect(seen).toEqual(['__knexUid1', '__knexUid1']);
    expect(db.client.connectionSettings.options.mapBinding('seven')).toEqual({ value: 7 });
  } finally {
    await db.destroy();
  }
});

test("knex keeps its contract: KnexTimeoutError and its text, after the shared pool's own time limit", async () => {
  await using s = await site();
  const pool = createTokenPool(configOf(s, { pool: { max: 1, acquireTimeoutMillis: 200 } }));
  const borrowed = await pool.acquire();
  const db = knex(knexConfig(pool));
  try {
    const error = await db.raw('SELECT 1').then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(knex.KnexTimeoutError);
    expect(error).toMatchObject({
      // Applications compare this text, as knex's own suite does.
      message:
        'Knex: Timeout acquiring a connection. The pool is probably full. Are you missing a .transacting(trx) call?',
      cause: { code: 'ERR_ACQUIRE_TIMEOUT', message: expect.stringContaining('1 of 1 borrowed') },
    });
  } finally {
    await pool.release(borrowed);
    await db.destroy();
    await pool.close();
  }
});

test('a timeout that has another reason than a full pool names it in the text that knex logs', async () => {
  await using s = await site();
  s.server.pause();
  const db = knex({ ...knexConfig(configOf(s, { pool: { max: 1 } })), acquireConnectionTimeout: 400 });
  try {
    const error = await db.raw('SELECT 1').then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(knex.KnexTimeoutError);
    expect((error as Error).message).toMatch(/^Knex: Timeout acquiring a connection\. .*1 being opened/);
  } finally {
    s.server.resume();
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

test("TypeORM's own pool settings are used in addition to ours", async () => {
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

test("TypeORM's own extra is refused with an error that names it, unless it contains ours", async () => {
  await using s = await site();
  const own = dataSourceOptions(configOf(s));
  const refused = new DataSource({ ...own, extra: { requestTimeout: 5_000 } } as never);
  await expect(refused.initialize()).rejects.toThrow(/TypeORM's 'extra' replaces that of dataSourceOptions/);
  expect(s.server.logins).toEqual([]);
  const dataSource = new DataSource({ ...own, extra: { ...own.extra, requestTimeout: 5_000 } } as never);
  await dataSource.initialize();
  const { master } = dataSource.driver as unknown as { master: { config: TokenPoolConfig } };
  expect(master.config.requestTimeout).toBe(5_000);
  expect(s.server.logins.every(({ accepted }) => accepted)).toBe(true);
  await dataSource.destroy();
});

test("TypeORM's own timeouts are used in addition to ours", async () => {
  await using s = await site();
  const own = dataSourceOptions(configOf(s, { requestTimeout: 7_000, connectionTimeout: 8_000 }) as never);
  const dataSource = new DataSource({ ...own, requestTimeout: 5_000 } as never);
  await dataSource.initialize();
  const { master } = dataSource.driver as unknown as { master: { config: TokenPoolConfig } };
  expect(master.config).toMatchObject({ requestTimeout: 5_000, connectionTimeout: 8_000 });
  await dataSource.destroy();
});

test("TypeORM's own pool settings are refused with an error that names them if the pool is shared", async () => {
  await using s = await site();
  await using pool = createTokenPool(configOf(s));
  const own = dataSourceOptions(pool);
  const refused = new DataSource({ ...own, pool: { max: 2 } } as never);
  await expect(refused.initialize()).rejects.toThrow(/TypeORM's own 'pool.max' has no effect/);
  const dataSource = new DataSource({ ...own, pool: { errorHandler: () => undefined } } as never);
  await dataSource.initialize();
  expect(await dataSource.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  await dataSource.destroy();
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

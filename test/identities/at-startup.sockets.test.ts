import knex from 'knex';
import { CompiledQuery, Kysely, MssqlDialect } from 'kysely';
import { DataSource } from 'typeorm';
import { expect, test } from 'vitest';
import { createTokenPool, createTokenPools, type TokenPools } from '../../src/index.js';
import sql from '../../src/mssql/index.js';
import { connectClient } from '../../src/orm/drizzle.js';
import { knexConfig } from '../../src/orm/knex.js';
import { dialectConfig } from '../../src/orm/kysely.js';
import { adapterConfig } from '../../src/orm/prisma.js';
import { sequelizeOptions } from '../../src/orm/sequelize.js';
import { dataSourceOptions } from '../../src/orm/typeorm.js';
import { type Site, site } from '../support/pool.js';

const SELECT = 'SELECT SUSER_SNAME() AS name';

function poolsOf({ server }: Site): TokenPools {
  const { server: host, port, options } = server.config() as { server: string; port: number; options: object };
  return createTokenPools({ server: host, port, options } as never);
}

const identityOf = ({ entra }: Site) => ({ authentication: entra.credential() as never, key: 'the application' });

/** What is written at startup, before any identity is served, and a query for later. */
const startups: [name: string, start: (pools: TokenPools) => Promise<() => Promise<unknown>>][] = [
  [
    'new ConnectionPool(pools.current).connect()',
    async (pools) => {
      const pool = await new sql.ConnectionPool(pools.current).connect();
      return async () => (await pool.query(SELECT)).recordset[0].name;
    },
  ],
  [
    'ConnectionPool.over(pools.current).connect()',
    async (pools) => {
      const pool = await sql.ConnectionPool.over(pools.current).connect();
      return async () => (await pool.query(SELECT)).recordset[0].name;
    },
  ],
  [
    "Drizzle's connectClient(pools.current)",
    async (pools) => {
      const pool = await connectClient(pools.current);
      return async () => (await pool.query(SELECT)).recordset[0].name;
    },
  ],
  [
    'knex(knexConfig(pools.current))',
    async (pools) => {
      const db = knex(knexConfig(pools.current));
      return async () => (await db.raw(SELECT))[0].name;
    },
  ],
  [
    'new Kysely(dialectConfig(pools.current))',
    async (pools) => {
      const db = new Kysely({ dialect: new MssqlDialect(dialectConfig(pools.current)) });
      return async () =>
        ((await db.executeQuery(CompiledQuery.raw(SELECT))).rows[0] as { name: string } | undefined)?.name;
    },
  ],
];

test.each(startups)('%s works at startup, when no identity is served yet', async (_, start) => {
  await using s = await site();
  await using pools = poolsOf(s);
  const run = await start(pools);
  expect(s.server.logins).toEqual([]);
  expect(await pools.run(identityOf(s), run)).toBe(s.entra.clientId);
});

test.each(startups)('%s: a query outside pools.run() fails with an error that says what to write', async (_, start) => {
  await using s = await site();
  await using pools = poolsOf(s);
  const run = await start(pools);
  const error = (await run().catch((e: unknown) => e)) as Error & { hint?: string };
  expect(error.message).toContain('No identity: a connection was requested outside pools.run()');
  const { hint } = (error.hint === undefined ? error.cause : error) as { hint: string };
  expect(hint).toContain('pools.run(identity, next)');
  expect(hint).toContain('At startup');
});

test('TypeORM, which asks the server at startup, is initialized inside pools.run()', async () => {
  await using s = await site();
  await using pools = poolsOf(s);
  const dataSource = new DataSource(dataSourceOptions(pools.current) as never);
  await expect(dataSource.initialize()).rejects.toMatchObject({
    driverError: { cause: { hint: expect.stringContaining('pools.run(identity, () => dataSource.initialize())') } },
  });
  await pools.run(identityOf(s), () => dataSource.initialize());
  expect(dataSource.isInitialized).toBe(true);
});

test.each([
  ['createTokenPool', createTokenPool],
  ['sequelizeOptions', sequelizeOptions],
  ['adapterConfig', adapterConfig],
  ['knexConfig', knexConfig],
  ['dialectConfig', dialectConfig],
  ['dataSourceOptions', dataSourceOptions],
  ['the drop-in', (pools: never) => new sql.ConnectionPool(pools).connect()],
])('%s given the pools themselves says what to pass', async (_, factory) => {
  await using s = await site();
  await using pools = poolsOf(s);
  const error = await (async () => (factory as (input: unknown) => unknown)(pools))().catch((e: unknown) => e);
  expect(error).toMatchObject({ message: expect.stringContaining('The pools of createTokenPools() were passed') });
});

test('pools.run() without a function says what is missing', async () => {
  await using s = await site();
  await using pools = poolsOf(s);
  const run = pools.run.bind(pools) as (identity: object, fn?: unknown) => unknown;
  expect(() => run(identityOf(s))).toThrow(/pools\.run\(identity, fn\) needs a function/);
  expect(() => run(identityOf(s), Promise.resolve())).toThrow(/needs a function/);
});

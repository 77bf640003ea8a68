import { inspect } from 'node:util';
import { PrismaMssql } from '@prisma/adapter-mssql';
import * as core from '@sequelize/core';
import { MsSqlDialect } from '@sequelize/mssql';
import { drizzle } from 'drizzle-orm/node-mssql';
import knex from 'knex';
import { Kysely, MssqlDialect, sql } from 'kysely';
import stock from 'mssql';
import { Sequelize } from 'sequelize';
import { DataSource } from 'typeorm';
import { expect, test } from 'vitest';
import { withTokenRefresh } from '../../src/index.js';
import { connectClient } from '../../src/orm/drizzle.js';
import { knexConfig } from '../../src/orm/knex.js';
import { dialectConfig } from '../../src/orm/kysely.js';
import { adapterConfig } from '../../src/orm/prisma.js';
import { sequelize7Options, sequelizeOptions } from '../../src/orm/sequelize.js';
import { dataSourceOptions } from '../../src/orm/typeorm.js';
import { site } from '../support/pool.js';

interface Orm {
  query(sql: string): Promise<unknown>;
  close(): Promise<unknown>;
}

const orms: [string, (config: never) => Promise<Orm>][] = [
  [
    'knex',
    async (config) => {
      const db = knex(knexConfig(config) as never);
      return { query: (text) => db.raw(text), close: () => db.destroy() };
    },
  ],
  [
    'Kysely',
    async (config) => {
      const db = new Kysely({ dialect: new MssqlDialect(dialectConfig(config) as never) });
      return { query: (text) => sql.raw(text).execute(db), close: () => db.destroy() };
    },
  ],
  [
    'TypeORM',
    async (config) => {
      const source = await new DataSource(dataSourceOptions(config) as never).initialize();
      return { query: (text) => source.query(text), close: () => source.destroy() };
    },
  ],
  [
    'Sequelize 6',
    async (config) => {
      const options = { ...sequelizeOptions(config), logging: false, databaseVersion: '16.0.0' };
      const sequelize = new Sequelize(options as never);
      return { query: (text) => sequelize.query(text), close: () => sequelize.close() };
    },
  ],
  [
    'Sequelize 7',
    async (config) => {
      const options = { dialect: MsSqlDialect, ...(sequelize7Options(config) as object), logging: false };
      const sequelize = new core.Sequelize({ ...options, databaseVersion: '16.0.0' } as core.Options<MsSqlDialect>);
      return { query: (text) => sequelize.query(text), close: () => sequelize.close() };
    },
  ],
  [
    'Drizzle',
    async (config) => {
      const client = await connectClient(config);
      const db = drizzle({ client } as never) as unknown as { execute(text: string): Promise<unknown> };
      return { query: (text) => db.execute(text), close: () => client.close() };
    },
  ],
  [
    'stock mssql with withTokenRefresh',
    async (config) => {
      const pool = await new stock.ConnectionPool(withTokenRefresh(config) as never).connect();
      return { query: (text) => pool.request().batch(text), close: () => pool.close() };
    },
  ],
  [
    'Prisma',
    async (config) => {
      const adapter = await new PrismaMssql(adapterConfig(config) as never).connect();
      const query = (sql: string) => adapter.queryRaw({ sql, args: [], argTypes: [] });
      return { query, close: () => adapter.dispose() };
    },
  ],
];

test.each(orms)(
  '%s: a transaction that was left open does not reach the next borrower, without resetSession too',
  async (_, open) => {
    await using s = await site();
    const orm = await open({ ...s.server.config(), authentication: s.entra.credential(), pool: { max: 1 } } as never);
    try {
      // Error 266 where it is sent with sp_executesql; the transaction stays open all the same.
      await orm.query('BEGIN TRANSACTION').catch(() => {});
      const rows = inspect(await orm.query('SELECT @@TRANCOUNT + 70 AS transactions'), { depth: 6 });
      expect(rows).toContain('70');
    } finally {
      await orm.close();
    }
  },
);

test.each(orms)('%s: pool.resetSession resets sessions between two queries', async (_, open) => {
  await using s = await site();
  const pool = { max: 1, resetSession: 'always' };
  const orm = await open({ ...s.server.config(), authentication: s.entra.credential(), pool } as never);
  try {
    // Most ORMs send this with sp_executesql, whose end undoes USE and SET but not this.
    await orm.query("EXEC sp_set_session_context N'tenant', 7");
    await orm.query('SELECT 1 AS one');
    const session = s.server.sessions.at(-1);
    expect(session?.context).toEqual({});
    expect(session?.resets).toBeGreaterThan(0);
  } finally {
    await orm.close();
  }
});

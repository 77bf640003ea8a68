import { drizzle } from 'drizzle-orm/node-mssql';
import knex from 'knex';
import { Kysely, MssqlDialect, sql } from 'kysely';
import { Sequelize } from 'sequelize';
import { DataSource } from 'typeorm';
import { expect, test } from 'vitest';
import { connectClient } from '../../src/orm/drizzle.js';
import { knexConfig } from '../../src/orm/knex.js';
import { dialectConfig } from '../../src/orm/kysely.js';
import { sequelizeOptions } from '../../src/orm/sequelize.js';
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
    'Sequelize',
    async (config) => {
      const options = { ...sequelizeOptions(config), logging: false, databaseVersion: '16.0.0' };
      const sequelize = new Sequelize(options as never);
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
];

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

import { PrismaMssql } from '@prisma/adapter-mssql';
import { drizzle } from 'drizzle-orm/node-mssql';
import knex from 'knex';
import { Kysely, MssqlDialect, sql } from 'kysely';
import { Sequelize } from 'sequelize';
import { DataSource } from 'typeorm';
import { expect, test } from 'vitest';
import { retryTransaction } from '../../src/index.js';
import { connectClient } from '../../src/orm/drizzle.js';
import { knexConfig } from '../../src/orm/knex.js';
import { dialectConfig } from '../../src/orm/kysely.js';
import { adapterConfig } from '../../src/orm/prisma.js';
import { sequelizeOptions } from '../../src/orm/sequelize.js';
import { dataSourceOptions } from '../../src/orm/typeorm.js';
import { site } from '../support/pool.js';
import { generatedClient } from './prisma/generate.js';

type Run = (text: string) => Promise<unknown>;
interface Orm {
  transaction(work: (run: Run) => Promise<void>): Promise<unknown>;
  close(): Promise<unknown>;
}

const ORMS: [string, (config: never) => Promise<Orm>][] = [
  [
    'knex',
    async (config) => {
      const db = knex(knexConfig(config) as never);
      return {
        transaction: (work) => db.transaction((trx) => work(async (text) => await trx.raw(text))),
        close: () => db.destroy(),
      };
    },
  ],
  [
    'Kysely',
    async (config) => {
      const db = new Kysely({ dialect: new MssqlDialect(dialectConfig(config) as never) });
      return {
        transaction: (work) => db.transaction().execute((trx) => work((text) => sql.raw(text).execute(trx))),
        close: () => db.destroy(),
      };
    },
  ],
  [
    'TypeORM',
    async (config) => {
      const source = await new DataSource(dataSourceOptions(config) as never).initialize();
      return {
        transaction: (work) => source.transaction((manager) => work((text) => manager.query(text))),
        close: () => source.destroy(),
      };
    },
  ],
  [
    'Sequelize',
    async (config) => {
      const options = { ...sequelizeOptions(config), logging: false, databaseVersion: '16.0.0' };
      const sequelize = new Sequelize(options as never);
      return {
        transaction: (work) =>
          sequelize.transaction((transaction) => work((text) => sequelize.query(text, { transaction }))),
        close: () => sequelize.close(),
      };
    },
  ],
  [
    'Drizzle',
    async (config) => {
      const client = await connectClient(config);
      const db = drizzle({ client } as never);
      return {
        transaction: (work) => db.transaction((tx) => work(async (text) => await tx.execute(text))),
        close: () => client.close(),
      };
    },
  ],
  [
    'Prisma',
    async (config) => {
      const PrismaClient = await generatedClient();
      const prisma = new PrismaClient({ adapter: new PrismaMssql(adapterConfig(config) as never) });
      return {
        transaction: (work) => prisma.$transaction((tx) => work((text) => tx.$executeRawUnsafe(text))),
        close: () => prisma.$disconnect(),
      };
    },
  ],
];

const ROLLED_BACK = { 'deadlock victim': 1205, 'conflict under snapshot isolation': 3960 };

test.each(
  ORMS.flatMap(([name, open]) => Object.entries(ROLLED_BACK).map(([what, number]) => ({ name, open, what, number }))),
)('$name: retryTransaction repeats a transaction that the server has rolled back ($what)', async ({ open, number }) => {
  let runs = 0;
  let began = 0;
  await using s = await site({
    server: {
      onQuery(text) {
        if (!text.startsWith('UPDATE')) return undefined;
        if (runs === 1) throw { number, class: 13, state: 51, message: 'rolled back' };
        return { rowsAffected: 1 };
      },
      onTransaction: (event) => {
        if (event.kind === 'begin') began += 1;
      },
    },
  });
  const config = { ...s.server.config(), authentication: s.entra.credential(), pool: { max: 1 } };
  const orm = await open(config as never);
  try {
    await retryTransaction(() =>
      orm.transaction(async (run) => {
        runs += 1;
        await run('UPDATE accounts SET balance = 1');
      }),
    );
    expect(runs).toBe(2);
    expect(began).toBe(2);
  } finally {
    await orm.close();
  }
});

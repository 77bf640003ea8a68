import { createRequire } from 'node:module';
import { PrismaMssql } from '@prisma/adapter-mssql';
import { Sequelize as Sequelize7 } from '@sequelize/core';
import { MsSqlDialect } from '@sequelize/mssql';
import { sql as drizzleSql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-mssql';
import knex from 'knex';
import { Kysely, MssqlDialect } from 'kysely';
import mssql from 'mssql';
import { Sequelize } from 'sequelize';
import * as tarn from 'tarn';
import * as tedious from 'tedious';
import { DataSource, EntitySchema } from 'typeorm';
import { beforeAll, expect, test } from 'vitest';
import { type SqlEmulator, startSqlEmulator } from '../../../src/testing/index.js';
import { generatedClient } from '../../orm/prisma/generate.js';
import { closing } from '../sql-clients.js';

const ROWS = [{ id: 1, item: 'coffee' }];
const SELECT = 'SELECT id, item FROM orders';
const OPTIONS = { encrypt: true, trustServerCertificate: true };

/** Reads the orders with an ORM and its own driver and pool, from its start to its end. Nothing of this package but the emulator. */
type Reader = (server: SqlEmulator) => Promise<unknown>;

const ORMS: Record<string, Reader> = {
  async Knex({ port, sqlLogin }) {
    const connection = { server: 'localhost', port, ...sqlLogin, database: 'shop', options: OPTIONS };
    const db = knex({ client: 'mssql', connection: connection as knex.Knex.MsSqlConnectionConfig });
    await db.raw('SELECT 1');
    const rows = await db('orders').select('id', 'item');
    await db.destroy();
    return rows;
  },
  async Kysely({ port, sqlLogin: { user, password } }) {
    const connectionFactory = () =>
      new tedious.Connection({
        server: 'localhost',
        authentication: { type: 'default', options: { userName: user, password } },
        options: { port, database: 'shop', ...OPTIONS },
      });
    const dialect = new MssqlDialect({
      tarn: { ...tarn, options: { min: 0, max: 2 } },
      tedious: { ...tedious, connectionFactory },
    });
    const db = new Kysely<{ orders: { id: number; item: string } }>({ dialect });
    const rows = await db.selectFrom('orders').select(['id', 'item']).execute();
    await db.destroy();
    return rows;
  },
  async TypeORM({ port, sqlLogin: { user, password } }) {
    const columns = { id: { type: 'int', primary: true }, item: { type: 'nvarchar' } } as const;
    const entity = new EntitySchema<{ id: number; item: string }>({ name: 'orders', columns });
    const source = new DataSource({
      type: 'mssql',
      host: 'localhost',
      port,
      username: user,
      password,
      database: 'shop',
      options: OPTIONS,
      entities: [entity],
    });
    await source.initialize();
    const rows = await source.query(SELECT);
    await source.destroy();
    return rows;
  },
  async 'Sequelize 6'({ port, sqlLogin: { user, password } }) {
    const db = new Sequelize('shop', user, password, {
      dialect: 'mssql',
      host: 'localhost',
      port,
      logging: false,
      dialectOptions: { options: OPTIONS },
    });
    await db.authenticate();
    const [rows] = await db.query(SELECT);
    await db.close();
    return rows;
  },
  async 'Sequelize 7'({ port, sqlLogin: { user, password } }) {
    const db = new Sequelize7({
      dialect: MsSqlDialect,
      server: 'localhost',
      port,
      database: 'shop',
      authentication: { type: 'default', options: { userName: user, password } },
      logging: false,
      ...OPTIONS,
    });
    await db.authenticate();
    const [rows] = await db.query(SELECT);
    await db.close();
    return rows;
  },
  async Drizzle({ port, sqlLogin }) {
    const client = await new mssql.ConnectionPool({
      server: 'localhost',
      port,
      ...sqlLogin,
      database: 'shop',
      options: OPTIONS,
    }).connect();
    const { recordset } = (await drizzle({ client: client as never }).execute(drizzleSql.raw(SELECT))) as {
      recordset: object[];
    };
    await client.close();
    return recordset.map((row) => ({ ...row }));
  },
  async Prisma({ port, sqlLogin }) {
    const config = { server: 'localhost', port, ...sqlLogin, database: 'shop', options: OPTIONS };
    const PrismaClient = await generatedClient();
    const prisma = new PrismaClient({ adapter: new PrismaMssql(config) }) as unknown as {
      $connect(): Promise<void>;
      $queryRawUnsafe(sql: string): Promise<unknown>;
      $disconnect(): Promise<void>;
    };
    await prisma.$connect();
    const rows = await prisma.$queryRawUnsafe(SELECT);
    await prisma.$disconnect();
    return rows;
  },
  async MikroORM({ port, sqlLogin: { user, password } }) {
    const { MikroORM, EntitySchema } = mikroOrm();
    const properties = { id: { type: 'number', primary: true }, item: { type: 'string' } };
    const orm = await MikroORM.init({
      host: 'localhost',
      port,
      user,
      password,
      dbName: 'shop',
      entities: [new EntitySchema({ name: 'orders', tableName: 'orders', properties })],
      driverOptions: { connection: { options: OPTIONS } },
    });
    const rows = (await orm.em.fork().find('orders', {})) as { id: number; item: string }[];
    await orm.close(true);
    return rows.map(({ id, item }) => ({ id, item }));
  },
};

interface MikroOrmModule {
  MikroORM: {
    init(options: object): Promise<{
      em: { fork(): { find(entity: string, where: object): Promise<unknown> } };
      close(force: boolean): Promise<void>;
    }>;
  };
  EntitySchema: new (meta: object) => object;
}

function mikroOrm(): MikroOrmModule {
  const packageOf = new URL('../../orm/packages/mikro-orm-6/package.json', import.meta.url);
  return createRequire(packageOf)('@mikro-orm/mssql') as MikroOrmModule;
}

beforeAll(async () => {
  await generatedClient();
}, 60_000);

test.each(Object.entries(ORMS))(
  '%s starts and reads rows, with an onQuery that knows only its own table',
  async (_, read) => {
    const server = closing(
      await startSqlEmulator({
        users: { app: 'App-password-1' },
        onQuery: (sql) => (/\borders\b/.test(sql) ? ROWS : undefined),
      }),
    );
    expect(await read(server)).toEqual(ROWS);
    expect(server.protocolErrors).toEqual([]);
    expect(server.logins.every((login) => login.accepted)).toBe(true);
  },
);

test("mssql's health check, a query and a bulk load need nothing else", async () => {
  const loaded: unknown[] = [];
  const server = closing(
    await startSqlEmulator({
      users: { app: 'App-password-1' },
      onQuery: (sql) => (/\borders\b/.test(sql) ? ROWS : undefined),
      onBulkLoad(load) {
        loaded.push(load);
      },
    }),
  );
  const config = { server: 'localhost', port: server.port, ...server.sqlLogin, options: OPTIONS };
  const pool = await new mssql.ConnectionPool({ ...config, validateConnection: true } as mssql.config).connect();
  for (let i = 0; i < 2; i += 1) expect((await pool.request().query(SELECT)).recordset).toEqual(ROWS);
  const table = new mssql.Table('orders');
  table.columns.add('id', mssql.Int, { nullable: false });
  table.columns.add('item', mssql.NVarChar(100), { nullable: true });
  table.rows.add(1, 'coffee');
  expect(await pool.request().bulk(table)).toMatchObject({ rowsAffected: 1 });
  expect(loaded).toMatchObject([{ table: 'orders', rows: [[1, 'coffee']] }]);
  await pool.close();
});

import { PrismaMssql } from '@prisma/adapter-mssql';
import * as core from '@sequelize/core';
import { MsSqlDialect } from '@sequelize/mssql';
import knex from 'knex';
import { CompiledQuery, Kysely, MssqlDialect } from 'kysely';
import { Sequelize } from 'sequelize';
import { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TokenPoolConfig } from '../../src/connections/config.js';
import { connectClient } from '../../src/orm/drizzle.js';
import { knexConfig } from '../../src/orm/knex.js';
import { dialectConfig } from '../../src/orm/kysely.js';
import { adapterConfig } from '../../src/orm/prisma.js';
import { sequelize7Options, sequelizeOptions } from '../../src/orm/sequelize.js';
import { dataSourceOptions } from '../../src/orm/typeorm.js';
import {
  type EntraEmulator,
  type QueryHandler,
  type SqlEmulator,
  startEntraEmulator,
  startSqlEmulator,
} from '../../src/testing/index.js';
import type { MikroOrm } from './mikro-orm-library.js';

/** Connects through an ORM without any setting for encryption or certificates. */
const connect: Record<string, (config: TokenPoolConfig) => Promise<unknown>> = {
  async kysely(config) {
    const db = new Kysely({ dialect: new MssqlDialect(dialectConfig(config)) });
    await db.executeQuery(CompiledQuery.raw('SELECT 1')).finally(() => db.destroy());
  },
  async knex(config) {
    const db = knex({ ...knexConfig(config), log: { warn: () => undefined } });
    await db.raw('SELECT 1').finally(() => db.destroy());
  },
  async typeorm(config) {
    const dataSource = await new DataSource(dataSourceOptions(config)).initialize();
    await dataSource.destroy();
  },
  async sequelize(config) {
    const sequelize = new Sequelize({ ...sequelizeOptions(config), logging: false, ...{ databaseVersion: '16.0.0' } });
    await sequelize.query('SELECT 1').finally(() => sequelize.close());
  },
  async 'sequelize 7'(config) {
    const options = { dialect: MsSqlDialect, ...sequelize7Options(config), logging: false, databaseVersion: '16.0.0' };
    const sequelize = new core.Sequelize(options as object as core.Options<MsSqlDialect>);
    await sequelize.query('SELECT 1').finally(() => sequelize.close());
  },
  async 'mikro-orm 6'(config) {
    await throughMikroOrm((await import('./packages/mikro-orm-6/orm.js')).init(config));
  },
  ...(Number.parseInt(process.versions.node, 10) >= 22 && {
    async 'mikro-orm 7'(config: TokenPoolConfig) {
      await throughMikroOrm((await import('./packages/mikro-orm-7/orm.js')).init(config));
    },
  }),
  async drizzle(config) {
    const client = await connectClient(config);
    await client.close();
  },
  async prisma(config) {
    const adapter = await new PrismaMssql(adapterConfig(config) as never).connect();
    await adapter.dispose();
  },
};

async function throughMikroOrm(opening: Promise<MikroOrm>): Promise<void> {
  const orm = await opening;
  await orm.em
    .getConnection()
    .execute('SELECT 1')
    .finally(() => orm.close(true));
}

let entra: EntraEmulator;
const servers: SqlEmulator[] = [];
beforeAll(async () => {
  entra = await startEntraEmulator();
});
afterAll(async () => {
  for (const server of servers) await server.close();
  await entra.close();
});

/** MikroORM 6 asks for its database. */
const databaseExists: QueryHandler = (sql) => (sql.includes('sys.databases') ? { rows: [{ there: 1 }] } : undefined);

async function serverThat(encrypt: 'required' | 'not-supported'): Promise<SqlEmulator> {
  const server = await startSqlEmulator({ entra, encrypt, onQuery: databaseExists });
  servers.push(server);
  return server;
}

describe.each(Object.entries(connect))('%s', (_, open) => {
  test('checks the certificate of the server, and reports one that is not trusted', async () => {
    const { port, logins, ca } = await serverThat('required');
    const config = { server: 'localhost', port, database: 'master', authentication: entra.credential() };
    await expect(open(config)).rejects.toThrow(/certificate/);
    expect(logins).toEqual([]);
    await open({ ...config, options: { cryptoCredentialsDetails: { ca } } } as TokenPoolConfig);
    expect(logins.every(({ accepted, encrypted }) => accepted && encrypted)).toBe(true);
  });

  test('trusts any certificate when the user asks for it', async () => {
    const { port, logins } = await serverThat('required');
    const config = { server: 'localhost', port, database: 'master', authentication: entra.credential() };
    await open({ ...config, options: { trustServerCertificate: true } });
    expect(logins.length).toBeGreaterThan(0);
  });

  test('sends no token to a server that does not encrypt', async () => {
    const server = await serverThat('not-supported');
    const config = { server: 'localhost', port: server.port, database: 'master', authentication: entra.credential() };
    await expect(open(config)).rejects.toThrow();
    expect(server.logins.filter(({ accepted }) => accepted)).toEqual([]);
    expect(server.receivedInClear.includes(Buffer.from('eyJ', 'utf16le'))).toBe(false);
  });
});

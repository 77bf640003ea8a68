import { PrismaMssql } from '@prisma/adapter-mssql';
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
import { sequelizeOptions } from '../../src/orm/sequelize.js';
import { dataSourceOptions } from '../../src/orm/typeorm.js';
import { type EntraEmulator, type SqlEmulator, startEntraEmulator, startSqlEmulator } from '../../src/testing/index.js';

/** Connects through an ORM with nothing said about encryption or certificates. */
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
  async drizzle(config) {
    const client = await connectClient(config);
    await client.close();
  },
  async prisma(config) {
    const adapter = await new PrismaMssql(adapterConfig(config) as never).connect();
    await adapter.dispose();
  },
};

let entra: EntraEmulator;
const servers: SqlEmulator[] = [];
beforeAll(async () => {
  entra = await startEntraEmulator();
});
afterAll(async () => {
  for (const server of servers) await server.close();
  await entra.close();
});

async function serverThat(encrypt: 'required' | 'not-supported'): Promise<SqlEmulator> {
  const server = await startSqlEmulator({ entra, encrypt });
  servers.push(server);
  return server;
}

describe.each(Object.entries(connect))('%s', (_, open) => {
  test('checks the certificate of the server, and says so when it is not trusted', async () => {
    const { port, logins, ca } = await serverThat('required');
    const config = { server: 'localhost', port, database: 'master', authentication: entra.credential() };
    await expect(open(config)).rejects.toThrow(/certificate/);
    expect(logins).toEqual([]);
    await open({ ...config, options: { cryptoCredentialsDetails: { ca } } } as TokenPoolConfig);
    expect(logins.every(({ accepted, encrypted }) => accepted && encrypted)).toBe(true);
  });

  test('trusts any certificate where the user says so', async () => {
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

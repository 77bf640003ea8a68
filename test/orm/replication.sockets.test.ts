import { Sequelize } from 'sequelize';
import { DataSource } from 'typeorm';
import { expect, test } from 'vitest';
import { sequelizeOptions } from '../../src/orm/sequelize.js';
import { dataSourceOptions } from '../../src/orm/typeorm.js';
import { type LoginRecord, startSqlEmulator } from '../../src/testing/index.js';
import { site } from '../support/pool.js';

/** Long enough for connections to outlive their first token. */
const LIFETIME_S = 2;
const isFresh = ({ error }: LoginRecord): boolean => error === undefined;

test("TypeORM's replication: the primary and each replica log in with fresh tokens", async () => {
  await using s = await site({ entra: { tokenLifetimeSeconds: LIFETIME_S } });
  await using replica = await startSqlEmulator({ entra: s.entra });
  const authentication = s.entra.credential();
  const [primary, secondary] = [s.server.config(), replica.config()];
  const options = { ...primary.options, trustServerCertificate: true };
  // What \`extra\` says goes before what the nodes say.
  const { extra, ...shared } = dataSourceOptions({ ...primary, options, authentication } as never);
  const { server: _, port: __, ...forAll } = extra;
  const source = new DataSource({
    ...shared,
    extra: forAll,
    replication: {
      master: { host: primary.server, port: primary.port },
      slaves: [{ host: secondary.server, port: secondary.port }],
    },
  } as never);
  await source.initialize();
  try {
    const reader = source.createQueryRunner('slave');
    const writer = source.createQueryRunner('master');
    await expect
      .poll(
        async () => {
          await reader.query('SELECT 1 AS one');
          await writer.query('SELECT 1 AS one');
          return Math.min(replica.logins.length, s.server.logins.length);
        },
        { timeout: 20_000, interval: 50 },
      )
      .toBeGreaterThan(2);
    await reader.release();
    await writer.release();
    expect([...replica.logins, ...s.server.logins].filter((login) => !isFresh(login))).toEqual([]);
  } finally {
    await source.destroy();
  }
});

test("Sequelize's replication: the primary and each replica log in with fresh tokens", async () => {
  await using s = await site({ entra: { tokenLifetimeSeconds: LIFETIME_S } });
  await using replica = await startSqlEmulator({ entra: s.entra });
  const authentication = s.entra.credential();
  const optionsOf = (config: object) => sequelizeOptions({ ...config, authentication } as never);
  const base = optionsOf(s.server.config());
  const { host, port, dialectOptions, database } = base;
  const read = optionsOf(replica.config());
  const sequelize = new Sequelize({
    ...base,
    logging: false,
    databaseVersion: '16.0.0',
    replication: {
      write: { host, port, database, dialectOptions },
      read: [{ host: read.host, port: read.port, database, dialectOptions: read.dialectOptions }],
    },
  } as never);
  try {
    await expect
      .poll(
        async () => {
          await sequelize.query('SELECT 1 AS one', { type: 'SELECT' as never });
          await sequelize.query('SELECT 1 AS one', { useMaster: true } as never);
          return Math.min(replica.logins.length, s.server.logins.length);
        },
        { timeout: 20_000, interval: 50 },
      )
      .toBeGreaterThan(2);
    expect([...replica.logins, ...s.server.logins].filter((login) => !isFresh(login))).toEqual([]);
  } finally {
    await sequelize.close();
  }
});

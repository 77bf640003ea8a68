import knex from 'knex';
import stock from 'mssql';
import { QueryTypes, Sequelize } from 'sequelize';
import { expect, test } from 'vitest';
import type { TokenPoolConfig } from '../../src/connections/config.js';
import { createTokenPool, createTokenPools, withTokenRefresh } from '../../src/index.js';
import sql from '../../src/mssql/index.js';
import { knexConfig } from '../../src/orm/knex.js';
import { sequelizeOptions } from '../../src/orm/sequelize.js';
import { dataSourceOptions } from '../../src/orm/typeorm.js';
import { site } from '../support/pool.js';
import { query } from '../support/query.js';

/** An application with a pool of some kind. */
interface Client {
  /** Who the server says is logged in. */
  name(): Promise<unknown>;
  close(): Promise<unknown>;
}
type Way = { name: string; open(config: TokenPoolConfig): Promise<Client> };

const WHO = 'SELECT SUSER_SNAME() AS name';

async function mssqlClient(pool: stock.ConnectionPool): Promise<Client> {
  await pool.connect();
  return { name: async () => (await pool.query(WHO)).recordset[0].name, close: () => pool.close() };
}

const ways: Way[] = [
  {
    name: 'createTokenPool',
    async open(config) {
      const pool = createTokenPool(config);
      const name = async () => (await pool.use((connection) => query(connection, WHO)))[0]?.[0];
      return { name, close: () => pool.close() };
    },
  },
  {
    name: 'createTokenPools',
    async open(config) {
      const { authentication, ...rest } = config;
      const pools = createTokenPools(rest);
      const identity = pools.for({ authentication } as never);
      const name = async () => (await identity.use((connection) => query(connection, WHO)))[0]?.[0];
      return { name, close: () => pools.close() };
    },
  },
  { name: 'the drop-in', open: (config) => mssqlClient(new sql.ConnectionPool(config) as never) },
  {
    name: 'withTokenRefresh',
    open: (config) => mssqlClient(new stock.ConnectionPool(withTokenRefresh(config) as never)),
  },
  {
    name: 'Sequelize 6',
    async open(config) {
      const options = sequelizeOptions(config as never);
      const sequelize = new Sequelize({ ...options, logging: false, databaseVersion: '16.0.0' } as never);
      const rows = () => sequelize.query<{ name: string }>(WHO, { type: QueryTypes.SELECT });
      return { name: async () => (await rows())[0]?.name, close: () => sequelize.close() };
    },
  },
  {
    name: 'knex',
    async open(config) {
      const db = knex(knexConfig(config));
      return { name: async () => (await db.raw(WHO))[0].name, close: () => db.destroy() };
    },
  },
  {
    name: 'TypeORM',
    async open(config) {
      const { DataSource } = await import('typeorm');
      const dataSource = new DataSource({ ...dataSourceOptions(config as never) } as never);
      await dataSource.initialize();
      return { name: async () => (await dataSource.query(WHO))[0].name, close: () => dataSource.destroy() };
    },
  },
];

/** The codes of an error and of everything that it says was its cause. */
function codesOf(error: unknown): unknown[] {
  const codes: unknown[] = [];
  const pending = [error];
  for (let next = pending.shift(); next !== undefined; next = pending.shift()) {
    const { code, cause, originalError, original, parent, driverError } = next as Record<string, unknown>;
    codes.push(code);
    pending.push(...[cause, originalError, original, parent, driverError].filter((each) => each instanceof Error));
  }
  return codes;
}

test.concurrent.each(ways)(
  '$name never uses sessions of two principals when its credential changes to another one',
  async ({ open }) => {
    await using s = await site({ entra: { tokenLifetimeSeconds: 3 } });
    const [first, second] = [s.entra.addApp(), s.entra.addApp()];
    let current = first;
    // What a ChainedTokenCredential of @azure/identity does when another member becomes available.
    const credential = { getToken: (scope: string) => s.entra.credential(current).getToken(scope) };
    const config = { ...s.server.config(), authentication: credential, strictExpiry: true, pool: { max: 4 } };
    const client = await open(config as TokenPoolConfig);
    try {
      const names = new Set<unknown>([await client.name()]);
      current = second;
      let failure: unknown;
      const until = Date.now() + 15_000;
      while (failure === undefined && Date.now() < until) {
        await Promise.all([1, 2, 3].map(async () => names.add(await client.name()))).catch((error: unknown) => {
          failure = error;
        });
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      expect(codesOf(failure)).toContain('ERR_PRINCIPAL_CHANGED');
      expect([...names]).toEqual([s.server.logins[0]?.principal]);
      const loggedIn = s.server.logins.filter(({ accepted }) => accepted).map(({ principal }) => principal);
      expect([...new Set(loggedIn)]).toEqual([...names]);
    } finally {
      await client.close();
    }
  },
);

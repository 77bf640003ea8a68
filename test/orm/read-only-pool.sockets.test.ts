import { drizzle } from 'drizzle-orm/node-mssql';
import knex from 'knex';
import { CompiledQuery, Kysely, MssqlDialect } from 'kysely';
import { DataSource } from 'typeorm';
import { expect, test } from 'vitest';
import type { TokenPool } from '../../src/index.js';
import sql from '../../src/mssql/index.js';
import { connectClient } from '../../src/orm/drizzle.js';
import { knexConfig } from '../../src/orm/knex.js';
import { dialectConfig } from '../../src/orm/kysely.js';
import { dataSourceOptions } from '../../src/orm/typeorm.js';
import { site } from '../support/pool.js';

const READ = 'SELECT 1 AS one';

/** A query on the replica, through each client that takes a pool. */
const READERS: Record<string, (replica: TokenPool['readOnly']) => Promise<() => Promise<unknown>>> = {
  async mssql(replica) {
    const db = await new sql.ConnectionPool(replica).connect();
    await db.query(READ);
    return () => db.close();
  },
  async knex(replica) {
    const db = knex(knexConfig(replica));
    await db.raw(READ);
    return () => db.destroy();
  },
  async Kysely(replica) {
    const db = new Kysely({ dialect: new MssqlDialect(dialectConfig(replica)) });
    await db.executeQuery(CompiledQuery.raw(READ));
    return () => db.destroy();
  },
  async TypeORM(replica) {
    const db = await new DataSource(dataSourceOptions(replica)).initialize();
    await db.query(READ);
    return () => db.destroy();
  },
  async Drizzle(replica) {
    const client = await connectClient(replica);
    await drizzle({ client: client as never }).execute(READ);
    return () => client.close();
  },
  async 'MikroORM 6'(replica) {
    const { init } = await import('./packages/mikro-orm-6/orm.js');
    const orm = await init(replica as never);
    await orm.em.getConnection().execute(READ);
    return () => orm.close();
  },
};

test.each(Object.entries(READERS))(
  '%s on pool.readOnly reads from the replica, with the token of the primary',
  async (_, read) => {
    await using s = await site();
    const pool = s.pool({ readOnly: true });
    await pool.use(() => undefined);
    const close = await read(pool.readOnly);
    expect(s.server.logins.map(({ readOnlyIntent }) => readOnlyIntent)).toEqual([false, true]);
    expect(s.entra.requests.filter(({ endpoint }) => endpoint === 'token')).toHaveLength(1);
    await close();
    // The pool is that of the application, which closes it.
    await pool.readOnly.use(() => undefined);
    expect(pool.readOnly.stats.borrowed).toBe(0);
  },
);

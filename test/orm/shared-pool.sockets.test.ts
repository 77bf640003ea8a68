import { drizzle } from 'drizzle-orm/node-mssql';
import knex from 'knex';
import { CompiledQuery, Kysely, MssqlDialect } from 'kysely';
import { Model } from 'objection';
import { DataSource } from 'typeorm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTokenPool, type TokenPool } from '../../src/index.js';
import sql from '../../src/mssql/index.js';
import { connectClient } from '../../src/orm/drizzle.js';
import { knexConfig } from '../../src/orm/knex.js';
import { dialectConfig } from '../../src/orm/kysely.js';
import { dataSourceOptions } from '../../src/orm/typeorm.js';
import { query as runQuery } from '../support/query.js';
import { knexLibrary } from './knex-library.js';
import { type Site, startSite, TOKEN_LIFETIME_MS } from './server.js';

let site: Site;
beforeAll(async () => {
  site = await startSite({ shortTokens: false });
});
afterAll(() => site[Symbol.asyncDispose]());

const MAX = 2;
const SPID = 'SELECT @@SPID AS spid';

/** Two ORMs, mssql and what is built on it, on one pool; each runs one query. */
async function everybodyOn(pool: TokenPool): Promise<{ query: (() => Promise<unknown>)[]; close(): Promise<void> }> {
  const db = knex(knexConfig(pool));
  const kysely = new Kysely({ dialect: new MssqlDialect(dialectConfig(pool)) });
  const mssql = await new sql.ConnectionPool(pool).connect();
  const dataSource = await new DataSource(dataSourceOptions(pool)).initialize();
  const client = await connectClient(pool);
  const drizzled = drizzle({ client: client as never });
  return {
    query: [
      () => db.raw(SPID),
      () => kysely.executeQuery(CompiledQuery.raw(SPID)),
      () => mssql.query(SPID),
      () => dataSource.query(SPID),
      () => drizzled.execute(SPID),
    ],
    async close() {
      await Promise.all([db.destroy(), kysely.destroy(), mssql.close(), dataSource.destroy(), client.close()]);
    },
  };
}

test('one pool for knex, Kysely, TypeORM, Drizzle and plain mssql: its connections, one token, and it stays open', async () => {
  const { entra, server } = site;
  const pool = createTokenPool(server.config({ authentication: entra.credential(), pool: { max: MAX } }));
  // On a slow machine, one connection could serve all queries before another is needed.
  for (const connection of await Promise.all(Array.from({ length: MAX }, () => pool.acquire())))
    pool.release(connection);
  const { query, close } = await everybodyOn(pool);
  const answers = await Promise.all(Array.from({ length: 20 }, () => query.map((run) => run())).flat());
  expect(answers).toHaveLength(20 * query.length);
  expect(pool.stats.logins).toBe(MAX);
  expect(server.logins).toHaveLength(MAX);
  expect(entra.requests.filter(({ endpoint }) => endpoint === 'token')).toHaveLength(1);

  await close();
  expect(pool.stats).toMatchObject({ size: MAX, borrowed: 0 });
  await pool.use((connection) => runQuery(connection, SPID));
  await pool.close();
  await expect.poll(() => server.connections.open).toBe(0);
});

test('while tokens expire: never more connections than one pool may have, one token request per lifetime', async () => {
  await using short = await startSite();
  const { entra, server } = short;
  const pool = createTokenPool(server.config({ authentication: entra.credential(), pool: { max: MAX } }));
  const startedAt = Date.now();
  const { query, close } = await everybodyOn(pool);
  const tokens = () => new Set(server.logins.map(({ tokenExpiry }) => tokenExpiry)).size;
  while (tokens() < 4) await Promise.all(query.map((run) => run()));
  await close();
  await pool.close();
  // One more is open for a moment: the one that replaces another.
  expect(server.connections.most).toBeLessThanOrEqual(MAX + 1);
  const requests = entra.requests.filter(({ endpoint }) => endpoint === 'token');
  // A third of the lifetime after the last, less the jitter of a tenth.
  const shortest = (TOKEN_LIFETIME_MS / 3) * 0.9;
  expect(requests.length).toBeLessThanOrEqual(1 + (Date.now() - startedAt) / shortest);
  expect(server.logins.filter(({ error }) => error !== undefined)).toEqual([]);
});

test('mssql on a shared pool: transactions, types that need the collation, streams, the global pool', async () => {
  const { entra, server } = site;
  const pool = createTokenPool(server.config({ authentication: entra.credential(), pool: { max: MAX } }));
  const shared = await sql.connect(pool);
  expect(shared).toMatchObject({ connected: true, healthy: true, available: 1, borrowed: 0 });
  expect(await sql.connect('of no use: it is open')).toBe(shared);
  const { recordset } = await new sql.Request()
    .input('word', sql.VarChar(10), 'na\u00efve')
    .batch('SELECT @word AS word');
  expect(recordset).toEqual([{ word: 'na\u00efve' }]);
  const transaction = new sql.Transaction();
  await transaction.begin();
  expect(pool.stats.borrowed).toBe(1);
  await transaction.request().query('SELECT 1 AS one');
  await transaction.commit();
  await sql.close();
  expect(pool.stats).toMatchObject({ size: 1, borrowed: 0 });
  await expect(shared.query(SPID)).rejects.toMatchObject({ code: 'ECONNCLOSED' });
  await pool.close();
  await expect(new sql.ConnectionPool(pool).connect()).rejects.toMatchObject({
    originalError: { code: 'ERR_POOL_CLOSED' },
  });
});

test('separate pools with one credential share its token', async () => {
  const { entra, server } = site;
  const before = entra.requests.length;
  const config = server.config({ authentication: entra.credential(), pool: { max: MAX } });
  const db = knex(knexConfig(config));
  const mssql = await new sql.ConnectionPool(config).connect();
  await Promise.all([db.raw(SPID), mssql.query(SPID)]);
  expect(entra.requests.slice(before).filter(({ endpoint }) => endpoint === 'token')).toHaveLength(1);
  await db.destroy();
  await mssql.close();
});

test('Objection works on knex as it is', async () => {
  const { entra, server } = site;
  const db = knex(knexConfig(server.config({ authentication: entra.credential() })));
  const library = knexLibrary(db);
  await library.dropTables();
  await library.createTables();

  class Book extends Model {
    static override tableName = 'knex_books';
    declare id: number;
    declare title: string;
  }
  class Author extends Model {
    static override tableName = 'knex_authors';
    static override relationMappings = {
      books: {
        relation: Model.HasManyRelation,
        modelClass: Book,
        join: { from: 'knex_authors.id', to: 'knex_books.author_id' },
      },
    };
    declare id: number;
    declare name: string;
    declare books: Book[];
  }
  Model.knex(db);
  await Author.query().insertGraph({ name: 'Ursula', books: [{ title: 'The Dispossessed' }] } as never);
  const [author] = await Author.query().withGraphFetched('books');
  expect(author).toMatchObject({ name: 'Ursula', books: [{ title: 'The Dispossessed' }] });
  await library.dropTables();
  await library.close();
});

import knex from 'knex';
import { CompiledQuery, Kysely, MssqlDialect } from 'kysely';
import { Model } from 'objection';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTokenPool } from '../../src/index.js';
import sql from '../../src/mssql/index.js';
import { knexConfig } from '../../src/orm/knex.js';
import { dialectConfig } from '../../src/orm/kysely.js';
import { knexLibrary } from './knex-library.js';
import { type Site, startSite } from './server.js';

let site: Site;
beforeAll(async () => {
  site = await startSite({ shortTokens: false });
});
afterAll(() => site[Symbol.asyncDispose]());

test('two ORMs and raw tedious share one pool; plain mssql beside them shares its tokens', async () => {
  const { entra, server } = site;
  const config = server.config({ authentication: entra.credential(), pool: { max: 2 } });
  const pool = createTokenPool(config);
  const db = knex(knexConfig(pool));
  const kysely = new Kysely({ dialect: new MssqlDialect(dialectConfig(pool)) });
  const mssql = await new sql.ConnectionPool(config).connect();

  const query = CompiledQuery.raw('SELECT @@SPID AS spid');
  const answers = await Promise.all(
    Array.from({ length: 30 }, () => [db.raw('SELECT @@SPID AS spid'), kysely.executeQuery(query)]).flat(),
  );
  expect(answers).toHaveLength(60);
  expect(pool.stats.logins).toBe(2);
  expect((await mssql.query`SELECT 1 AS one`).recordset).toEqual([{ one: 1 }]);
  expect(server.logins).toHaveLength(3);
  expect(entra.requests.filter(({ endpoint }) => endpoint === 'token')).toHaveLength(1);

  // An ORM that is closed leaves the pool to the others.
  await db.destroy();
  await kysely.executeQuery(query);
  await kysely.destroy();
  expect(pool.stats.size).toBe(2);
  await pool.close();
  await mssql.close();
  await expect.poll(() => server.connections.open).toBe(0);
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

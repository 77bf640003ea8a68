import type { Knex } from 'knex';
import type { Authors, Library } from './suite.js';

/** The library on any version of knex. */
export function knexLibrary(db: Knex): Library {
  const migrations = { migrationSource: migrationSource(), tableName: 'knex_done', disableTransactions: false };
  return {
    ...authors(db),
    async createTables() {
      await db.migrate.latest(migrations);
    },
    createTablesPlainly: () => createTables(db),
    async dropTables() {
      for (const table of ['knex_books', 'knex_authors', 'knex_done', 'knex_done_lock']) {
        await db.schema.dropTableIfExists(table);
      }
    },
    transaction: (work) =>
      db.transaction((transaction) =>
        work({
          ...authors(transaction),
          nested: (inner) => transaction.transaction((savepoint) => inner(authors(savepoint))),
        }),
      ),
    async *stream() {
      for await (const { name } of db<{ name: string }>('knex_authors').select('name').stream()) yield name;
    },
    close: () => db.destroy(),
  };
}

function authors(db: Knex): Authors {
  return {
    async add(name, titles) {
      const [{ id } = { id: 0 }] = await db('knex_authors').insert({ name }, ['id']);
      if (titles.length > 0) await db('knex_books').insert(titles.map((title) => ({ title, author_id: id })));
      return id;
    },
    async find(id) {
      const rows: { name: string; title: string | null }[] = await db('knex_authors as a')
        .leftJoin('knex_books as b', 'b.author_id', 'a.id')
        .select('a.name', 'b.title')
        .where('a.id', id)
        .orderBy('b.id');
      const [first] = rows;
      return first && { name: first.name, titles: rows.flatMap(({ title }) => title ?? []) };
    },
    async rename(id, name) {
      await db('knex_authors').where({ id }).update({ name });
    },
    async remove(id) {
      await db('knex_books').where({ author_id: id }).delete();
      await db('knex_authors').where({ id }).delete();
    },
  };
}

function migrationSource(): Knex.MigrationSource<string> {
  return {
    getMigrations: async () => ['tables'],
    getMigrationName: (name) => name,
    getMigration: async () => ({ up: createTables, async down() {} }),
  };
}

async function createTables(db: Knex): Promise<void> {
  await db.schema.createTable('knex_authors', (table) => {
    table.increments('id');
    table.string('name', 100).notNullable();
  });
  await db.schema.createTable('knex_books', (table) => {
    table.increments('id');
    table.string('title', 100).notNullable();
    table.integer('author_id').notNullable().references('id').inTable('knex_authors');
  });
}

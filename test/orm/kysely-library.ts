import type { ColumnType, Generated, Kysely, Transaction } from 'kysely';
import type { Authors, Library } from './suite.js';

export interface Database {
  kysely_authors: { id: Generated<number>; name: string };
  kysely_books: { id: Generated<number>; title: string; author_id: ColumnType<number> };
}

/** The library on any version of Kysely, which differ in nothing it uses. */
export function kyselyLibrary(db: Kysely<Database>): Library {
  return {
    ...authors(db),
    async createTables() {
      await db.schema
        .createTable('kysely_authors')
        .addColumn('id', 'integer', (column) => column.identity().primaryKey())
        .addColumn('name', 'varchar(100)', (column) => column.notNull())
        .execute();
      await db.schema
        .createTable('kysely_books')
        .addColumn('id', 'integer', (column) => column.identity().primaryKey())
        .addColumn('title', 'varchar(100)', (column) => column.notNull())
        .addColumn('author_id', 'integer', (column) => column.notNull().references('kysely_authors.id'))
        .execute();
    },
    async dropTables() {
      await db.schema.dropTable('kysely_books').ifExists().execute();
      await db.schema.dropTable('kysely_authors').ifExists().execute();
    },
    async transaction(work) {
      const transaction = await db.startTransaction().execute();
      let depth = 0;
      try {
        await work({
          ...authors(transaction),
          async nested(inner) {
            depth += 1;
            const name = `nested_${depth}`;
            const savepoint = await transaction.savepoint(name).execute();
            try {
              await inner(authors(savepoint));
            } catch (error) {
              await savepoint.rollbackToSavepoint(name).execute();
              throw error;
            }
          },
        });
        await transaction.commit().execute();
      } catch (error) {
        await transaction.rollback().execute();
        throw error;
      }
    },
    async *stream() {
      for await (const { name } of db.selectFrom('kysely_authors').select('name').stream(10)) yield name;
    },
    close: () => db.destroy(),
  };
}

function authors(db: Kysely<Database> | Transaction<Database>): Authors {
  return {
    async add(name, titles) {
      const { id } = await db
        .insertInto('kysely_authors')
        .values({ name })
        .output('inserted.id')
        .executeTakeFirstOrThrow();
      for (const title of titles) await db.insertInto('kysely_books').values({ title, author_id: id }).execute();
      return id;
    },
    async find(id) {
      const rows = await db
        .selectFrom('kysely_authors as a')
        .leftJoin('kysely_books as b', 'b.author_id', 'a.id')
        .select(['a.name', 'b.title'])
        .where('a.id', '=', id)
        .orderBy('b.id')
        .execute();
      const [first] = rows;
      return first && { name: first.name, titles: rows.flatMap(({ title }) => title ?? []) };
    },
    async rename(id, name) {
      await db.updateTable('kysely_authors').set({ name }).where('id', '=', id).execute();
    },
    async remove(id) {
      await db.deleteFrom('kysely_books').where('author_id', '=', id).execute();
      await db.deleteFrom('kysely_authors').where('id', '=', id).execute();
    },
  };
}

import { asc, eq, sql } from 'drizzle-orm';
import { int, mssqlTable, nvarchar } from 'drizzle-orm/mssql-core';
import { drizzle } from 'drizzle-orm/node-mssql';
import { connectClient } from '../../src/orm/drizzle.js';
import { type Authors, type Library, ormSuite } from './suite.js';
import { versionOf } from './version-of.js';

const authors = mssqlTable('drizzle_authors', {
  id: int().primaryKey().identity(),
  name: nvarchar({ length: 100 }).notNull(),
});
const books = mssqlTable('drizzle_books', {
  id: int().primaryKey().identity(),
  title: nvarchar({ length: 100 }).notNull(),
  authorId: int('author_id')
    .notNull()
    .references(() => authors.id),
});

type Database = ReturnType<typeof drizzle>;
type Transaction = Parameters<Parameters<Database['transaction']>[0]>[0];

ormSuite({
  name: 'Drizzle 1.0 rc',
  version: versionOf('drizzle-orm'),
  seam: '`client` (public)',
  pool: 'ours',
  tables: 'SQL',
  relations: 'joins',
  async open(config) {
    const client = await connectClient(config);
    return { ...library(drizzle({ client: client as never })), close: () => client.close() };
  },
});

function library(db: Database): Omit<Library, 'close'> {
  return {
    ...authorsOf(db),
    async createTables() {
      await db.execute(
        sql`CREATE TABLE drizzle_authors (id INT IDENTITY(1,1) PRIMARY KEY, name NVARCHAR(100) NOT NULL)`,
      );
      await db.execute(
        sql`CREATE TABLE drizzle_books (id INT IDENTITY(1,1) PRIMARY KEY, title NVARCHAR(100) NOT NULL, author_id INT NOT NULL REFERENCES drizzle_authors(id))`,
      );
    },
    async dropTables() {
      await db.execute(sql`DROP TABLE IF EXISTS drizzle_books`);
      await db.execute(sql`DROP TABLE IF EXISTS drizzle_authors`);
    },
    transaction: (work) =>
      db.transaction((transaction) =>
        work({
          ...authorsOf(transaction),
          nested: (inner) => transaction.transaction((savepoint) => inner(authorsOf(savepoint))),
        }),
      ),
  };
}

function authorsOf(db: Database | Transaction): Authors {
  return {
    async add(name, titles) {
      const [row] = await db.insert(authors).output({ id: authors.id }).values({ name });
      const id = (row as { id: number }).id;
      if (titles.length > 0) await db.insert(books).values(titles.map((title) => ({ title, authorId: id })));
      return id;
    },
    async find(id) {
      const rows = await db
        .select({ name: authors.name, title: books.title })
        .from(authors)
        .leftJoin(books, eq(books.authorId, authors.id))
        .where(eq(authors.id, id))
        .orderBy(asc(books.id));
      const [first] = rows;
      return first && { name: first.name, titles: rows.flatMap(({ title }) => title ?? []) };
    },
    async rename(id, name) {
      await db.update(authors).set({ name }).where(eq(authors.id, id));
    },
    async remove(id) {
      await db.delete(books).where(eq(books.authorId, id));
      await db.delete(authors).where(eq(authors.id, id));
    },
  };
}

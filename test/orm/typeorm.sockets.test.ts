import {
  DataSource,
  type EntityManager,
  EntitySchema,
  type MigrationInterface,
  type QueryRunner,
  Table,
} from 'typeorm';
import { dataSourceOptions } from '../../src/orm/typeorm.js';
import { type Authors, type Library, ormSuite } from './suite.js';
import { versionOf } from './version-of.js';

interface Author {
  id: number;
  name: string;
  books: Book[];
}
interface Book {
  id: number;
  title: string;
  author: Author;
}

const AuthorEntity = new EntitySchema<Author>({
  name: 'Author',
  tableName: 'typeorm_authors',
  columns: { id: { type: 'int', primary: true, generated: true }, name: { type: 'nvarchar', length: 100 } },
  relations: { books: { type: 'one-to-many', target: 'Book', inverseSide: 'author' } },
});
const BookEntity = new EntitySchema<Book>({
  name: 'Book',
  tableName: 'typeorm_books',
  columns: { id: { type: 'int', primary: true, generated: true }, title: { type: 'nvarchar', length: 100 } },
  relations: { author: { type: 'many-to-one', target: 'Author', joinColumn: { name: 'author_id' }, nullable: false } },
});

class Tables1 implements MigrationInterface {
  readonly name = 'Tables1700000000000';

  async up(runner: QueryRunner): Promise<void> {
    const id = {
      name: 'id',
      type: 'int',
      isPrimary: true,
      isGenerated: true,
      generationStrategy: 'increment',
    } as const;
    await runner.createTable(
      new Table({ name: 'typeorm_authors', columns: [id, { name: 'name', type: 'nvarchar', length: '100' }] }),
    );
    await runner.createTable(
      new Table({
        name: 'typeorm_books',
        columns: [id, { name: 'title', type: 'nvarchar', length: '100' }, { name: 'author_id', type: 'int' }],
      }),
    );
  }

  async down(): Promise<void> {}
}

ormSuite({
  name: 'TypeORM 1.1',
  version: versionOf('typeorm'),
  seam: '`driver` (public): the drop-in for mssql',
  pool: 'ours',
  tables: 'migrations',
  relations: 'entities',
  async open(config) {
    const dataSource = new DataSource({
      ...dataSourceOptions(config),
      entities: [AuthorEntity, BookEntity],
      migrations: [Tables1],
      migrationsTableName: 'typeorm_done',
    });
    return library(await dataSource.initialize());
  },
});

function library(dataSource: DataSource): Library {
  return {
    ...authors(dataSource.manager),
    async createTables() {
      await dataSource.runMigrations();
    },
    async dropTables() {
      for (const table of ['typeorm_books', 'typeorm_authors', 'typeorm_done']) {
        await dataSource.query(`IF OBJECT_ID('${table}', 'U') IS NOT NULL DROP TABLE ${table}`);
      }
    },
    transaction: (work) =>
      dataSource.transaction((manager) =>
        work({
          ...authors(manager),
          nested: (inner) => manager.transaction((savepoint) => inner(authors(savepoint))),
        }),
      ),
    async *stream() {
      const runner = dataSource.createQueryRunner();
      const rows = await dataSource.createQueryBuilder(AuthorEntity, 'a', runner).select('a.name', 'name').stream();
      try {
        for await (const { name } of rows as unknown as AsyncIterable<{ name: string }>) yield name;
      } finally {
        await runner.release();
      }
    },
    close: () => dataSource.destroy(),
  };
}

function authors(manager: EntityManager): Authors {
  return {
    async add(name, titles) {
      const author = await manager.save(AuthorEntity, { name });
      for (const title of titles) await manager.save(BookEntity, { title, author });
      return author.id;
    },
    async find(id) {
      const author = await manager.findOne(AuthorEntity, {
        where: { id },
        relations: { books: true },
        order: { books: { id: 'ASC' } },
      });
      return author === null ? undefined : { name: author.name, titles: author.books.map(({ title }) => title) };
    },
    async rename(id, name) {
      await manager.update(AuthorEntity, { id }, { name });
    },
    async remove(id) {
      await manager.delete(BookEntity, { author: { id } });
      await manager.delete(AuthorEntity, { id });
    },
  };
}

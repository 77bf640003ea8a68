import type { Authors, Library } from './suite.js';

/** What the suite uses of MikroORM, the same in 6 and 7. */
export interface MikroOrm {
  em: EntityManager;
  schema: Record<string, (...args: unknown[]) => Promise<void>>;
  close(force?: boolean): Promise<void>;
}
interface EntityManager {
  fork(): EntityManager;
  create(entity: string, data: object): { id: number };
  flush(): Promise<void>;
  getConnection(): { execute(sql: string): Promise<unknown> };
  clear(): void;
  findOne(
    entity: string,
    where: object,
    options?: object,
  ): Promise<{ name: string; books: Iterable<{ title: string }> } | null>;
  nativeUpdate(entity: string, where: object, data: object): Promise<number>;
  nativeDelete(entity: string, where: object): Promise<number>;
  transactional<T>(work: (manager: EntityManager) => Promise<T>): Promise<T>;
}

/** `EntitySchema` of the version in use. */
export function entities(EntitySchema: new (meta: object) => object): object[] {
  const id = { type: 'number', primary: true };
  return [
    new EntitySchema({
      name: 'Author',
      tableName: 'mikro_authors',
      properties: {
        id,
        name: { type: 'string', length: 100 },
        books: { kind: '1:m', entity: () => 'Book', mappedBy: 'author', orderBy: { id: 'asc' } },
      },
    }),
    new EntitySchema({
      name: 'Book',
      tableName: 'mikro_books',
      properties: { id, title: { type: 'string', length: 100 }, author: { kind: 'm:1', entity: () => 'Author' } },
    }),
  ];
}

export function mikroOrmLibrary(orm: MikroOrm): Library {
  const execute = (sql: string) => orm.em.getConnection().execute(sql);
  return {
    ...authors(() => orm.em.fork()),
    createTables: () => orm.schema.createSchema?.() ?? (orm.schema.create as () => Promise<void>)(),
    async createTablesPlainly() {
      await execute('CREATE TABLE mikro_authors (id INT IDENTITY PRIMARY KEY, name NVARCHAR(100) NOT NULL)');
      await execute(
        'CREATE TABLE mikro_books (id INT IDENTITY PRIMARY KEY, title NVARCHAR(100) NOT NULL, author_id INT NOT NULL)',
      );
    },
    async dropTables() {
      await execute('DROP TABLE IF EXISTS mikro_books');
      await execute('DROP TABLE IF EXISTS mikro_authors');
    },
    transaction: (work) =>
      orm.em.fork().transactional((manager) =>
        work({
          ...authors(() => manager),
          nested: (inner) => manager.transactional((savepoint) => inner(authors(() => savepoint))),
        }),
      ),
    close: () => orm.close(true),
  };
}

function authors(manager: () => EntityManager): Authors {
  return {
    async add(name, titles) {
      const em = manager();
      const author = em.create('Author', { name, books: titles.map((title) => ({ title })) });
      await em.flush();
      return author.id;
    },
    async find(id) {
      const em = manager();
      const author = await em.findOne('Author', { id }, { populate: ['books'], refresh: true });
      return author === null ? undefined : { name: author.name, titles: [...author.books].map(({ title }) => title) };
    },
    async rename(id, name) {
      await manager().nativeUpdate('Author', { id }, { name });
    },
    async remove(id) {
      const em = manager();
      await em.nativeDelete('Book', { author: id });
      await em.nativeDelete('Author', { id });
    },
  };
}

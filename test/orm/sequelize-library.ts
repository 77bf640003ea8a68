import { DataTypes, type Sequelize, type Transaction } from 'sequelize';
import type { Authors, Library } from './suite.js';

/** Sequelize 7 joins the outer transaction otherwise; 6 knows nothing else. */
const SAVEPOINT = { nestMode: 'savepoint' };

/** The library on any version of Sequelize. */
export function sequelizeLibrary(sequelize: Sequelize, types: typeof DataTypes = DataTypes): Library {
  const options = { timestamps: false };
  const Author = sequelize.define(
    'author',
    { name: types.STRING(100) },
    { ...options, tableName: 'sequelize_authors' },
  );
  const Book = sequelize.define('book', { title: types.STRING(100) }, { ...options, tableName: 'sequelize_books' });
  Author.hasMany(Book, { foreignKey: 'authorId', as: 'books' });

  const authors = (transaction: Transaction | null): Authors => ({
    async add(name, titles) {
      const author = await Author.create({ name }, { transaction });
      const id = author.get('id') as number;
      for (const title of titles) await Book.create({ title, authorId: id }, { transaction });
      return id;
    },
    async find(id) {
      const author = await Author.findByPk(id, { include: 'books', order: [['books', 'id', 'ASC']], transaction });
      if (author === null) return undefined;
      const { name, books } = author.get({ plain: true }) as { name: string; books: { title: string }[] };
      return { name, titles: books.map(({ title }) => title) };
    },
    async rename(id, name) {
      await Author.update({ name }, { where: { id }, transaction });
    },
    async remove(id) {
      await Book.destroy({ where: { authorId: id }, transaction });
      await Author.destroy({ where: { id }, transaction });
    },
  });

  return {
    ...authors(null),
    async createTables() {
      await sequelize.sync();
    },
    async createTablesPlainly() {
      const tables = sequelize.getQueryInterface();
      for (const model of [Author, Book]) await tables.createTable(model.tableName, model.getAttributes() as never);
    },
    async dropTables() {
      await Book.drop();
      await Author.drop();
    },
    transaction: (work) =>
      sequelize.transaction((transaction) =>
        work({
          ...authors(transaction),
          nested: (inner) =>
            sequelize.transaction({ transaction, ...SAVEPOINT }, (savepoint) => inner(authors(savepoint))),
        }),
      ),
    close: () => sequelize.close(),
  };
}

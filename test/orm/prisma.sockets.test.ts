import { PrismaMssql } from '@prisma/adapter-mssql';
import { adapterConfig } from '../../src/orm/prisma.js';
import { type Client, generatedClient, type TransactionClient } from './prisma/generate.js';
import { type Authors, type Library, ormSuite } from './suite.js';
import { versionOf } from './version-of.js';

ormSuite({
  name: 'Prisma 7',
  version: versionOf('@prisma/adapter-mssql'),
  seam: 'the adapter’s mssql config (public)',
  pool: 'its own',
  tables: 'SQL',
  relations: 'models',
  async open(config) {
    const PrismaClient = await generatedClient();
    return library(new PrismaClient({ adapter: new PrismaMssql(adapterConfig(config) as never) }));
  },
});

function library(prisma: Client): Library {
  return {
    ...authors(prisma),
    // Without foreign keys, as `relationMode = "prisma"` has it: not every server can check them while Prisma deletes.
    async createTables() {
      await prisma.$executeRawUnsafe(
        'CREATE TABLE [dbo].[prisma_authors] (id INT IDENTITY(1,1) PRIMARY KEY, name NVARCHAR(100) NOT NULL)',
      );
      await prisma.$executeRawUnsafe(
        'CREATE TABLE [dbo].[prisma_books] (id INT IDENTITY(1,1) PRIMARY KEY, title NVARCHAR(100) NOT NULL, authorId INT NOT NULL)',
      );
    },
    async dropTables() {
      await prisma.$executeRawUnsafe('DROP TABLE IF EXISTS [dbo].[prisma_books]');
      await prisma.$executeRawUnsafe('DROP TABLE IF EXISTS [dbo].[prisma_authors]');
    },
    transaction: (work) =>
      prisma.$transaction(
        (transaction) =>
          work({
            ...authors(transaction),
            async nested(inner) {
              await transaction.$executeRawUnsafe('SAVE TRANSACTION nested');
              try {
                await inner(authors(transaction));
              } catch (error) {
                await transaction.$executeRawUnsafe('ROLLBACK TRANSACTION nested');
                throw error;
              }
            },
          }),
        { maxWait: 30_000, timeout: 30_000 },
      ),
    close: () => prisma.$disconnect(),
  };
}

function authors(prisma: Client | TransactionClient): Authors {
  return {
    async add(name, titles) {
      const { id } = await prisma.author.create({
        data: { name, books: { create: titles.map((title) => ({ title })) } },
      });
      return id;
    },
    async find(id) {
      const author = await prisma.author.findUnique({ where: { id }, include: { books: { orderBy: { id: 'asc' } } } });
      return author === null ? undefined : { name: author.name, titles: author.books.map(({ title }) => title) };
    },
    async rename(id, name) {
      await prisma.author.update({ where: { id }, data: { name } });
    },
    async remove(id) {
      await prisma.book.deleteMany({ where: { authorId: id } });
      await prisma.author.delete({ where: { id } });
    },
  };
}

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** What the suite uses of the client that is generated from schema.prisma. */
export interface Client extends Models {
  $transaction<T>(
    work: (transaction: TransactionClient) => Promise<T>,
    options?: { maxWait?: number; timeout?: number },
  ): Promise<T>;
  $disconnect(): Promise<void>;
}
export interface TransactionClient extends Models {
  $transaction?<T>(work: (transaction: TransactionClient) => Promise<T>): Promise<T>;
}
interface Models {
  author: {
    create(query: object): Promise<{ id: number }>;
    findUnique(query: object): Promise<{ name: string; books: { title: string }[] } | null>;
    update(query: object): Promise<unknown>;
    delete(query: object): Promise<unknown>;
  };
  book: { deleteMany(query: object): Promise<unknown> };
  $executeRawUnsafe(sql: string): Promise<number>;
}

type NewClient = new (options: { adapter: unknown }) => Client;

/** The client of schema.prisma beside this file. */
export async function generatedClient(): Promise<NewClient> {
  const generated = await generateClient(import.meta.dirname);
  return (createRequire(import.meta.url)(generated) as { PrismaClient: NewClient }).PrismaClient;
}

/**
 * Generates the client of the schema in a folder, where it is not there yet. Needs no download: `generate` looks for an
 * engine that it never starts, so any program will do.
 */
export async function generateClient(folder: string): Promise<string> {
  const generated = join(folder, 'generated/index.js');
  if (!existsSync(generated)) {
    const prisma = createRequire(import.meta.url).resolve('prisma/build/index.js');
    await promisify(execFile)(process.execPath, [prisma, 'generate', '--schema', join(folder, 'schema.prisma')], {
      env: { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: process.execPath, CHECKPOINT_DISABLE: '1' },
    });
  }
  return generated;
}

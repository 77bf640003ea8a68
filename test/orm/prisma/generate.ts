import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
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

/** The client, generated where it is not there yet. Needs no download: `generate` never starts the engine it looks for. */
export async function generatedClient(): Promise<NewClient> {
  const require = createRequire(import.meta.url);
  const generated = fileURLToPath(new URL('generated/index.js', import.meta.url));
  if (!existsSync(generated)) {
    const schema = fileURLToPath(new URL('schema.prisma', import.meta.url));
    await promisify(execFile)(
      process.execPath,
      [require.resolve('prisma/build/index.js'), 'generate', '--schema', schema],
      {
        env: { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: process.execPath, CHECKPOINT_DISABLE: '1' },
      },
    );
  }
  return (require(generated) as { PrismaClient: NewClient }).PrismaClient;
}

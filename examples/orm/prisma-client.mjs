// Generates the client of schema.prisma if it is missing. In your app, `npx prisma generate` does this.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const file = (name) => fileURLToPath(new URL(name, import.meta.url));

if (!existsSync(file('generated/index.js'))) {
  const prisma = createRequire(import.meta.url).resolve('prisma/build/index.js');
  execFileSync(process.execPath, [prisma, 'generate', '--schema', file('schema.prisma')], {
    // `generate` requires an engine that it never starts; pointing it to any other program avoids the download.
    env: { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: process.execPath, CHECKPOINT_DISABLE: '1' },
  });
}

export const { PrismaClient } = await import('./generated/index.js');

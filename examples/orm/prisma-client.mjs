// The client of schema.prisma, generated where it is not there yet. In your app `npx prisma generate` does this.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const file = (name) => fileURLToPath(new URL(name, import.meta.url));

if (!existsSync(file('generated/index.js'))) {
  const prisma = createRequire(import.meta.url).resolve('prisma/build/index.js');
  execFileSync(process.execPath, [prisma, 'generate', '--schema', file('schema.prisma')], {
    // `generate` looks for an engine that it never starts: with any other program instead, nothing is downloaded.
    env: { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: process.execPath, CHECKPOINT_DISABLE: '1' },
  });
}

export const { PrismaClient } = await import('./generated/index.js');

import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from 'vitest';

const run = promisify(execFile);
const examples = join(import.meta.dirname, '../../examples/orm');

// The example generates Prisma's client itself.
beforeAll(() => rm(join(examples, 'generated'), { recursive: true, force: true }));

test.concurrent.each(['kysely', 'knex', 'objection', 'typeorm', 'sequelize', 'drizzle', 'prisma', 'mikro-orm'])(
  'examples/orm/%s.mjs runs against the emulators',
  { timeout: 120_000 },
  async (name) => {
    const env = { ...process.env, EXAMPLE_MS: '500' };
    const { stdout } = await run(process.execPath, [join(examples, `${name}.mjs`)], { env });
    expect(stdout).toMatch(/[1-9]\d* queries\n\d+ token requests, \d+ logins, 0 refused/);
  },
);

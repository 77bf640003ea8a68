import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from 'vitest';
import { generateClient } from '../orm/prisma/generate.js';

const run = promisify(execFile);
const examples = join(import.meta.dirname, '../../examples/orm');

beforeAll(() => generateClient(examples));

test.each(['kysely', 'knex', 'objection', 'typeorm', 'sequelize', 'drizzle', 'prisma', 'mikro-orm'])(
  'examples/orm/%s.mjs runs against the emulators',
  { timeout: 60_000 },
  async (name) => {
    const env = { ...process.env, EXAMPLE_MS: '500' };
    const { stdout } = await run(process.execPath, [join(examples, `${name}.mjs`)], { env });
    expect(stdout).toMatch(/[1-9]\d* queries\n\d+ token requests, \d+ logins, 0 refused/);
  },
);

import { expect, test } from 'vitest';
import { read } from './snippets.js';

test.each(['Kysely', 'knex', 'TypeORM', 'Sequelize', 'Prisma', 'Drizzle', 'MikroORM'])(
  'setting up %s takes at most 10 lines',
  (orm) => {
    const section = read('docs/orms.md')
      .split(/^## /m)
      .find((text) => text.startsWith(orm));
    const snippets = [...(section ?? '').matchAll(/^```ts\n([\s\S]*?)\n```/gm)].map(([, code = '']) => code);
    expect(snippets).not.toEqual([]);
    for (const code of snippets) expect(code.split('\n').length, code).toBeLessThanOrEqual(10);
  },
);

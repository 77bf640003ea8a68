import { expect, test } from 'vitest';
import { read } from './snippets.js';

const ORMS = ['Kysely', 'knex', 'TypeORM', 'Sequelize', 'Prisma', 'Drizzle', 'MikroORM'];
const heading = { 'docs/orms.md': /^## /m };

test.each(Object.entries(heading).flatMap(([page, start]) => ORMS.map((orm) => ({ page, start, orm }))))(
  'setting up $orm in $page takes at most 10 lines',
  ({ page, start, orm }) => {
    const section = read(page)
      .split(start)
      .find((text) => text.startsWith(orm));
    const snippets = [...(section ?? '').matchAll(/^```ts\n([\s\S]*?)\n```/gm)].map(([, code = '']) => code);
    expect(snippets).not.toEqual([]);
    for (const code of snippets) expect(code.split('\n').length, code).toBeLessThanOrEqual(10);
  },
);

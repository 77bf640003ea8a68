import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { ROOT } from './snippets.js';

const api = new URL('docs/api/', ROOT);
const isBuilt = existsSync(new URL('index.md', api));
if (!isBuilt) console.warn('SKIPPED: the API reference is not built. npm run docs');

describe.skipIf(!isBuilt)('the API reference', () => {
  test('describes each export in its index', () => {
    const undescribed = readdirSync(api, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('index.md'))
      // Types that an export mentions, and what the drop-in passes on from mssql as it is.
      .filter((file) => !/Other-types|namespaces|mssql-token-pool\/mssql\//.test(file))
      .flatMap((file) => readFileSync(new URL(file, api), 'utf8').match(/^\| .*\| - \|$/gm) ?? [])
      .filter((row) => !row.includes('Other-types'));
    expect(undescribed).toEqual([]);
  });

  test('lists the entry points by the names that are imported', () => {
    const { exports } = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8')) as { exports: object };
    const names = Object.keys(exports).filter((name) => name !== './package.json');
    const listed = [...readFileSync(new URL('index.md', api), 'utf8').matchAll(/^\| \[([^\]]+)\]/gm)].map(
      ([, name]) => name,
    );
    expect(listed.sort()).toEqual(names.map((name) => name.replace('.', 'mssql-token-pool')).sort());
  });
});

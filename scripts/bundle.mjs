// Puts src into few files: loading a hundred of them took most of the time that importing the package took. Every entry
// point of package.json stays where it is, what several of them use goes into dist/shared, and there is one copy of it.
import { readFileSync, rmSync } from 'node:fs';
import { build } from 'rolldown';

const { exports, bin } = JSON.parse(readFileSync('package.json', 'utf8'));
const files = [...Object.values(exports).map((entry) => entry.default), ...Object.values(bin)].filter(Boolean);
const names = files.map((path) => path.replace('./dist/', '').replace(/\.js$/, ''));

/** What every pool needs is one file, not one for each set of entry points that share something. */
const NEEDED_BY_EVERY_POOL =
  /\/src\/(credentials|connections|tokens|pool)\/|\/src\/(channels|debug|errors|mssql\/(login-watch|with-token-refresh|stock|stock-checks))\.ts$/;
const NEEDED_BY_FEW =
  /\/(tokens\/(redis|encrypted-token-store|entry-cipher|store-health)|pool\/(token-pools|room))\.ts$/;

rmSync('dist', { recursive: true, force: true });
await build({
  input: Object.fromEntries(names.map((name) => [name, `src/${name}.ts`])),
  platform: 'node',
  // Other packages stay where they are.
  external: /^[^./]/,
  transform: { target: 'node20' },
  output: {
    dir: 'dist',
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: 'shared/[name]-[hash].js',
    // mssql's classes and ours have names in common, and a name is part of what is printed.
    keepNames: true,
    // They are in the types and in the repository.
    comments: { jsdoc: false },
    codeSplitting: {
      groups: [{ name: 'core', test: (id) => NEEDED_BY_EVERY_POOL.test(id) && !NEEDED_BY_FEW.test(id) }],
    },
  },
});

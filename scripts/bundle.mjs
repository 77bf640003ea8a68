// Puts src into few files: loading a hundred of them took most of the time that importing the package took. Every entry
// point of package.json stays where it is, what several of them use goes into dist/shared, and there is one copy of it.
import { readFileSync, rmSync } from 'node:fs';
import { build } from 'esbuild';

const { exports, bin } = JSON.parse(readFileSync('package.json', 'utf8'));
const built = [...Object.values(exports).map((entry) => entry.default), ...Object.values(bin)];
const entryPoints = built.filter(Boolean).map((path) => path.replace('./dist/', 'src/').replace(/\.js$/, '.ts'));

rmSync('dist', { recursive: true, force: true });
await build({
  entryPoints,
  outbase: 'src',
  outdir: 'dist',
  bundle: true,
  splitting: true,
  chunkNames: 'shared/[name]-[hash]',
  packages: 'external',
  platform: 'node',
  format: 'esm',
  target: 'node20',
});

// Runs Stryker over its parts, one after another, and prints one score for all (docs/mutation-testing.md).
//
//   npm run mutate                                   all parts
//   npm run mutate -- pool                           one part: files, pool or sockets
//   npm run mutate -- pool --mutate src/pool/x.ts    and options of Stryker
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';

const PARTS = { files: 'stryker.config.mjs', pool: 'stryker.pool.config.mjs', sockets: 'stryker.sockets.config.mjs' };

const { resolve } = createRequire(import.meta.url);
const stryker = resolve('@stryker-mutator/core/package.json').replace('package.json', 'bin/stryker.js');

const [first, ...rest] = process.argv.slice(2);
if (first !== undefined && !(first in PARTS)) {
  console.error(`The first argument is a part: ${Object.keys(PARTS).join(', ')}.`);
  process.exit(2);
}
for (const part of first === undefined ? Object.keys(PARTS) : [first]) {
  const { status } = spawnSync(process.execPath, [stryker, 'run', PARTS[part], ...rest], { stdio: 'inherit' });
  // A score below a threshold is not a failure here; anything else is.
  if (status !== 0) process.exit(status ?? 1);
}
await import('./mutation-score.mjs');

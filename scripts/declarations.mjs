// Completes the types in dist, which `tsc -p tsconfig.build.json` wrote for CommonJS: the ES module next to each entry point gets
// its own declarations, so that every module resolution finds types that describe the file it loads.
import { copyFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs';

const { exports } = JSON.parse(readFileSync('package.json', 'utf8'));
for (const { import: esm, default: commonjs } of Object.values(exports)) {
  if (esm === undefined) continue;
  const file = `./${commonjs.default.split('/').at(-1)}`;
  if (/^export \{ sql as default \};$/m.test(readFileSync(commonjs.types, 'utf8'))) {
    renameSync(commonjs.types, esm.types);
    writeFileSync(commonjs.types, "import { sql } from './drop-in.js';\nexport = sql;\n");
  } else if (/ from 'kysely'/.test(readFileSync(commonjs.types, 'utf8'))) {
    // Kysely 0.29 is an ES module only: declarations for CommonJS cannot name its types.
    copyFileSync(commonjs.types, esm.types);
  } else writeFileSync(esm.types, `export * from '${file}';\n`);
}

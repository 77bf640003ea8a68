// Completes the types in dist, which `tsc -p tsconfig.build.json` wrote for CommonJS: the ES module next to each entry point gets
// its own declarations, so that every module resolution finds types that describe the file it loads.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';

const { exports } = JSON.parse(readFileSync('package.json', 'utf8'));
for (const { import: esm, default: commonjs } of Object.values(exports)) {
  if (esm === undefined) continue;
  const file = `./${commonjs.default.split('/').at(-1)}`;
  if (/^export \{ sql as default \};$/m.test(readFileSync(commonjs.types, 'utf8'))) {
    renameSync(commonjs.types, esm.types);
    writeFileSync(commonjs.types, "import { sql } from './drop-in.js';\nexport = sql;\n");
  } else writeFileSync(esm.types, `export * from '${file}';\n`);
}

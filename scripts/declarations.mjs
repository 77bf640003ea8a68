// Completes the types in dist, which `tsc -p tsconfig.build.json` wrote for CommonJS: the ES module next to each entry point gets
// its own declarations, so that every module resolution finds types that describe the file it loads.
import { copyFileSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

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

// MSAL's own types do not compile under node16 with `skipLibCheck: false`, and no public type needs them.
for (const name of readdirSync('dist', { recursive: true }).filter((each) => each.endsWith('.d.ts'))) {
  const file = join('dist', name);
  const text = readFileSync(file, 'utf8');
  const imported = "import type * as Msal from '@azure/msal-node';\n";
  if (!text.includes(imported)) continue;
  const names = [...new Set([...text.matchAll(/\bMsal\.(\w+)/g)].map((match) => match[1]))];
  const types = names.map((each) => `    type ${each} = any;\n`).join('');
  writeFileSync(file, text.replace(imported, `declare namespace Msal {\n${types}}\n`));
}

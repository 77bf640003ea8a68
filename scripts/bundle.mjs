// Builds dist: the sources as CommonJS, once, and an ES module beside each entry point that exports the same objects by name.
// So an application that uses both module systems has one implementation: one token cache, one set of error classes.
//
// CommonJS is the implementation because it is what every loader here can run without flags (Jest above all), because it
// loads synchronously, as `require('mssql')` does, and because what it stands on (mssql, tedious, generic-pool) is
// CommonJS. What several entry points use goes into dist/shared: loading a hundred files took most of the time that
// importing the package took.
import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { build } from 'rolldown';

const { exports, bin } = JSON.parse(readFileSync('package.json', 'utf8'));
const entryPoints = Object.values(exports).flatMap((entry) => entry.default?.default ?? []);
const name = (file) => file.replace('./dist/', '').replace(/\.js$/, '');
const names = [...entryPoints, ...Object.values(bin)].map(name);

/** What every pool needs is one file, not one for each set of entry points that share something. */
const NEEDED_BY_EVERY_POOL =
  /\/src\/(credentials|connections|tokens|pool|identities)\/|\/src\/([^/]+|mssql\/(with-token-refresh|stock|stock-checks))\.ts$/;
const NEEDED_BY_FEW =
  /\/(index|tokens\/(redis|encrypted-token-store|entry-cipher|shared-tokens|store-entry|store-health))\.ts$|\/identities\//;

/** `require` is CommonJS's own in dist; see src/require.ts. */
const ownRequire = {
  name: 'own-require',
  transform: {
    filter: { id: /\/src\/.*\.ts$/ },
    handler: (code) => code.replace(/^import \{ require \} from '[./]+\/require\.js';$/m, ''),
  },
};

rmSync('dist', { recursive: true, force: true });
const { output } = await build({
  input: Object.fromEntries(names.map((each) => [each, `src/${each}.ts`])),
  platform: 'node',
  plugins: [ownRequire],
  // Other packages stay where they are.
  external: /^[^./]/,
  transform: { target: 'node20' },
  output: {
    dir: 'dist',
    format: 'cjs',
    exports: 'named',
    // mssql has no such flag either: the default import is the module.
    esModule: false,
    // Jest has no import() without a flag.
    dynamicImportInCjs: false,
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

// The name is how src/installed.ts knows that it runs from here and not from a user's bundle.
writeFileSync('dist/package.json', `${JSON.stringify({ name: 'mssql-token-pool', type: 'commonjs' })}\n`);
const entries = new Map(output.filter((chunk) => chunk.isEntry).map((chunk) => [chunk.name, chunk.exports]));
for (const each of entryPoints.map(name)) {
  const file = `./${each.split('/').at(-1)}.js`;
  const exported = entries.get(each).filter((one) => one !== 'default');
  if (exported.length < entries.get(each).length) writeDropIn(each, file, exported);
  else writeFileSync(`dist/${each}.mjs`, `export { ${exported.join(', ')} } from '${file}';\n`);
}

/** mssql's module is one object: `require` returns it, `import` has it as the default and name by name. */
function writeDropIn(entry, file, exported) {
  appendFileSync(`dist/${entry}.js`, 'module.exports = exports.default;\n');
  writeFileSync(
    `dist/${entry}.mjs`,
    `import sql from '${file}';\nexport default sql;\nexport const { ${exported.join(', ')} } = sql;\n`,
  );
}

// Builds dist: the sources as CommonJS, and next to each entry point an ES module that exports the same objects by name. An
// application that uses both module systems therefore has one implementation: one token cache, one set of error classes.
//
// The implementation is CommonJS because every loader (above all Jest) runs it without flags, because it loads synchronously,
// as `require('mssql')` does, and because its dependencies (mssql, tedious, generic-pool) are CommonJS. Code used by several
// entry points goes into dist/shared, because loading a hundred files took most of the import time.
import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { build } from 'rolldown';

const { exports, bin } = JSON.parse(readFileSync('package.json', 'utf8'));
const entryPoints = Object.values(exports).flatMap((entry) => entry.default?.default ?? []);
const name = (file) => file.replace('./dist/', '').replace(/\.js$/, '');
const names = [...entryPoints, ...Object.values(bin)].map(name);

/** The code that every pool needs is one file, instead of one file per set of entry points that share code. */
const NEEDED_BY_EVERY_POOL =
  /\/src\/(credentials|connections|tokens|pool|identities)\/|\/src\/([^/]+|mssql\/(with-token-refresh|stock|stock-checks))\.ts$/;
const NEEDED_BY_FEW =
  /\/(index|tokens\/(redis|encrypted-token-store|entry-cipher|shared-tokens|store-entry|store-health))\.ts$|\/identities\//;

/** Entry points that work with a package which the user installs. */
const NEEDS_A_PACKAGE = /^(orm\/|telemetry\/otel$)/;

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
  // Other packages are not bundled.
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
    // mssql's classes and ours share names, and names appear in printed output.
    keepNames: true,
    // Docstrings are in the types and in the repository.
    comments: { jsdoc: false },
    codeSplitting: {
      groups: [{ name: 'core', test: (id) => NEEDED_BY_EVERY_POOL.test(id) && !NEEDED_BY_FEW.test(id) }],
    },
  },
});

// By this name, src/installed.ts detects that it runs from here and not from a user's bundle.
writeFileSync('dist/package.json', `${JSON.stringify({ name: 'mssql-token-pool', type: 'commonjs' })}\n`);
const entries = new Map(output.filter((chunk) => chunk.isEntry).map((chunk) => [chunk.name, chunk.exports]));
for (const each of entryPoints.map(name)) {
  const file = `./${each.split('/').at(-1)}.js`;
  const exported = entries.get(each).filter((one) => one !== 'default');
  if (exported.length < entries.get(each).length) {
    // mssql's module is one object: `require` returns it, `import` has it as the default export and its members as named ones.
    appendFileSync(`dist/${each}.js`, 'module.exports = exports.default;\n');
    writeFileSync(`dist/${each}.mjs`, mayThrow(each, file, exported, 'export default loaded;\n'));
  } else if (NEEDS_A_PACKAGE.test(each)) writeFileSync(`dist/${each}.mjs`, mayThrow(each, file, exported));
  else writeFileSync(`dist/${each}.mjs`, `export { ${exported.join(', ')} } from '${file}';\n`);
}

/**
 * An ES module for an entry point that throws if a package is not installed. On Node.js 20 an error thrown by CommonJS
 * code while an ES module imports it is reported a second time, as an unhandled rejection that ends the process; so the
 * ES module throws it.
 */
function mayThrow(entry, file, exported, more = '') {
  writeFileSync(
    `dist/${entry}.loaded.js`,
    `try {\n  module.exports = { loaded: require('${file}') };\n} catch (error) {\n  module.exports = { error };\n}\n`,
  );
  const from = file.replace(/\.js$/, '.loaded.js');
  return `import attempt from '${from}';\nif ('error' in attempt) throw attempt.error;\nconst { loaded } = attempt;\n${more}export const { ${exported.join(', ')} } = loaded;\n`;
}

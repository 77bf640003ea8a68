// The rows of the matrix. A row is an empty project: packages to install with ours, files to copy or write, commands to run.
//
//   packages   as for npm install
//   app        a file of apps/ to run with node
//   files      further files: name -> content, a name of apps/, or a path of examples/
//   commands   instead of `node app`; `node_modules/.bin` is on the path
//   project    a folder of examples/ to copy, including its package.json; `packages` pins or replaces its dependencies
//   node       major version of Node.js, if it differs from the one that runs the matrix
//   runtime    npm package of another runtime; its program of the same name is then on the path
//   expiries   false if the row opens no connection, or only tests loading
//   quick      part of `npm run matrix -- --quick`
//   note       for the table

const TS = ['typescript@5.9', '@types/node@20', '@types/mssql'];

function compilerOptions(moduleResolution, more = {}) {
  const module = { node10: 'commonjs', bundler: 'esnext' }[moduleResolution] ?? moduleResolution;
  return {
    strict: true,
    noEmit: true,
    target: 'es2022',
    lib: ['es2022'],
    types: ['node'],
    esModuleInterop: true,
    module,
    moduleResolution,
    ...more,
  };
}

const drivers = [
  { name: 'mssql 12, drop-in', packages: ['mssql@12'], app: 'drop-in.mjs', quick: true },
  { name: 'mssql 12, `withTokenRefresh`', packages: ['mssql@12'], app: 'wrapped.mjs' },
  { name: 'mssql 12 on Node.js 22', packages: ['mssql@12'], app: 'drop-in.mjs', node: 22 },
  { name: 'mssql 12 on Node.js 24', packages: ['mssql@12', 'tedious@20'], app: 'drop-in.mjs', node: 24 },
  { name: 'mssql 11, drop-in', packages: ['mssql@11'], app: 'drop-in.mjs', quick: true },
  { name: 'mssql 11, `withTokenRefresh`', packages: ['mssql@11'], app: 'wrapped.mjs' },
  {
    name: 'mssql 10',
    packages: ['mssql@10'],
    app: 'refused.mjs',
    expiries: false,
    note: 'refused with a message: its tedious has no token credentials',
  },
  { name: 'tedious 18', packages: ['tedious@18'], app: 'raw.mjs', quick: true },
  { name: 'tedious 19', packages: ['tedious@19'], app: 'raw.mjs' },
  { name: 'tedious 20 on Node.js 22', packages: ['tedious@20'], app: 'raw.mjs', node: 22 },
  { name: 'tedious 20 on Node.js 24', packages: ['tedious@20'], app: 'raw.mjs', node: 24 },
];

const runtimes = [
  { name: 'Bun', runtime: 'bun@1', command: 'bun' },
  { name: 'Deno', runtime: 'deno@2', command: 'deno run --allow-net --allow-env --allow-read --allow-sys --no-prompt' },
].flatMap(({ name, runtime, command }) => [
  {
    name: `${name}, drop-in`,
    runtime,
    packages: ['mssql@12'],
    app: 'drop-in.mjs',
    commands: [`${command} drop-in.mjs`],
  },
  {
    name: `${name}, \`withTokenRefresh\``,
    runtime,
    packages: ['mssql@12'],
    app: 'wrapped.mjs',
    commands: [`${command} wrapped.mjs`],
  },
  { name: `${name}, raw pool`, runtime, packages: ['tedious@19'], app: 'raw.mjs', commands: [`${command} raw.mjs`] },
  {
    name: `${name}, pool per identity, abort, events, test kit`,
    runtime,
    packages: ['mssql@12', 'tedious@19'],
    app: 'runtime.mjs',
    commands: [`${command} runtime.mjs`],
    expiries: false,
  },
]);

const orms = [
  { name: 'TypeORM 0.3 on mssql 11', packages: ['typeorm@0.3', 'mssql@11'], app: 'typeorm.mjs' },
  { name: 'TypeORM 0.3 on mssql 12', packages: ['typeorm@0.3', 'mssql@12'], app: 'typeorm.mjs' },
  { name: 'TypeORM 1', packages: ['typeorm@1', 'mssql@12'], app: 'typeorm.mjs' },
  { name: 'Prisma adapter 6', packages: ['@prisma/adapter-mssql@6'], app: 'prisma-adapter.mjs' },
  { name: 'Prisma adapter 7', packages: ['@prisma/adapter-mssql@7'], app: 'prisma-adapter.mjs' },
  {
    name: 'Kysely 0.27 on tedious 18',
    packages: ['kysely@0.27', 'tedious@18', 'tarn'],
    app: 'kysely.mjs',
    quick: true,
  },
  { name: 'Kysely 0.28', packages: ['kysely@0.28', 'tedious@19', 'tarn'], app: 'kysely.mjs' },
  { name: 'Kysely 0.29', packages: ['kysely@0.29', 'tedious@20', 'tarn'], app: 'kysely.mjs', node: 24 },
  { name: 'knex 3.0 on tedious 18', packages: ['knex@3.0', 'tedious@18'], app: 'knex.mjs' },
  { name: 'knex 3.1 on tedious 18', packages: ['knex@3.1', 'tedious@18'], app: 'knex.mjs' },
  { name: 'knex 3.2', packages: ['knex@3.2', 'tedious@19'], app: 'knex.mjs' },
  { name: 'knex 3.3', packages: ['knex@3.3', 'tedious@19'], app: 'knex.mjs' },
  { name: 'Sequelize 6 on tedious 18', packages: ['sequelize@6', 'tedious@18'], app: 'sequelize-6.mjs' },
  { name: 'Sequelize 6 on tedious 19', packages: ['sequelize@6', 'tedious@19'], app: 'sequelize-6.mjs' },
  {
    name: 'Sequelize 7 alpha',
    packages: ['@sequelize/core@7.0.0-alpha.48', '@sequelize/mssql@7.0.0-alpha.48'],
    app: 'sequelize-7.mjs',
  },
  {
    name: 'Drizzle 1.0 rc',
    packages: ['drizzle-orm@1.0.0-rc.5', 'mssql@11'],
    app: 'drizzle.mjs',
    note: 'the `rc` tag; `latest` (0.45) has no `node-mssql`',
  },
  {
    name: 'MikroORM 6',
    packages: ['@mikro-orm/core@6', '@mikro-orm/mssql@6', '@mikro-orm/knex@6'],
    app: 'mikro-orm-6.mjs',
  },
  {
    name: 'MikroORM 7',
    packages: ['@mikro-orm/core@7', '@mikro-orm/mssql@7', 'kysely@0.29'],
    app: 'mikro-orm-7.mjs',
    node: 24,
  },
  ...[11, 12].map((major) => ({
    name: `NestJS ${major}: @nestjs/typeorm, and a provider`,
    project: 'nestjs',
    packages: [
      ...['core', 'common', 'typeorm', 'platform-express'].map((each) => `@nestjs/${each}@${major}`),
      ...['typeorm@1', 'mssql@12'],
    ],
    files: { 'visit.cjs': 'visit.cjs' },
    commands: ['npm run build', 'node visit.cjs "npm start" /orders /orders-by-hand'],
    // NestJS 12 is ESM only.
    node: major === 12 ? 24 : undefined,
  })),
  {
    name: 'Azure Functions v4',
    project: 'azure-functions',
    packages: ['@azure/functions@4', 'mssql@12'],
    commands: ['npm test'],
    expiries: false,
    note: 'the tests of `examples/azure-functions`, while a token expires',
  },
  {
    name: 'Next.js 16',
    project: 'nextjs',
    packages: ['next@16', 'react@19', 'react-dom@19', 'mssql@12'],
    files: { 'visit.cjs': 'visit.cjs' },
    commands: ['npm run build', 'node visit.cjs "npm start" /orders'],
    note: '`serverExternalPackages`',
  },
];

const FAKE = `const kept = ['nextTick', 'setImmediate', 'clearImmediate', 'queueMicrotask'];\n`;

const loaders = [
  {
    name: 'CommonJS and ES modules in one process',
    packages: ['mssql@12'],
    app: 'both.cjs',
    expiries: false,
    quick: true,
  },
  { name: 'CommonJS', packages: ['mssql@12'], app: 'drop-in.cjs' },
  {
    name: 'Jest 30, CommonJS',
    packages: ['mssql@12', 'jest@30'],
    files: {
      'pool.test.cjs': 'pool.test.cjs',
      'jest.config.cjs': "module.exports = { testEnvironment: 'node', testMatch: ['**/*.test.cjs'] };",
    },
    commands: ['jest'],
  },
  {
    name: 'Jest 30, a project',
    project: 'jest',
    packages: ['jest@30', 'mssql@12'],
    commands: ['npm test'],
    expiries: false,
    quick: true,
    note: 'the tests of `examples/jest`, while a token expires',
  },
  {
    name: 'Jest 30, ts-jest',
    packages: ['mssql@12', 'jest@30', 'ts-jest@29', '@types/jest@30', ...TS],
    files: {
      'pool.test.ts': 'pool.test.ts',
      'tsconfig.json': JSON.stringify({
        compilerOptions: compilerOptions('node16', { types: ['node', 'jest'], allowJs: true, isolatedModules: true }),
      }),
      'jest.config.cjs': "module.exports = { testEnvironment: 'node', transform: { '\\\\.ts$': 'ts-jest' } };",
    },
    commands: ['jest'],
  },
  {
    name: 'Jest fake timers',
    packages: ['mssql@12', 'jest@30'],
    files: {
      'fake-timers.test.cjs': 'fake-timers.test.cjs',
      'setup.cjs': `${FAKE}global.useFakeTimers = () => jest.useFakeTimers({ doNotFake: kept });
global.advance = (ms) => jest.advanceTimersByTimeAsync(ms);\nglobal.useRealTimers = () => jest.useRealTimers();\n`,
      'jest.config.cjs':
        "module.exports = { testEnvironment: 'node', testMatch: ['**/*.test.cjs'], setupFilesAfterEnv: ['./setup.cjs'] };",
    },
    commands: ['jest'],
    expiries: false,
  },
  {
    name: 'vitest',
    packages: ['mssql@12', 'vitest@4', 'vite@7', ...TS],
    files: { 'pool.test.ts': 'pool.test.ts', 'vitest.config.mjs': 'export default { test: { globals: true } };' },
    commands: ['vitest run'],
  },
  {
    name: 'vitest, a project',
    project: 'vitest',
    packages: ['vitest@4', 'mssql@12'],
    commands: ['npm test'],
    expiries: false,
    note: 'the tests of `examples/vitest`, while a token expires',
  },
  {
    name: 'vitest fake timers',
    packages: ['mssql@12', 'vitest@4', 'vite@7'],
    files: {
      'fake-timers.test.cjs': 'fake-timers.test.cjs',
      'setup.mjs': `import { vi } from 'vitest';
globalThis.useFakeTimers = () => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] });
globalThis.advance = (ms) => vi.advanceTimersByTimeAsync(ms);\nglobalThis.useRealTimers = () => vi.useRealTimers();\n`,
      'vitest.config.mjs':
        "export default { test: { globals: true, setupFiles: ['./setup.mjs'], include: ['*.test.cjs'] } };",
    },
    commands: ['vitest run'],
    expiries: false,
  },
  {
    name: 'sinon fake timers',
    packages: ['mssql@12', 'sinon'],
    files: {
      'fake-timers.test.cjs': 'fake-timers.test.cjs',
      'run.cjs': `const sinon = require('sinon');
let clock;
global.useFakeTimers = () => { clock = sinon.useFakeTimers({ now: Date.now(), toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] }); };
global.advance = (ms) => clock.tickAsync(ms);
global.useRealTimers = () => clock.restore();
global.test = (name, run) => run().then(() => console.log('passed', name), (error) => { console.error(error); process.exit(1); });
require('./fake-timers.test.cjs');\n`,
    },
    commands: ['node run.cjs'],
    expiries: false,
  },
  {
    name: 'node:test',
    packages: ['mssql@12'],
    files: { 'node.test.mjs': 'node.test.mjs' },
    commands: ['node --test node.test.mjs'],
  },
  {
    name: 'tsx',
    packages: ['mssql@12', 'tsx@4'],
    files: { 'main.ts': 'main.ts' },
    commands: ['tsx main.ts'],
    quick: true,
  },
  {
    name: 'ts-node',
    packages: ['mssql@12', 'ts-node@10', ...TS],
    files: {
      'main.ts': 'main.ts',
      'tsconfig.json': JSON.stringify({ compilerOptions: compilerOptions('node10', { allowJs: true }) }),
    },
    commands: ['ts-node main.ts'],
  },
  ...['cjs', 'esm'].map((format) => ({
    name: `esbuild to ${format}`,
    packages: ['mssql@12', 'esbuild@0.28'],
    files: { 'main.ts': 'main.ts' },
    commands: [
      `esbuild main.ts --bundle --platform=node --format=${format} --outfile=out/main.${format === 'cjs' ? 'cjs' : 'mjs'} ${
        format === 'esm'
          ? `"--banner:js=import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);"`
          : ''
      }`,
      `mv node_modules away && node out/main.${format === 'cjs' ? 'cjs' : 'mjs'}`,
    ],
    note: format === 'esm' ? 'with the `createRequire` banner that mssql needs as well' : undefined,
    quick: format === 'cjs',
  })),
  {
    name: 'webpack 5',
    packages: ['mssql@12', 'webpack@5', 'webpack-cli@6'],
    files: {
      'app.cjs': 'drop-in.cjs',
      'webpack.config.cjs':
        "module.exports = { target: 'node', mode: 'production', entry: './app.cjs', output: { filename: 'main.cjs' } };",
    },
    commands: ['webpack', 'mv node_modules away && node dist/main.cjs'],
  },
  {
    name: 'rollup 4',
    packages: ['mssql@12', 'rollup@4', '@rollup/plugin-node-resolve', '@rollup/plugin-commonjs', '@rollup/plugin-json'],
    files: {
      'app.mjs': 'drop-in.mjs',
      'rollup.config.mjs': `import commonjs from '@rollup/plugin-commonjs';
import json from '@rollup/plugin-json';
import { nodeResolve } from '@rollup/plugin-node-resolve';
export default { input: './app.mjs', output: { file: 'out/main.mjs' }, external: [/^mssql/],
  plugins: [nodeResolve({ preferBuiltins: true }), commonjs(), json()] };\n`,
    },
    commands: ['rollup -c', 'node out/main.mjs'],
    note: 'packages external, as for every server',
  },
  {
    name: 'Vite SSR',
    packages: ['mssql@12', 'vite@7'],
    files: { 'main.ts': 'main.ts' },
    commands: ['vite build --ssr main.ts --outDir out', 'node out/main.*'],
  },
  {
    name: 'worker_threads',
    packages: ['mssql@12'],
    files: { 'drop-in.cjs': 'drop-in.cjs' },
    app: 'worker.cjs',
  },
  { name: 'cluster', packages: ['mssql@12'], files: { 'raw-in-worker.cjs': 'raw-in-worker.cjs' }, app: 'cluster.cjs' },
];

const types = [
  ['5.0', '20.11', ['node10', 'node16', 'nodenext', 'bundler']],
  ['5.4', '20.11', ['node10', 'node16', 'nodenext', 'bundler']],
  ['5.9', '20', ['node10', 'node16', 'nodenext', 'bundler']],
  ['6', '22', ['node16', 'nodenext', 'bundler']],
  ['7', '22', ['node16', 'nodenext', 'bundler']],
].flatMap(([version, node, resolutions]) => ({
  name: `TypeScript ${version}`,
  packages: ['mssql@12', `typescript@${version}`, `@types/node@${node}`, '@types/mssql'],
  files: { 'types.ts': 'types.ts', 'otel.ts': 'otel.ts' },
  commands: resolutions.map((each) => {
    // Third-party declarations that do not compile on their own: mssql's and Node's before 5.9, MSAL's under node16.
    const skipLibCheck = Number(version) < 5.9 || each === 'node16' || each === 'nodenext';
    const options = Object.entries(compilerOptions(each, { skipLibCheck }));
    return `tsc ${options.map(([key, value]) => `--${key} ${value}`).join(' ')} types.ts otel.ts`;
  }),
  expiries: false,
  quick: version === '5.9',
  note: resolutions.map((each) => `\`${each}\``).join(', '),
}));

types.push({
  name: 'TypeScript without `@types/mssql`',
  packages: ['mssql@12', 'typescript@5.9', '@types/node@20'],
  files: {
    'raw.ts':
      "import { createTokenPool } from 'mssql-token-pool';\nexport const pool = createTokenPool({ server: 'x', authentication: 'token' });\n",
  },
  commands: [`tsc --strict --noEmit --target es2022 --module nodenext --types node --skipLibCheck raw.ts`],
  expiries: false,
  note: 'the main entry point; `/mssql` needs `@types/mssql`',
});

export const GROUPS = [
  { title: 'mssql and tedious', rows: drivers },
  { title: 'Other runtimes', rows: runtimes },
  { title: 'ORMs and frameworks', rows: orms },
  { title: 'Loaders, test runners and bundlers', rows: loaders },
  { title: 'TypeScript', rows: types },
];

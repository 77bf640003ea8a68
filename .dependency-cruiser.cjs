// Calls go one way: credentials -> tokens -> connections -> pool -> identities -> mssql -> orm. telemetry subscribes to
// events and is called by none of them; testing imports nothing from the other modules, and of those only cli imports it.
const MODULES = ['credentials', 'tokens', 'connections', 'pool', 'identities', 'mssql', 'orm'];

// Inside the test kit: tds is the wire, entra the identity provider; server accepts logins on the wire; traffic has the
// recordings that gateway writes and sql replays; gateway and sql provide the sessions for the clients of a server.
const KIT = {
  tds: [],
  entra: [],
  server: ['tds', 'entra'],
  traffic: ['tds'],
  gateway: ['tds', 'server', 'traffic'],
  sql: ['tds', 'server', 'gateway', 'traffic'],
};

const insideTheKit = Object.entries(KIT).map(([module, mayImport]) => ({
  name: `testing-${module}-imports-only-${mayImport.join('-') || 'itself'}`,
  severity: 'error',
  from: { path: `^src/testing/${module}/` },
  to: { path: '^src/testing/[^/]+/', pathNot: `^src/testing/(${[module, ...mayImport].join('|')})/` },
}));

const downstream = MODULES.slice(0, -1).map((module, i) => ({
  name: `${module}-calls-no-later-module`,
  severity: 'error',
  from: { path: `^src/${module}/` },
  to: { path: `^src/(${[...MODULES.slice(i + 1), 'telemetry', 'cli'].join('|')})/` },
}));

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    ...downstream,
    ...insideTheKit,
    {
      name: 'orm-is-last',
      severity: 'error',
      from: { path: '^src/orm/' },
      to: { path: '^src/(telemetry|cli)/' },
    },
    {
      name: 'telemetry-only-subscribes',
      severity: 'error',
      from: { path: '^src/telemetry/' },
      to: { path: `^src/(${MODULES.join('|')}|testing|cli)/`, dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'testing-stands-alone',
      severity: 'error',
      from: { path: '^src/testing/' },
      to: { path: '^src/', pathNot: '^src/testing/' },
    },
    {
      name: 'testing-is-for-users-only',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(testing|cli)/' },
      to: { path: '^src/testing/' },
    },
    {
      name: 'shared-files-import-no-module',
      severity: 'error',
      from: { path: '^src/(errors|channels|time|debug|known-options)\\.ts$' },
      to: { path: '^src/[^/]+/' },
    },
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'msal-only-in-credentials',
      comment: 'MSAL is imported lazily and its types stay out of the other modules.',
      severity: 'error',
      from: { pathNot: '^src/credentials/' },
      to: { path: 'node_modules/@azure/msal-node' },
    },
    {
      name: 'generic-pool-only-in-pool',
      severity: 'error',
      from: { pathNot: '^src/pool/' },
      to: { path: 'node_modules/generic-pool' },
    },
    {
      name: 'not-to-dev-dep',
      severity: 'error',
      from: { path: '^src' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['npm-peer', 'type-only'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: 'specify',
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
};

/** What only a real tedious connection reaches (stryker.sockets.config.mjs). */
export const WITH_SOCKETS = ['src/pool/transaction.ts'];

/** What is tested with whole pools on a driven clock (stryker.pool.config.mjs). */
export const WITH_POOLS = [
  'src/pool/*.ts',
  'src/connections/{circuit-breaker,dial,dialer,expiry-policy,session,session-expiry,token-outlook}.ts',
  'src/tokens/one-principal.ts',
];

export const not = (patterns) => patterns.map((pattern) => `!${pattern}`);

/**
 * Changes the product in thousands of small ways and checks that a test fails each time: docs/mutation-testing.md.
 *
 * The modules pool, identities, connections and tokens, in three parts by the kind of test; this one has the quick tests of
 * single files. Every file with code is in one of the parts.
 *
 * @type {import('@stryker-mutator/api/core').PartialStrykerOptions}
 */
export default {
  mutate: [
    'src/{connections,identities,tokens}/*.ts',
    ...not([...WITH_POOLS, ...WITH_SOCKETS]),
    // Types only.
    ...not(['src/connections/config.ts', 'src/tokens/token-store.ts']),
    'src/time.ts',
  ],
  testRunner: 'vitest',
  vitest: { configFile: 'vitest.mutate.config.ts', related: false },
  coverageAnalysis: 'perTest',
  // Mutants wait for their own sockets and clocks; in parallel, they would cause each other's timeouts.
  concurrency: 1,
  // A constant at the top of a file is read before any test runs; each would need a run of all tests.
  ignoreStatic: true,
  timeoutMS: 10_000,
  timeoutFactor: 2,
  incremental: true,
  incrementalFile: 'reports/stryker-incremental.json',
  reporters: ['progress-append-only', 'clear-text', 'html', 'json'],
  clearTextReporter: { allowColor: false, logTests: false, reportTests: false },
  htmlReporter: { fileName: 'reports/mutation.html' },
  jsonReporter: { fileName: 'reports/mutation.json' },
  tempDirName: '.stryker-tmp',
  ignorePatterns: ['dist', 'build', 'reports', 'docs', 'examples', 'bench', 'test/orm/packages'],
};

/**
 * Changes the product in thousands of small ways and checks that a test fails each time: docs/mutation-testing.md.
 *
 * @type {import('@stryker-mutator/api/core').PartialStrykerOptions}
 */
export default {
  // What the quick tests reach: the rest of these modules is tested with servers and clients, in seconds, not in ms.
  mutate: [
    'src/tokens/*.ts',
    '!src/tokens/redis.ts',
    'src/connections/{connection-string-config,login-failure,circuit-breaker,session,settings,token-login}.ts',
    'src/identities/*.ts',
    'src/time.ts',
  ],
  testRunner: 'vitest',
  vitest: { configFile: 'vitest.mutate.config.ts', related: false },
  coverageAnalysis: 'perTest',
  // Mutants wait for sockets and clocks of their own; side by side they would find each other's timeouts.
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

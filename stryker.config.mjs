/**
 * Changes the product in thousands of small ways and looks whether a test fails each time: docs/mutation-testing.md.
 *
 * @type {import('@stryker-mutator/api/core').PartialStrykerOptions}
 */
export default {
  mutate: ['src/tokens/**/*.ts', 'src/connections/**/*.ts', 'src/pool/**/*.ts'],
  testRunner: 'vitest',
  vitest: { configFile: 'vitest.mutate.config.ts', related: false },
  coverageAnalysis: 'perTest',
  // Mutants wait for sockets and clocks of their own; side by side they would find each other's timeouts.
  concurrency: 1,
  // What does not depend on a run, such as a constant at the top of a file, is tested with every test there is.
  ignoreStatic: true,
  timeoutMS: 10_000,
  timeoutFactor: 2,
  incremental: true,
  incrementalFile: 'reports/stryker-incremental.json',
  reporters: ['clear-text', 'html', 'json'],
  clearTextReporter: { allowColor: false, logTests: false, reportTests: false },
  htmlReporter: { fileName: 'reports/mutation.html' },
  jsonReporter: { fileName: 'reports/mutation.json' },
  tempDirName: '.stryker-tmp',
  ignorePatterns: ['dist', 'build', 'reports', 'docs', 'examples', 'bench', 'test/orm/packages'],
};

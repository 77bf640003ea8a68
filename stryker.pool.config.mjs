import modules, { not, WITH_POOLS, WITH_SOCKETS } from './stryker.config.mjs';

/**
 * What is tested with whole pools against a driven server.
 *
 * @type {import('@stryker-mutator/api/core').PartialStrykerOptions}
 */
export default {
  ...modules,
  mutate: [...WITH_POOLS, ...not(WITH_SOCKETS)],
  vitest: { ...modules.vitest, configFile: 'vitest.mutate-pool.config.ts' },
  timeoutMS: 6_000,
  timeoutFactor: 1.5,
  incrementalFile: 'reports/stryker-incremental-pool.json',
  htmlReporter: { fileName: 'reports/mutation-pool.html' },
  jsonReporter: { fileName: 'reports/mutation-pool.json' },
};

import modules from './stryker.config.mjs';

/**
 * What is tested with whole pools against a driven server.
 *
 * @type {import('@stryker-mutator/api/core').PartialStrykerOptions}
 */
export default {
  ...modules,
  mutate: [
    'src/pool/*.ts',
    '!src/pool/{connection-source,create-token-pool,generic-pool,select-one}.ts',
    'src/connections/{dial,dialer}.ts',
  ],
  vitest: { ...modules.vitest, configFile: 'vitest.mutate-pool.config.ts' },
  timeoutMS: 3_000,
  timeoutFactor: 1.5,
  incrementalFile: 'reports/stryker-incremental-pool.json',
  htmlReporter: { fileName: 'reports/mutation-pool.html' },
  jsonReporter: { fileName: 'reports/mutation-pool.json' },
};

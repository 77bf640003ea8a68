import rooms from './stryker.config.mjs';

/**
 * The pool itself, whose tests need servers, or a world of its own to live in.
 *
 * @type {import('@stryker-mutator/api/core').PartialStrykerOptions}
 */
export default {
  ...rooms,
  mutate: ['src/pool/{token-pool,upkeep}.ts'],
  vitest: { ...rooms.vitest, configFile: 'vitest.mutate-pool.config.ts' },
  timeoutMS: 3_000,
  timeoutFactor: 1.5,
  incrementalFile: 'reports/stryker-incremental-pool.json',
  htmlReporter: { fileName: 'reports/mutation-pool.html' },
  jsonReporter: { fileName: 'reports/mutation-pool.json' },
};

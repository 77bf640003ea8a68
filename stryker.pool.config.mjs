import rooms from './stryker.config.mjs';

/**
 * What is tested with whole pools, which have a world of their own to live in.
 *
 * @type {import('@stryker-mutator/api/core').PartialStrykerOptions}
 */
export default {
  ...rooms,
  mutate: ['src/pool/{tarn-facade,token-pool,upkeep,with-retry}.ts', 'src/connections/{dial,dialer}.ts'],
  vitest: { ...rooms.vitest, configFile: 'vitest.mutate-pool.config.ts' },
  timeoutMS: 3_000,
  timeoutFactor: 1.5,
  incrementalFile: 'reports/stryker-incremental-pool.json',
  htmlReporter: { fileName: 'reports/mutation-pool.html' },
  jsonReporter: { fileName: 'reports/mutation-pool.json' },
};

import modules, { WITH_SOCKETS } from './stryker.config.mjs';

/**
 * What only a real tedious connection reaches: tested against the SQL emulator.
 *
 * @type {import('@stryker-mutator/api/core').PartialStrykerOptions}
 */
export default {
  ...modules,
  mutate: WITH_SOCKETS,
  vitest: { ...modules.vitest, configFile: 'vitest.mutate-sockets.config.ts' },
  incrementalFile: 'reports/stryker-incremental-sockets.json',
  htmlReporter: { fileName: 'reports/mutation-sockets.html' },
  jsonReporter: { fileName: 'reports/mutation-sockets.json' },
};

import { defineConfig } from 'vitest/config';

/**
 * The quick tests of the three rooms whose mutants `npm run mutate` tries: hundreds of runs, so no waits in real time. Of
 * those with servers only such as take a tenth of a second each.
 */
export default defineConfig({
  test: {
    include: [
      'test/tokens/**/*.test.ts',
      'test/connections/**/*.test.ts',
      'test/pool/{capacity,deadlines,place,checkout,refused-logins,tarn-facade}.test.ts',
      'test/simulation/few-hours.test.ts',
    ],
    exclude: ['test/tokens/redis.test.ts'],
    // A mutant that hangs has been noticed.
    testTimeout: 4_000,
    hookTimeout: 4_000,
    expect: { poll: { timeout: 1_000 } },
    fileParallelism: false,
    isolate: false,
  },
});

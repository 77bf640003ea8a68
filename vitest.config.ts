import { defineConfig } from 'vitest/config';

const { TEST_REPORT } = process.env;

/**
 * Two tiers, in the name of each file. `*.test.ts` runs in one process: what waits for time waits for a driven clock.
 * `*.sockets.test.ts` opens real sockets or starts processes. `*.soak.test.ts` takes minutes: `npm run soak`.
 *
 * `TEST_REPORT=file` also writes a report as JSON.
 */
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/container/**', 'test/**/*.soak.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // What a test waits for comes when it comes; a slow machine is no failure.
    expect: { poll: { timeout: 20_000 } },
    // Two cores: more workers only make socket tests wait for each other.
    maxWorkers: 2,
    // An unhandled rejection anywhere is a broken promise (P6), never a warning.
    dangerouslyIgnoreUnhandledErrors: false,
    reporters: [
      'default',
      './test/support/slowest-tests.ts',
      ...(TEST_REPORT === undefined ? [] : [['json', { outputFile: TEST_REPORT }] satisfies [string, object]]),
    ],
  },
});

import { defineConfig } from 'vitest/config';

/**
 * `npm run soak`: many processes, whole tables of faults, thousands of identities. Smaller versions of these
 * tests run in `npm test`.
 */
export default defineConfig({
  test: {
    include: [
      'test/**/*.soak.test.ts',
      'test/**/never-another-identity*.test.ts',
      'test/integration/rollover*.test.ts',
    ],
    env: { QUERIES: '3000', LIFETIMES: '20' },
    testTimeout: 240_000,
    hookTimeout: 240_000,
    expect: { poll: { timeout: 20_000 } },
    maxWorkers: 2,
    reporters: [
      'default',
      ...(process.env.TEST_REPORT === undefined
        ? []
        : [['json', { outputFile: process.env.TEST_REPORT }] satisfies [string, object]]),
    ],
  },
});

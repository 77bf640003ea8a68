import { defineConfig } from 'vitest/config';

/** Tests that need a real SQL Server; started by `npm run test:container`. */
export default defineConfig({
  test: {
    include: ['test/container/**/*.test.ts'],
    testTimeout: 90_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 20_000 } },
    // One server for all files: they take turns.
    fileParallelism: false,
  },
});

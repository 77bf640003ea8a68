import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/container/**'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // What a test waits for comes when it comes; a slow machine is no failure.
    expect: { poll: { timeout: 20_000 } },
    // Two cores: more workers only make socket tests wait for each other.
    maxWorkers: 2,
    // An unhandled rejection anywhere is a broken promise (P6), never a warning.
    dangerouslyIgnoreUnhandledErrors: false,
  },
});
